import { beforeEach, describe, expect, it } from 'vitest';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { type Files, freshScenario, largeTable, type Scenario } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
  await scenario.run(tables);
});

const tables: Files = {
  '1_tables.sql': `${largeTable('large')}\n${largeTable('other')}\ncreate table log (what text);`,
};
const indexes: Files = {
  ...tables,
  '2_indexes.sql': `create index concurrently large_x on large (x);
create unique index concurrently large_u on large (x);`,
};
const after = (sql: string): Files => ({
  ...indexes,
  '3_step.sql': sql,
  '4_later.sql': `insert into log values ('later')`,
});

const applied = async () => (await scenario.steps()).filter((step) => step.endsWith(' applied'));

describe('a later step', () => {
  it.each(
    firstOf(3, [
      [
        'its DDL touches the table',
        'alter table large add column y int',
        'it changes the table large, and large_x is pending',
      ],
      ['it drops the table', 'drop table large', 'it changes the table large, and large_x is pending'],
      [
        'it refers to the table',
        'create table child (l int references large)',
        'it changes the table large, and large_x is pending',
      ],
      ['it truncates the table', 'truncate large', 'it changes the table large, and large_x is pending'],
      [
        'it names the index',
        `comment on index large_x is 'x'`,
        'it names the index large_x, and large_x is pending',
      ],
      [
        'it needs the index: USING INDEX',
        'alter table large add constraint large_k unique using index large_u',
        'it changes the table large, and large_x is pending',
      ],
      [
        'it needs the index: ON CONFLICT',
        'insert into large values (1000, 1) on conflict (x) do update set id = 1000',
        'its ON CONFLICT may need the unique index large_u, and large_u is pending',
      ],
      [
        'nobody can see into a DO block',
        `do $$ begin insert into log values ('do'); end $$`,
        'nobody can see into a DO block, and large_x is pending',
      ],
      [
        'the file says so',
        `-- migrate: wait\nselect 1`,
        'the file says `-- migrate: wait`, and large_x is pending',
      ],
    ]),
  )('waits where %s, and all after it', async (_, sql, because) => {
    const { outcome, waiting } = await scenario.run(after(`${sql};`));
    expect({ outcome, waiting }).toEqual({
      outcome: 'waiting',
      waiting: { file: '3_step.sql', step: 0, because },
    });
    expect(await applied()).toEqual(['1.0 applied']);
    expect(await scenario.query('select what from log')).toEqual([]);
  });

  it.each(
    firstOf(1, [
      'alter table large add constraint large_k unique using index large_u',
      'insert into large values (1000, 1) on conflict (x) do update set id = 1000',
    ]),
  )('is resumed by the loop, with all after it: %s', async (sql) => {
    const files = after(`${sql};`);
    expect((await scenario.run(files)).outcome).toBe('waiting');
    expect(await scenario.loop(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await applied()).toEqual([
      '1.0 applied',
      '2.0 applied',
      '2.1 applied',
      '3.0 applied',
      '4.0 applied',
    ]);
    expect(await scenario.query('select what from log')).toEqual([{ what: 'later' }]);
  });

  exhaustive.it('waits where it calls a procedure', async () => {
    await scenario.query(
      `create procedure note() language plpgsql as $$ begin insert into log values ('called'); end $$`,
    );
    const { waiting } = await scenario.run(after('call note();'));
    expect(waiting?.because).toBe('nobody can see into a CALL, and large_x is pending');
    await scenario.loop(after('call note();'));
    expect(await scenario.query('select what from log')).toEqual([{ what: 'called' }, { what: 'later' }]);
  });

  it.each(
    firstOf(2, [
      ['changes another table', 'alter table other add column y int'],
      ['creates a table', 'create table fresh (x int)'],
      ['writes to the table', 'update large set x = x where id = 1'],
      ['writes with ON CONFLICT to another table', 'insert into other values (1, 1) on conflict do nothing'],
      ['creates a view over the table', 'create view seen as select x from large'],
      ['is an autocommit step on another table', 'vacuum log'],
      ['creates a function', 'create function f() returns int language sql as $$ select 1 $$'],
    ]),
  )('does not wait where it %s', async (_, sql) => {
    const { outcome, builds } = await scenario.run(after(`${sql};`));
    expect(outcome).toBe('done');
    expect(builds.map(({ index, state }) => `${index} ${state}`)).toEqual([
      'large_x pending',
      'large_u pending',
    ]);
    expect(await applied()).toEqual(['1.0 applied', '3.0 applied', '4.0 applied']);
  });

  it('of the very file whose index it needs waits as well, and earlier ones are applied', async () => {
    const files = {
      ...tables,
      '2_unique.sql': `insert into log values ('before');
create unique index concurrently large_u on large (x);
insert into log values ('beside');
alter table large add constraint large_k unique using index large_u;`,
    };
    // Both statements behind the index are one step.
    expect((await scenario.run(files)).outcome).toBe('waiting');
    expect(await scenario.query('select what from log')).toEqual([{ what: 'before' }]);
    await scenario.loop(files);
    expect(await scenario.query('select what from log')).toEqual([{ what: 'before' }, { what: 'beside' }]);
    expect(await scenario.query(`select conname from pg_constraint where conname = 'large_k'`)).toHaveLength(
      1,
    );
  });

  exhaustive.it('that waits does so again in the next run, which does nothing twice', async () => {
    const files = after('alter table large add column y int;');
    await scenario.run(files);
    const again = await scenario.run(files);
    expect({ outcome: again.outcome, applied: again.applied }).toEqual({ outcome: 'waiting', applied: [] });
    expect(await scenario.query('select count(*)::int as builds from migrations.index_build')).toEqual([
      { builds: 2 },
    ]);
  });

  exhaustive.it('that hands off further builds is followed by another round of the loop', async () => {
    const files = after(
      'alter table large add column y int;\ncreate index concurrently large_y on large (y);',
    );
    expect(await scenario.deploy(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.indexes()).toContain('large_y');
    expect(await scenario.query('select count(*)::int as done from migrations.index_build')).toEqual([
      { done: 3 },
    ]);
  });

  it('that fails after the builds is told by the loop’s end, and applied once it is fixed', async () => {
    const { outcome, message } = await scenario.deploy(after('alter table large drop column missing;'));
    expect(outcome).toBe('failed');
    expect(message).toBe(
      [
        'The run that followed failed: 3_step.sql:1:1: This statement failed.',
        'Postgres: column "missing" of relation "large" does not exist (SQLSTATE 42703)',
        'Statement: alter table large drop column missing',
        'Applied: nothing by this run before it; nothing of 3_step.sql.',
        'Next: correct 3_step.sql and run again; the run continues with this step.',
      ].join('\n'),
    );
    expect(await scenario.deploy(after('alter table large add column y int;'))).toMatchObject({
      outcome: 'valid',
    });
  });
});

describe('a build that fails', () => {
  const duplicates: Files = {
    ...tables,
    '2_indexes.sql': `create unique index concurrently large_twice on large ((x / 2));
create index concurrently other_x on other (x);`,
    '3_needs.sql': 'alter table large add column y int;',
  };

  exhaustive.it(
    'keeps what needs it waiting, stops nobody else, leaves nothing INVALID, and is tried again by a deploy',
    async () => {
      const { outcome, message } = await scenario.deploy(duplicates, { dataCheckSeconds: 0 });
      expect(outcome).toBe('failed');
      expect(message.replace(/\(\(x \/ 2\)\)=\(\d+\)/, '((x / 2))=(N)')).toBe(
        'large_twice on public.large (2_indexes.sql:1) failed after 1 attempt: could not create unique index "large_twice" (SQLSTATE 23505); Key ((x / 2))=(N) is duplicated. Next: fix the cause, then run again (or the action retry).',
      );
      expect(await scenario.indexes()).toEqual(['large_pkey', 'other_pkey', 'other_x']);
      expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 failed', '2.1 applied']);

      await scenario.query('update large set x = x * 2');
      expect(await scenario.deploy(duplicates)).toEqual({ outcome: 'valid', message: '' });
      expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied', '2.1 applied', '3.0 applied']);
    },
  );

  it('is replaced by what its file says when that was rewritten', async () => {
    await scenario.deploy(duplicates);
    const fixed = {
      ...duplicates,
      '2_indexes.sql': duplicates['2_indexes.sql']?.replace('(x / 2)', '(x * 2)') ?? '',
    };
    expect(await scenario.deploy(fixed)).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.query('select index_name, state from migrations.index_build order by 1')).toEqual([
      { index_name: 'large_twice', state: 'done' },
      { index_name: 'other_x', state: 'done' },
    ]);
  });
});

exhaustive.it(
  'the loop of a deploy that was rolled back finishes the builds of the newer code, and applies nothing of it',
  async () => {
    const newer = after('alter table large add column y int;');
    await scenario.run(newer);
    expect(await scenario.loop(tables)).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.indexes()).toEqual(['large_pkey', 'large_u', 'large_x', 'other_pkey']);
    expect(await applied()).toEqual(['1.0 applied', '2.0 applied', '2.1 applied']);
    expect((await scenario.run(newer)).applied.map(({ migration }) => migration.name)).toEqual([
      '3_step',
      '4_later',
    ]);
  },
);
