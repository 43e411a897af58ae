import { MigrationError } from '../lambda/migration/migration-error.ts';

export interface PropProblem {
  readonly prop: string;
  readonly value: unknown;
  readonly expected: string;
}

/** An invalid prop: its name, its value, and what is valid. Fails synth. */
export class InvalidProp extends MigrationError {
  override readonly name = 'InvalidProp';
  constructor(construct: string, invalid: PropProblem) {
    super({
      code: 'invalid-prop',
      what: `${construct}: ${invalid.prop} is ${JSON.stringify(invalid.value)}, but must be ${invalid.expected}`,
      next: `change ${invalid.prop} where the construct is made, then synthesize again`,
    });
  }
}
