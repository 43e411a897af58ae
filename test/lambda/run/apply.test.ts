import { beforeEach, describe, expect, it } from 'vitest';
import { withTcpProxy } from '../../../local/wire/tcp-proxy.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { freshScenario, type Scenario } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario();
});

const users = { '1_users.sql': 'create table users (id int primary key, name text not null);' };
const words = {
  '2_words.sql':
    'create table words (id int, user_id int references users);\ncreate index on words (user_id);',
};

describe('a run', () => {
  it('applies everything to an empty database, in the order of versions', async () => {
    const files = {
      '10_last.sql': `insert into log values ('last');`,
      '9_middle.sql': `insert into log values ('middle');`,
      '0001_first.sql': `create table log (what text, at int generated always as identity);
insert into log values ('first');`,
    };
    const { outcome, applied } = await scenario.run(files);
    expect(outcome).toBe('done');
    expect(applied.map(({ migration, how }) => `${migration.name} ${how}`)).toEqual([
      '0001_first transaction',
      '9_middle transaction',
      '10_last transaction',
    ]);
    expect(await scenario.query('select what from log order by at')).toEqual([
      { what: 'first' },
      { what: 'middle' },
      { what: 'last' },
    ]);
    expect(await scenario.steps()).toEqual(['1.0 applied', '9.0 applied', '10.0 applied']);
  });

  exhaustive.it('applies an empty file and a file of comments, and records them', async () => {
    await scenario.run({ '1_empty.sql': '', '2_comments.sql': '-- later\n/* much later */\n' });
    expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied']);
  });

  it('applies only what is new in an update', async () => {
    await scenario.run(users);
    const { applied } = await scenario.run({ ...users, ...words });
    expect(applied.map(({ migration }) => migration.name)).toEqual(['2_words']);
    expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied']);
  });

  exhaustive.it('applies a file that is older than the newest applied one, and names it', async () => {
    await scenario.run({ '1_a.sql': '', '3_c.sql': '' });
    await scenario.run({ '1_a.sql': '', '2_b.sql': 'create table b ()', '3_c.sql': '' });
    expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
    const planned = scenario.events.findLast((event) => event.kind === 'planned');
    expect(planned?.kind === 'planned' && planned.plan.late.map(({ name }) => name)).toEqual(['2_b']);
  });

  exhaustive.it(
    'changes nothing when the database is ahead of its files, as after a rollback, and names what it does not know',
    async () => {
      await scenario.run({ ...users, ...words });
      const { outcome, applied } = await scenario.run(users);
      expect({ outcome, applied }).toEqual({ outcome: 'done', applied: [] });
      expect(await scenario.query('select * from words')).toEqual([]);
      const planned = scenario.events.findLast((event) => event.kind === 'planned');
      expect(planned?.kind === 'planned' && planned.plan.unknown).toEqual([
        { version: '2', name: '2_words' },
      ]);
    },
  );

  it('with nothing to do takes at most 5 round trips, connecting included, and is recorded', async () => {
    await scenario.run({ ...users, ...words });
    await withTcpProxy({ target: scenario.database.url }, async (proxy) => {
      const { outcome } = await scenario.run({ ...users, ...words }, { url: proxy.url });
      expect(outcome).toBe('done');
      expect(proxy.traffic.connections).toBe(1);
      expect(proxy.traffic.roundTrips).toBeLessThanOrEqual(5);
    });
    const runs = await scenario.query(
      'select outcome, actor, finished_at is not null as over from migrations.run',
    );
    expect(runs).toEqual([
      { outcome: 'done', actor: 'Update of stack test', over: true },
      { outcome: 'done', actor: 'Update of stack test', over: true },
    ]);
  });

  exhaustive.it('sends 1,000 migrations of a table and an index each in at most 40 round trips', async () => {
    const files: Record<string, string> = {};
    for (let number = 1; number <= 1000; number += 1) {
      files[`${number}_t.sql`] = `create table t${number} (id int); create index on t${number} (id);`;
    }
    await withTcpProxy({ target: scenario.database.url }, async (proxy) => {
      const { outcome } = await scenario.run(files, { url: proxy.url });
      expect(outcome).toBe('done');
      expect(proxy.traffic.roundTrips).toBeLessThanOrEqual(40);
    });
    expect(await scenario.query('select count(*)::int as steps from migrations.step')).toEqual([
      { steps: 1000 },
    ]);
  });

  exhaustive.it('keeps its ledger in the schema that it is told, quoted where it must be', async () => {
    await scenario.run(users, { ledgerSchema: 'Ops "Ledger"' });
    expect(await scenario.query('select version, state from "Ops ""Ledger""".step')).toEqual([
      { version: '1', state: 'applied' },
    ]);
  });
});

const fails = {
  ...users,
  '2_words.sql': [
    'create table words (id int);',
    '-- Ümläute and 😀 count as one character each',
    'insert into words values (1); insert',
    '  into words (id, user_id) values (2, 1);',
    'create table never ();',
  ].join('\n'),
  '3_later.sql': 'create table later ();',
};

describe('a file that fails', () => {
  it('is undone as a whole; earlier files stay, later ones do not begin', async () => {
    await scenario.failure(fails);
    expect(
      await scenario.query(
        `select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
      ),
    ).toEqual([{ relname: 'users' }]);
    expect(await scenario.steps()).toEqual(['1.0 applied']);
  });

  it('is named with line, column, statement, SQLSTATE, what is applied and what to do', async () => {
    const error = await scenario.failure(fails);
    expect(error.code).toBe('statement-failed');
    expect(error.message).toBe(
      [
        '2_words.sql:4:19: This statement failed.',
        'Postgres: column "user_id" of relation "words" does not exist (SQLSTATE 42703)',
        'Statement: insert into words (id, user_id) values (2, 1)',
        'Applied: 1_users by this run; nothing of 2_words.sql.',
        'Next: correct 2_words.sql and run again; the run continues with this step.',
      ].join('\n'),
    );
  });

  exhaustive.it('is recorded with the run', async () => {
    const { message } = await scenario.failure(fails);
    expect(await scenario.query('select outcome, summary from migrations.run')).toEqual([
      {
        outcome: 'failed',
        summary: {
          applied: ['1_users'],
          steps: 1,
          error: message,
          // For whoever may not see a row's values.
          plainError: message.replace(/\nStatement: .*/, ''),
        },
      },
    ]);
  });

  it('is applied by the next run once it is fixed, with all after it', async () => {
    await scenario.failure(fails);
    const { applied } = await scenario.run({ ...fails, '2_words.sql': 'create table words (id int);' });
    expect(applied.map(({ migration }) => migration.name)).toEqual(['2_words', '3_later']);
  });

  exhaustive.it(
    'tells detail and hint, and the statement’s own place where Postgres gives no position',
    async () => {
      const error = await scenario.failure({
        ...users,
        '2_rows.sql': `insert into users values (1, 'a');\n\n  insert into users\n  values (1, 'b');`,
      });
      expect(error.message).toBe(
        [
          '2_rows.sql:3:3: This statement failed.',
          'Postgres: duplicate key value violates unique constraint "users_pkey" (SQLSTATE 23505)',
          'Detail: Key (id)=(1) already exists.',
          'Object: table public.users, constraint users_pkey',
          "Statement: insert into users values (1, 'b')",
          'Applied: 1_users by this run; nothing of 2_rows.sql.',
          'Next: fix the rows that are in the way, in a file before 2_rows.sql, or correct 2_rows.sql; then run again; the run continues with this step.',
        ].join('\n'),
      );
    },
  );

  exhaustive.it('is found among 200 that travel with it', async () => {
    const files: Record<string, string> = {};
    for (let number = 1; number <= 200; number += 1) files[`${number}_t.sql`] = `create table t${number} ();`;
    files['137_t.sql'] = 'create table t137 ();\nselect 1 / 0;';
    const error = await scenario.failure(files);
    expect(error.message).toBe(
      [
        '137_t.sql:2:1: This statement failed.',
        'Postgres: division by zero (SQLSTATE 22012)',
        'Statement: select 1 / 0',
        'Applied: 1_t … 136_t by this run (136 files); nothing of 137_t.sql.',
        'Next: correct 137_t.sql and run again; the run continues with this step.',
      ].join('\n'),
    );
    expect(await scenario.query('select count(*)::int as applied from migrations.step')).toEqual([
      { applied: 136 },
    ]);
  });

  it('stays failed only where it failed: a file of several steps continues in its third', async () => {
    const broken = {
      '1_kinds.sql': [
        `create type kind as enum ('a');`,
        `alter type kind add value 'b';`,
        `create table kinds (kind kind default 'b', other int check (other > missing));`,
        `create table after ();`,
      ].join('\n'),
    };
    const error = await scenario.failure(broken);
    expect(error.message).toContain('1_kinds.sql:3:');
    expect(error.message).toContain('Applied: 1_kinds by this run; nothing of step 3 of 1_kinds.sql.\n');
    expect(await scenario.steps()).toEqual(['1.0 applied', '1.1 applied']);

    const { applied } = await scenario.run({
      '1_kinds.sql': broken['1_kinds.sql'].replace('missing', '0'),
    });
    expect(applied.map(({ step }) => step)).toEqual([2]);
    expect(await scenario.steps()).toEqual(['1.0 applied', '1.1 applied', '1.2 applied']);
    expect(await scenario.query('insert into kinds default values returning kind')).toEqual([{ kind: 'b' }]);
  });
});
