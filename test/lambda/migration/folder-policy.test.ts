import { describe, expect, it } from 'vitest';
import { FolderRefused, folderFaults, refuseFolder } from '../../../lambda/migration/folder-policy.ts';
import { emptyLedger, type RecordedStep } from '../../../lambda/migration/ledger.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { type Plan, plan } from '../../../lambda/migration/plan.ts';
import { migration, recorded, statement, transaction } from './made-up.ts';

const step = (number: number) => transaction(number, statement('CreateStmt'));
const [one, two, three] = [migration('1', [step(0)]), migration('2', [step(0)]), migration('3', [step(0)])];
const ledgerOf = (steps: readonly RecordedStep[]) => ({ ...emptyLedger, steps });
const applied = ledgerOf([recorded(one, 0), recorded(three, 0)]);
const late: Plan = plan([one, two, three], applied);
const missing: Plan = plan([one], applied);
const messages = (planned: Plan, policy: Parameters<typeof folderFaults>[1]) =>
  folderFaults(planned, policy).map(({ message }) => message.split('\n'));

describe('by default', () => {
  it('late files are applied and missing ones ignored', () => {
    expect(late.late).toEqual([two]);
    expect(missing.unknown).toHaveLength(1);
    expect([...folderFaults(late, defaultOptions), ...folderFaults(missing, defaultOptions)]).toEqual([]);
  });
});

describe('a folder that is refused', () => {
  it('for a late file says which, newer than what, and what to do', () => {
    expect(messages(late, { lateMigrations: 'refuse', missingMigrations: 'ignore' })).toEqual([
      [
        "2_name.sql: pending, and older than the newest applied migration, version 3; lateMigrations is 'refuse'.",
        'Applied: nothing by this run.',
        "Next: give it a version above 3; or let them be applied: lateMigrations: 'apply' (on the command line --late apply).",
      ],
    ]);
  });

  it('for a missing file says which, and how the ledger forgets it', () => {
    expect(messages(missing, { lateMigrations: 'apply', missingMigrations: 'refuse' })).toEqual([
      [
        "3_name: applied, and not in this folder; missingMigrations is 'refuse'.",
        'Applied: nothing by this run.',
        'Next: bring the file back; or have the ledger forget what is gone permanently: {"action": "repair", "version": "3", "forget": true, "confirm": true}, on the command line repair 3 --forget --confirm; or let files be missing: missingMigrations: \'ignore\' (--missing ignore).',
      ],
    ]);
  });

  it('throws the first', () => {
    expect(() => refuseFolder(late, { lateMigrations: 'refuse', missingMigrations: 'refuse' })).toThrow(
      FolderRefused,
    );
  });
});

it('a file that is applied in part was not late when it came', () => {
  const parts = migration('2', [step(0), step(1)]);
  expect(
    plan([one, parts, three], ledgerOf([recorded(one, 0), recorded(parts, 0), recorded(three, 0)])).late,
  ).toEqual([]);
});
