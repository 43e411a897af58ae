import { describe, expect, it } from 'vitest';
import {
  emptyLedger,
  type Ledger,
  type RecordedStep,
  type StepState,
} from '../../../lambda/migration/ledger.ts';
import type { Step } from '../../../lambda/migration/migration.ts';
import { DriftError, type Plan, plan } from '../../../lambda/migration/plan.ts';
import { build, createIndex, migration, recorded, statement, transaction } from './made-up.ts';

const one = migration('1', [transaction(0, statement('CreateStmt'))]);
const three = migration('2', [
  transaction(0, statement('CreateStmt')),
  createIndex(1, { schema: undefined, name: 't' }, 't_x'),
  transaction(2, statement('AlterTableStmt')),
]);
const folder = [one, three];

const ledger = (steps: readonly RecordedStep[]): Ledger => ({ ...emptyLedger, steps });
const pending = ({ pending }: Plan): string[] =>
  pending.map(({ migration, step, record }) => `${migration.version}.${step.number} ${record}`);

describe('the plan', () => {
  it('of an empty ledger is everything, in order', () => {
    expect(pending(plan(folder, emptyLedger))).toEqual(['1.0 none', '2.0 none', '2.1 none', '2.2 none']);
  });

  it('of a full ledger is nothing', () => {
    const rows = [recorded(one, 0), recorded(three, 0), recorded(three, 1), recorded(three, 2)];
    expect(plan(folder, ledger(rows))).toEqual({
      pending: [],
      builds: [],
      abandoned: [],
      amended: [],
      reformatted: [],
      late: [],
      unknown: [],
      newest: '2',
    });
  });

  it('continues within a file at the first step that is missing', () => {
    expect(pending(plan(folder, ledger([recorded(one, 0), recorded(three, 0)])))).toEqual([
      '2.1 none',
      '2.2 none',
    ]);
  });

  it.each<[StepState, string[]]>([
    ['applied', []],
    ['pending', []],
    ['failed', []],
    ['baselined', []],
    ['started', ['2.1 interrupted']],
  ])('leaves a step that is %s at: %j', (state, left) => {
    const rows = [recorded(one, 0), recorded(three, 0), recorded(three, 1, state), recorded(three, 2)];
    expect(pending(plan(folder, ledger(rows)))).toEqual(left);
  });

  it('takes a failed build’s step again where its statement was rewritten', () => {
    const rows = [
      recorded(one, 0),
      recorded(three, 0),
      { ...recorded(three, 1, 'failed'), fingerprint: 'as it was', checksum: 'as it was' },
      recorded(three, 2),
    ];
    expect(pending(plan(folder, ledger(rows)))).toEqual(['2.1 rewritten']);
  });

  it('names files that are older than the newest applied one, and runs them first', () => {
    const planned = plan(
      [one, three, migration('3', three.steps)],
      ledger([0, 1, 2].map((step) => recorded(three, step))),
    );
    expect(pending(planned)).toEqual(['1.0 none', '3.0 none', '3.1 none', '3.2 none']);
    expect(planned.late).toEqual([one]);
  });

  it('names what was applied and is not in the folder, and plans nothing for it', () => {
    const planned = plan([one], ledger([recorded(one, 0), recorded(three, 0), recorded(three, 1)]));
    expect(planned.unknown).toEqual([{ version: '2', name: '2_name' }]);
    expect(planned.pending).toEqual([]);
  });

  it('keeps the builds that are not over, and those that ended without success', () => {
    const states = ['pending', 'building', 'done', 'failed', 'cancelled'] as const;
    const builds = states.map((state) => build({ table: 't', index: state, state }));
    const { builds: kept, abandoned } = plan(folder, { steps: [recorded(one, 0, 'failed')], builds });
    expect(kept.map(({ index }) => index)).toEqual(['pending', 'building', 'failed', 'cancelled']);
    expect(abandoned).toEqual([]);
  });

  it.each<[string, Ledger['steps'], typeof folder]>([
    ['whose file is gone', [recorded(one, 0, 'failed')], []],
    ['whose step is gone', [recorded(one, 0, 'failed')], [{ ...one, steps: [] }]],
    [
      'whose statement is another now',
      [{ ...recorded(one, 0, 'failed'), fingerprint: 'as it was', checksum: 'as it was' }],
      [one],
    ],
    ['whose step was forgotten', [], [one]],
  ])('abandons a build that has ended, and no other, %s', (_, steps, files) => {
    const states = ['pending', 'building', 'done', 'failed', 'cancelled'] as const;
    const builds = states.map((state) => build({ table: 't', index: state, state }));
    const planned = plan(files, { steps, builds });
    expect(planned.builds.map(({ index }) => index)).toEqual(['pending', 'building']);
    expect(planned.abandoned.map(({ index }) => index)).toEqual(['failed', 'cancelled']);
  });
});

describe('an applied file that changed', () => {
  const changedIn = (state: StepState, step: number) => {
    const rows = [0, 1, 2].map((number) => recorded(three, number));
    rows[step] = { ...recorded(three, step, state), fingerprint: 'as it was' };
    return () => plan([{ ...three, checksum: 'as it is' }], ledger(rows));
  };

  it('in its statements is drift: both checksums, the step, and what to do', () => {
    expect(changedIn('applied', 1)).toThrow(
      new DriftError({
        code: 'drift',
        what: '2_name.sql: step 2 of 3 of this migration was applied with other statements than the file has now (checksum applied bytes of 2, file as it is).',
        applied: 'nothing by this run.',
        next: 'restore the file and put the change into a new migration; or, if the database already agrees with the file, accept it: {"action": "repair", "version": "2", "accept": "checksum", "confirm": true}, on the command line repair 2 --accept-checksum --confirm.',
      }),
    );
  });

  it.each<[StepState, boolean]>([
    ['applied', true],
    ['pending', true],
    ['started', true],
    ['failed', false],
    ['baselined', false],
  ])('in a step that is %s: drift is %s', (state, drift) => {
    if (drift) expect(changedIn(state, 0)).toThrow(DriftError);
    else expect(changedIn(state, 0)).not.toThrow();
  });

  it('in comments or white space only is named and runs nothing', () => {
    const reformatted = { ...one, checksum: 'with another comment' };
    const planned = plan([reformatted], ledger([recorded(one, 0)]));
    expect(planned).toMatchObject({ pending: [], reformatted: [reformatted] });
  });

  it('is no drift where its bytes are the same, whatever today’s compiler makes of them', () => {
    const compiledAnew = migration('2', [transaction(0, statement('CreateStmt'))]);
    const rows = [0, 1, 2].map((number) => recorded(three, number));
    expect(plan([compiledAnew], ledger(rows))).toMatchObject({ pending: [], reformatted: [] });
  });

  it('may not grow once it was applied to its end', () => {
    const grown = migration('1', [...one.steps, transaction(1, statement('CreateStmt'))], {
      checksum: 'longer',
    });
    expect(() => plan([grown], ledger([recorded(one, 0)]))).toThrow(
      '1_name.sql: this migration was applied with other statements than the file has now (checksum applied bytes of 1, file longer).',
    );
  });

  it('may be rewritten and grow after the last step that was applied, where it stopped within or a build failed', () => {
    const [first, second, third] = three.steps as [Step, Step, Step];
    const fixed = { ...third, fingerprint: 'fixed' };
    const grown = migration('2', [first, second, fixed, transaction(3)], { checksum: 'longer' });
    const stopped = [recorded(three, 0), recorded(three, 1)];
    expect(pending(plan([grown], ledger(stopped)))).toEqual(['2.2 none', '2.3 none']);
    const failed = [recorded(three, 0), recorded(three, 1), recorded(three, 2, 'failed')];
    expect(pending(plan([grown], ledger(failed)))).toEqual(['2.2 rewritten', '2.3 none']);
    expect(plan([grown], ledger(failed)).reformatted).toEqual([]);
  });

  it('may not shrink: an applied step that is gone is drift', () => {
    const shrunk = migration('2', three.steps.slice(0, 2), { checksum: 'shorter' });
    expect(() => plan([shrunk], ledger([0, 1, 2].map((step) => recorded(three, step))))).toThrow(DriftError);
  });
});

it('whatever part of it is recorded, a plan applies the rest and nothing twice', () => {
  const all = [one, three, migration('10', three.steps)];
  const steps = all.flatMap((of) => of.steps.map(({ number }) => ({ of, number })));
  for (let mask = 0; mask < 2 ** steps.length; mask += 1) {
    const done = steps.filter((_, bit) => (mask >> bit) % 2 === 1);
    const planned = plan(all, ledger(done.map(({ of, number }) => recorded(of, number))));
    const names = (list: typeof steps) => list.map(({ of, number }) => `${of.version}.${number} none`);
    expect(pending(planned)).toEqual(names(steps.filter((step) => !done.includes(step))));
  }
});
