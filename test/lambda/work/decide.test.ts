import { describe, expect, it } from 'vitest';
import type { PostgresFault } from '../../../lambda/migration/postgres-fault.ts';
import { isPermanent } from '../../../lambda/migration/sqlstate.ts';
import { type Decision, decide, type Seen, type SeenIndex } from '../../../lambda/work/decide.ts';

const permanent: PostgresFault = {
  sqlstate: '23505',
  message: 'could not create unique index "u"',
  detail: 'Key (x)=(1) is duplicated.',
};
const passing: PostgresFault = { sqlstate: '40P01', message: 'deadlock detected' };

const indexes: readonly SeenIndex[] = [
  { kind: 'absent' },
  { kind: 'invalid' },
  { kind: 'valid' },
  { kind: 'conflict', wanted: 'CREATE INDEX i ON t (x)', found: 'CREATE INDEX i ON t (y)' },
  { kind: 'no-table' },
];

/** Every combination of what a turn can see: each kind of index, builder, fault and number of attempts. */
const everything: readonly Seen[] = indexes.flatMap((index) =>
  [true, false].flatMap((builderAlive) =>
    [undefined, passing, permanent].flatMap((fault) =>
      [1, 3].flatMap((maxAttempts) =>
        [0, 1, 2, 3, 4].map((attempts) => ({ index, builderAlive, fault, attempts, maxAttempts })),
      ),
    ),
  ),
);

const those = (condition: (seen: Seen) => boolean): readonly Seen[] => {
  const found = everything.filter(condition);
  expect(found.length).toBeGreaterThan(0);
  return found;
};

const dropsOrStarts = (decision: Decision): boolean =>
  decision.kind === 'start' || (decision.kind === 'fail' && decision.dropFirst);

describe('whatever is seen', () => {
  it('a live builder is never followed by a drop or a start', () => {
    for (const seen of those(({ builderAlive }) => builderAlive)) {
      expect(dropsOrStarts(decide(seen)), JSON.stringify(seen)).toBe(false);
    }
  });

  it('a valid index of the same definition is done, whoever made it and whatever failed before', () => {
    for (const seen of those(({ index }) => index.kind === 'valid')) {
      expect(decide(seen)).toEqual({ kind: 'done', adopted: seen.attempts === 0 });
    }
  });

  it('only a valid index is done', () => {
    for (const seen of those(({ index }) => index.kind !== 'valid'))
      expect(decide(seen).kind).not.toBe('done');
  });

  it('nothing but an INVALID index is ever dropped', () => {
    for (const seen of those(({ index }) => index.kind !== 'invalid')) {
      const decision = decide(seen);
      if (decision.kind === 'start' || decision.kind === 'fail') expect(decision.dropFirst).toBe(false);
    }
  });

  it('an INVALID index that nobody builds is always dropped, so that none is left behind', () => {
    for (const seen of those(({ index, builderAlive }) => index.kind === 'invalid' && !builderAlive)) {
      expect(decide(seen)).toMatchObject({ dropFirst: true });
    }
  });

  it('nothing starts without an attempt left', () => {
    for (const seen of those(({ attempts, maxAttempts }) => attempts >= maxAttempts)) {
      expect(decide(seen).kind).not.toBe('start');
    }
  });

  it('nothing starts after an error that no retry can fix', () => {
    for (const seen of those(({ fault }) => fault === permanent)) expect(decide(seen).kind).not.toBe('start');
  });

  it('it waits only for a live builder, so that no loop waits for nobody', () => {
    for (const seen of everything) if (decide(seen).kind === 'wait') expect(seen.builderAlive).toBe(true);
  });

  it('the decision is the same each time', () => {
    for (const seen of everything) expect(decide(seen)).toEqual(decide(structuredClone(seen)));
  });
});

/** The rows of the table in docs/architecture.md, each over all that it does not mention. */
describe('the decision table', () => {
  const missing = ({ index }: Seen): boolean => index.kind === 'absent' || index.kind === 'invalid';

  it('valid, other definition: fails and shows both', () => {
    for (const seen of those(({ index }) => index.kind === 'conflict')) {
      expect(decide(seen)).toEqual({
        kind: 'fail',
        dropFirst: false,
        fault: {
          sqlstate: '42P07',
          message: 'an index of this name exists with another definition',
          detail: 'Wanted: CREATE INDEX i ON t (x)\nFound:  CREATE INDEX i ON t (y)',
          hint: 'Drop or rename the one that exists, or give the migration the definition that exists; then retry.',
        },
      });
    }
  });

  it('a live builder: waits, for an absent index as for an INVALID one', () => {
    for (const seen of those((seen) => missing(seen) && seen.builderAlive)) {
      expect(decide(seen)).toEqual({ kind: 'wait' });
    }
  });

  it('a permanent error was recorded: drops what is INVALID and fails with that error, attempts left or not', () => {
    for (const seen of those((seen) => missing(seen) && !seen.builderAlive && seen.fault === permanent)) {
      expect(decide(seen)).toEqual({
        kind: 'fail',
        dropFirst: seen.index.kind === 'invalid',
        fault: permanent,
      });
    }
  });

  it('absent or INVALID, attempts left: drops what is INVALID and starts', () => {
    for (const seen of those(
      (seen) =>
        missing(seen) && !seen.builderAlive && seen.fault !== permanent && seen.attempts < seen.maxAttempts,
    )) {
      expect(decide(seen)).toEqual({ kind: 'start', dropFirst: seen.index.kind === 'invalid' });
    }
  });

  it('absent or INVALID, none left: drops what is INVALID and fails with the last error', () => {
    for (const seen of those(
      (seen) =>
        missing(seen) && !seen.builderAlive && seen.fault === passing && seen.attempts >= seen.maxAttempts,
    )) {
      expect(decide(seen)).toEqual({
        kind: 'fail',
        dropFirst: seen.index.kind === 'invalid',
        fault: passing,
      });
    }
  });

  it('none left and no error known: says that the build ended without an outcome', () => {
    for (const seen of those(
      (seen) =>
        missing(seen) && !seen.builderAlive && seen.fault === undefined && seen.attempts >= seen.maxAttempts,
    )) {
      expect(decide(seen)).toEqual({
        kind: 'fail',
        dropFirst: seen.index.kind === 'invalid',
        fault: {
          sqlstate: '58000',
          message: 'the build ended without an outcome and left no valid index',
          detail: 'Its server or its session was lost each time.',
          hint: 'Look into the server log for the time of the attempts, then retry.',
        },
      });
    }
  });

  it('the table is gone: fails with what the attempt said, or says so itself', () => {
    for (const seen of those(({ index }) => index.kind === 'no-table')) {
      expect(decide(seen)).toEqual({
        kind: 'fail',
        dropFirst: false,
        fault: seen.fault ?? {
          sqlstate: '42P01',
          message: 'the table of this build does not exist any more',
        },
      });
    }
  });

  it('says something about everything that can be seen', () => {
    const kinds = new Set(everything.map((seen) => decide(seen).kind));
    expect(everything).toHaveLength(5 * 2 * 3 * 2 * 5);
    expect(kinds).toEqual(new Set(['done', 'wait', 'start', 'fail']));
  });
});

describe('an error', () => {
  it.each([
    ['57014', 'query_canceled'],
    ['57P01', 'admin_shutdown'],
    ['57P02', 'crash_shutdown'],
    ['57P03', 'cannot_connect_now'],
    ['40P01', 'deadlock_detected'],
    ['40001', 'serialization_failure'],
    ['55P03', 'lock_not_available'],
    ['55006', 'object_in_use'],
    ['53100', 'disk_full'],
    ['53200', 'out_of_memory'],
    ['53300', 'too_many_connections'],
    ['08006', 'connection_failure'],
    ['08003', 'connection_does_not_exist'],
    ['58030', 'io_error'],
    ['XX000', 'internal_error'],
    ['42P07', 'duplicate_table'],
  ])('%s (%s) may pass', (sqlstate) => {
    expect(isPermanent({ sqlstate, message: '' })).toBe(false);
  });

  it.each([
    ['23505', 'unique_violation'],
    ['42703', 'undefined_column'],
    ['42P01', 'undefined_table'],
    ['42704', 'undefined_object'],
    ['42501', 'insufficient_privilege'],
    ['42601', 'syntax_error'],
    ['42P17', 'invalid_object_definition'],
    ['42883', 'undefined_function'],
    ['42804', 'datatype_mismatch'],
    ['22012', 'division_by_zero, in an index expression'],
    ['22P02', 'invalid_text_representation, in an index expression'],
    ['54000', 'program_limit_exceeded: index row size'],
    ['0A000', 'feature_not_supported'],
    ['P0001', 'raise_exception, in a function of the index'],
  ])('%s (%s) is permanent', (sqlstate) => {
    expect(isPermanent({ sqlstate, message: '' })).toBe(true);
  });
});
