import { MigrationError } from '../lambda/migration/migration-error.ts';

export interface Fault {
  readonly prop: string;
  readonly value: unknown;
  readonly expected: string;
}

/** A prop that can't be: which, what it is, what it may be. Fails synth. */
export class InvalidProp extends MigrationError {
  override readonly name = 'InvalidProp';
  constructor(construct: string, fault: Fault) {
    super({
      code: 'invalid-prop',
      what: `${construct}: ${fault.prop} is ${JSON.stringify(fault.value)}, but must be ${fault.expected}`,
      next: `change ${fault.prop} where the construct is made, then synthesize again`,
    });
  }
}
