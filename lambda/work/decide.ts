import type { PostgresFault } from '../migration/postgres-fault.ts';
import { isPermanent, sqlstate } from '../migration/sqlstate.ts';

/** The index as the catalog has it, compared with what the build is to make of it. */
export type SeenIndex =
  | { readonly kind: 'absent' }
  | { readonly kind: 'invalid' }
  /** Valid, and as Postgres itself writes both definitions down, the same. */
  | { readonly kind: 'valid' }
  | Conflict
  /** The table is gone, so no build can ever be made of it. */
  | { readonly kind: 'no-table' };

export interface Conflict {
  readonly kind: 'conflict';
  readonly wanted: string;
  readonly found: string;
  /** Why it can't be told whether the two are the same; absent where they are not. */
  readonly because?: string;
}

/** All that one turn knows when it decides. */
export interface Seen {
  readonly index: SeenIndex;
  /** Some session may be building it: seen in the catalog, or begun too short ago to be seen. */
  readonly builderAlive: boolean;
  /** How the newest attempt ended, where that was recorded. */
  readonly fault: PostgresFault | undefined;
  /** Begun so far. */
  readonly attempts: number;
  readonly maxAttempts: number;
}

export type Decision =
  /** `adopted`: it existed before our first attempt. */
  | { readonly kind: 'done'; readonly adopted: boolean }
  | { readonly kind: 'wait' }
  | { readonly kind: 'start'; readonly dropFirst: boolean }
  | { readonly kind: 'fail'; readonly dropFirst: boolean; readonly fault: PostgresFault };

/**
 * The decision table of docs/architecture.md as a function: what is seen of one build decides what happens. The order of the rows
 * matters. A valid index ends the build whoever made it; a live builder is never touched; only then do recorded
 * faults and the number of attempts count.
 */
export function decide(seen: Seen): Decision {
  const { index, builderAlive, fault, attempts, maxAttempts } = seen;
  switch (index.kind) {
    case 'valid':
      return { kind: 'done', adopted: attempts === 0 };
    case 'conflict':
      return { kind: 'fail', dropFirst: false, fault: conflictFault(index) };
    case 'no-table':
      return { kind: 'fail', dropFirst: false, fault: fault ?? NO_TABLE };
    case 'absent':
    case 'invalid': {
      if (builderAlive) return { kind: 'wait' };
      const dropFirst = index.kind === 'invalid';
      if (fault !== undefined && isPermanent(fault)) return { kind: 'fail', dropFirst, fault };
      if (attempts >= maxAttempts) return { kind: 'fail', dropFirst, fault: fault ?? NO_OUTCOME };
      return { kind: 'start', dropFirst };
    }
    default:
      return index satisfies never;
  }
}

export function conflictFault({ wanted, found, because }: Conflict): PostgresFault {
  return {
    sqlstate: sqlstate.duplicateTable,
    message:
      because === undefined
        ? 'an index of this name exists with another definition'
        : `an index of this name exists, and whether it is the same can't be told: ${because}`,
    detail: `Wanted: ${wanted}\nFound:  ${found}`,
    hint: 'Drop or rename the one that exists, or give the migration the definition that exists; then retry.',
  };
}

const NO_TABLE: PostgresFault = {
  sqlstate: sqlstate.undefinedTable,
  message: 'the table of this build does not exist any more',
};

const NO_OUTCOME: PostgresFault = {
  sqlstate: sqlstate.systemError,
  message: 'the build ended without an outcome and left no valid index',
  detail: 'Its server or its session was lost each time.',
  hint: 'Look into the server log for the time of the attempts, then retry.',
};
