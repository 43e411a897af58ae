import { MigrationError } from '../lambda/migration/migration-error.ts';

export interface PropProblem {
  readonly prop: string;
  readonly value: unknown;
  readonly expected: string;
}

/** A prop that can't be: which, what it is, what it may be. Fails synth. */
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
