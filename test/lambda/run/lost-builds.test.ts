import { describe, expect, it } from 'vitest';
import { withSession } from '../../../lambda/postgres/session/connect.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { settle } from '../../../lambda/work/turn/settle.ts';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { freshOperator } from '../actions/operator.ts';
import { type Files, freshScenario, largeTable } from './scenario.ts';

const tables: Files = { '1_tables.sql': `${largeTable('large')}\n${largeTable('other')}` };

describe('a failed build whose statement is not in the folder any more', () => {
  const failing = 'create unique index concurrently u on large ((x / 2));';
  const before: Files = { ...tables, '2_first.sql': `create table first ();\n${failing}` };

  const folders: [string, Files][] = [
    ['its file was taken away', tables],
    ['its file was cut short', { ...tables, '2_first.sql': 'create table first ();' }],
    [
      'it was rewritten, fixed, under another version',
      { ...tables, '5_again.sql': 'create unique index concurrently u on large ((x * 2));' },
    ],
  ];
  const steps: [string, string][] = [
    ['a DO block', 'do $$ begin perform 1; end $$;\ncreate table done ();'],
    ['a file that says wait', '-- migrate: wait\ncreate table done ();'],
    ['DDL on its table', 'alter table large add column y int;\ncreate table done ();'],
  ];
  const cases = folders.flatMap(([folder, files]) =>
    steps.map(([step, sql]) => [folder, step, { ...files, '9_step.sql': sql }] as const),
  );

  it.each(firstOf(3, cases))('holds up nobody: %s; %s', async (folder, _, files) => {
    const scenario = await freshScenario({ dblink: true });
    await scenario.run(tables);
    expect((await scenario.deploy(before)).outcome).toBe('failed');
    expect(await scenario.deploy(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.query("select to_regclass('done') is not null as applied")).toEqual([
      { applied: true },
    ]);
    const { builds } = await scenario.status(files);
    // A fixed file has let go of the step, and of its build with it.
    const kept = folder === 'its file was cut short' ? undefined : { state: 'failed', abandoned: true };
    expect(builds.map(({ state, abandoned }) => ({ state, abandoned }))[0]).toEqual(kept);
  });

  /** What fails in the loop, of every kind of work. */
  const kinds: [string, string][] = [
    ['a backfill', '-- migrate: backfill\nupdate large set x = 1 / (id - 200) where x > 0;'],
    [
      'a validation',
      'alter table large add constraint c check (x < 400) not valid;\nalter table large validate constraint c;',
    ],
    ['a statement under hand-off', '-- migrate: hand-off\nupdate large set x = 1 / (id - 200);'],
    ['a refresh', 'refresh materialized view seen;'],
    ['a drop', 'drop index concurrently large_pkey;'],
  ];
  const withView: Files = {
    '1_tables.sql': `${tables['1_tables.sql']}
create materialized view seen as select 1 / (id - 501) as x from large;`,
  };

  for (const [kind, sql] of kinds) {
    exhaustive.it.each(steps)(`holds up nobody, where it was ${kind}: %s`, async (_, step) => {
      const scenario = await freshScenario({ dblink: true });
      await scenario.run(withView);
      await scenario.query('insert into large values (501, 501)');
      const failed = await scenario.deploy({ ...withView, '2_first.sql': sql }, { dataCheckSeconds: 0 });
      expect(failed.outcome).toBe('failed');
      expect(await scenario.deploy({ ...withView, '9_step.sql': step })).toEqual({
        outcome: 'valid',
        message: '',
      });
      expect(await scenario.query("select to_regclass('done') is not null as applied")).toEqual([
        { applied: true },
      ]);
      const { builds } = await scenario.status({ ...withView, '9_step.sql': step });
      expect(builds.filter(({ state }) => state === 'failed').map(({ abandoned }) => abandoned)).toEqual([
        true,
      ]);
    });
  }

  it('is not tried again by a deploy; one whose statement is there is', async () => {
    const scenario = await freshScenario({ dblink: true });
    await scenario.run(tables);
    await scenario.deploy(before);
    await scenario.query('update large set x = x * 2');
    await scenario.run(tables);
    expect(await scenario.query('select state from migrations.index_build')).toEqual([{ state: 'failed' }]);
    await scenario.run(before);
    expect(await scenario.query('select state from migrations.index_build')).toEqual([{ state: 'pending' }]);
  });
});

describe('a loop that ends', () => {
  const files: Files = { ...tables, '2_i.sql': 'create index concurrently i on large (x);' };

  exhaustive.it(
    'takes no notice of an action that was mistyped beside it, or of what failed before',
    async () => {
      const operator = await freshOperator();
      await operator.run(tables);
      const ending = (startedAt: Date) =>
        withSession(parseConnectionUrl(operator.database.url, 'The URL'), (session) =>
          settle(session, 'migrations', { startedAt, rows: 'shown' }),
        );
      await expect(operator.run({ ...tables, '2_i.sql': 'alter table nobody add x int;' })).rejects.toThrow();
      const startedAt = new Date();
      await operator.deploy(files);
      await operator.refusal({ action: 'cancel', index: 'nope' }, files);
      expect(await ending(startedAt)).toEqual({ outcome: 'valid', message: '' });

      // What a deploy since then ran into is its affair.
      await expect(operator.run({ ...files, '3_x.sql': 'alter table nobody add x int;' })).rejects.toThrow();
      expect(await ending(startedAt)).toMatchObject({
        outcome: 'failed',
        message: expect.stringMatching(/^The run that followed failed: 3_x\.sql:1:1: /),
      });
      expect(await ending(new Date())).toEqual({ outcome: 'valid', message: '' });
    },
  );

  it('tells which step still waits for a build that was lost before it began', async () => {
    const operator = await freshOperator();
    await operator.run(tables);
    await operator.run(files);
    await operator.act({ action: 'cancel', index: 'i' }, files);
    const more: Files = {
      ...files,
      '3_other.sql': 'create index concurrently o on other (x);',
      '4_waits.sql': 'alter table large add column y int;',
    };
    await operator.run(more);
    expect(await operator.loop(more)).toEqual({
      outcome: 'failed',
      message:
        '4_waits.sql still waits: it changes the table large, and i is cancelled. Next: run the action retry, or fix the cause and deploy.',
    });
  });
});

exhaustive.it('a step that was rewritten waits until no build of it is at work any more', async () => {
  const operator = await freshOperator();
  await operator.query(
    `${tables['1_tables.sql']}\ncreate index large_x on large (x);\ncreate index other_x on other (x);\ncreate index other_y on other (x);`,
  );
  const drops: Files = { '2_drop.sql': 'drop index concurrently large_x, other_x;' };
  const edited: Files = { '2_drop.sql': 'drop index concurrently if exists other_x, other_y;' };
  const open = await operator.session();
  await open.query('begin; select from large limit 1; select from other limit 1');
  await operator.run(drops);
  const looping = operator.loop(drops);
  await expectEventually(async () => {
    const building = await operator.query(
      'select 1 from migrations.index_build where builder_pid is not null',
    );
    return building.length === 2;
  });
  await operator.act({ action: 'cancel', index: 'large_x' }, drops).catch(() => undefined);
  expect((await operator.run(edited)).waiting?.because).toBe(
    'the file was changed while one of its builds is under way, and other_x is building',
  );
  await open.query('rollback');
  await looping;
  expect(await operator.deploy(edited)).toEqual({ outcome: 'valid', message: '' });
  expect(await operator.indexes()).not.toContain('other_y');
});
