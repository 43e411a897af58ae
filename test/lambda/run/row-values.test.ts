import { beforeEach, describe, expect, it } from 'vitest';
import { logged } from '../../../lambda/aws/logged-event.ts';
import { preflight } from '../../../lambda/foresight/preflight.ts';
import { MigrationError } from '../../../lambda/migration/migration-error.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { withoutRowValues } from '../../../lambda/migration/postgres-fault.ts';
import { withSession } from '../../../lambda/postgres/session/connect.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { textOfError } from '../../../lambda/postgres/session/fault.ts';
import { settle } from '../../../lambda/work/turn/settle.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { compile, type Files, freshScenario, type Scenario, SMALL_TABLE_ROWS } from './scenario.ts';

/** What stands in rows, and nowhere else. */
const MAIL = 'canary@example.com';
const NUMBER = '73317331';
const quoted = (text: string): boolean => text.includes('canary') || text.includes(NUMBER);

const TABLES = `create type mood as enum ('calm');
create table people (email text primary key, age int check (age < 200), name varchar(20) not null, mood mood);
insert into people values ('${MAIL}', 1, 'Ann'), ('b@example.com', 2, 'Bo');
create table twins (a text, n int);
insert into twins values ('${MAIL}', ${NUMBER}), ('${MAIL}', ${NUMBER});
create table posts (author text);
insert into posts values ('${MAIL} who left');
create extension if not exists btree_gist;
create table rooms (room text, during int4range, exclude using gist (room with =, during with &&));
insert into rooms values ('${MAIL}', '[1,5)');
create view young as select email, age, name from people where age < 100 with check option;
create function tell(state text) returns void language plpgsql as $$ begin
  raise exception 'no %', (select max(email) from people) using errcode = state, detail = 'of ${MAIL}', hint = 'ask ${MAIL}';
end $$;
create table large (id int primary key, email text);
insert into large select i, case when i < 3 then '${MAIL}' else 'p' || i end from generate_series(1, 500) i;
create table twice (id int primary key, email text);
insert into twice select * from large;
create table long (id int primary key, email text);
insert into long select * from large;
create table kids (id int primary key, email text);
insert into kids select i, 'p' || i || ' canary' from generate_series(1, 500) i;
create table parted (id int, email text) partition by range (id);
create table parted_a partition of parted for values from (0) to (1000);
insert into parted select id, email from large;
insert into parted values (1, '${MAIL}');
create function told(email text) returns text immutable language plpgsql as $$ begin
  if email = '${MAIL}' then raise exception 'not %', email using errcode = '42P01'; end if; return email; end $$;
create table filled_too as select * from people;
create table filled (key text primary key, n int);
insert into filled select case when i = 50 then '${MAIL}' else 'k' || i end, i from generate_series(1, 400) i;`;

/** Statements that fail in a run, and with which SQLSTATE; an empty one where we refuse them ourselves. */
const FAULTS: Readonly<Record<string, readonly [sqlstate: string, sql: string]>> = {
  'a key that is there twice': ['23505', `insert into people select email, 1, 'x' from people limit 1`],
  'a value of the statement itself': ['23505', `insert into people values ('${MAIL}', 1, 'x')`],
  'a unique index that can’t be': ['', 'create unique index concurrently on twins (a, n)'],
  'a unique constraint that can’t be': ['', 'alter table twins add constraint one unique (a)'],
  'a unique index, unlooked': ['23505', 'begin; create unique index on twins ((a || n)); commit'],
  'a reference to nobody': [
    '23503',
    'create table p (a text references people); insert into p select author from posts',
  ],
  'orphans found': ['', 'alter table posts add foreign key (author) references people'],
  'a row against a check': ['23514', `insert into people values ('c', 201, '${MAIL}')`],
  'a row against a check that is new': ['', `alter table twins add constraint few check (n < 10)`],
  'a check that fails itself': ['22P02', 'alter table twins add constraint num check (a::int > 0)'],
  'a null': ['23502', `insert into people select email || '2', 1, null from people`],
  'a row against a view': ['44000', `insert into young select email || '2', 150, 'x' from people limit 1`],
  'an exclusion': ['23P01', `insert into rooms select room, '[2,3)' from rooms`],
  'no number': ['22P02', 'select email::int from people'],
  'no value of an enum': ['22P02', 'update people set mood = email::mood'],
  'no JSON': ['22P02', 'select email::json from people'],
  'no date': ['22007', 'select email::date from people'],
  'a number too large': ['22003', `select (n::text || n::text)::int from twins`],
  'a text too long': ['22001', `update people set name = repeat(email, 3)`],
  'what a function raises': ['P0001', `select tell('P0001')`],
  'what a function raises as a duplicate': ['23505', `select tell('23505')`],
  'what a function raises as a missing table': ['42P01', `select tell('42P01')`],
  'what a function raises as a fault of its own': ['UU123', `select tell('UU123')`],
  'a block': ['P0001', `do $$ begin raise 'no %', (select max(email) from people); end $$`],
  'a statement that is made up': [
    '42703',
    `do $$ begin execute format('select %I from people', (select max(email) from people)); end $$`,
  ],
  'a statement that is made up and wrong': [
    '42601',
    `do $$ begin execute 'select 1 ' || (select min(a || ' ' || a) from twins); end $$`,
  ],
  'an assertion': ['P0004', `do $$ begin assert false, (select max(email) from people); end $$`],
};

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
  await scenario.database.adminQuery('create extension btree_gist');
  await scenario.run({ '1_tables.sql': TABLES });
});

/** All that leaves the functions, and so what is neither ledger nor terminal. */
async function outside(error?: unknown): Promise<string> {
  const target = parseConnectionUrl(scenario.database.url, 'The URL');
  const { message } = await withSession(target, (session) =>
    settle(session, 'migrations', { rows: 'hidden' }),
  );
  const events = scenario.events.map((event) => JSON.stringify(logged(event, 'hidden')));
  return [message, ...events, error === undefined ? '' : textOfError(error, 'hidden')].join('\n');
}

/** Ledger and terminal. */
async function inside(files: Files): Promise<string> {
  const events = scenario.events.map((event) => JSON.stringify(logged(event, 'shown')));
  return [JSON.stringify(await scenario.status(files)), ...events].join('\n');
}

describe('values of rows', () => {
  it('are in no text that leaves the functions, and in the ledger, whatever a run fails with', async () => {
    for (const [fault, [sqlstate, sql]] of Object.entries(FAULTS)) {
      const files = { '1_tables.sql': TABLES, '2_fails.sql': `${sql};` };
      const seconds = fault.endsWith('unlooked') ? 0 : 5;
      const error = await scenario.failure(files, { dataCheckSeconds: seconds });
      expect([fault, error.details.fault?.sqlstate ?? '']).toEqual([fault, sqlstate]);
      const told = await outside(error);
      expect([fault, quoted(told) ? told : '']).toEqual([fault, '']);
      expect(told).toContain('2_fails.sql:1:');
      if (sqlstate !== '') expect(error.plainMessage).toContain(`SQLSTATE ${sqlstate})`);
      // Some texts never had any: a text too long, rows that are only counted.
      const has = quoted(error.message.replace(/^Statement: .*$/m, ''));
      expect([fault, has]).toEqual([fault, !/too long|check that is new/.test(fault)]);
      if (has) expect(error.plainMessage).toContain('Values of rows are not shown here');
      expect((await scenario.status(files)).lastRun?.error).toBe(error.message);
    }
  });

  it('are in a terminal where the run has failed before the ledger could have it, and the text says so', async () => {
    const { database } = scenario;
    await database.adminQuery(`create function refuse() returns event_trigger language plpgsql as
      $$ begin raise 'not while % is here', (select max(email) from public.people); end $$;
      create event trigger refuse on ddl_command_start when tag in ('CREATE TABLE') execute function refuse()`);
    const anew = { ledgerSchema: 'anew' };
    const error = await scenario.failure({ '1_tables.sql': TABLES }, anew);
    expect(error.message).toContain(MAIL);
    expect(error.plainMessage).toBe(`Postgres refused to let the ledger be written.
Postgres: a function raised an error (SQLSTATE P0001)
Values of rows are not shown here, and nothing of this is recorded: in a terminal, plan and up show the whole text.
Next: let the role of the secret create and write the ledger schema (grant create on database … to …); then run again.`);
    expect((await scenario.status({ '1_tables.sql': TABLES }, anew)).lastRun).toBeUndefined();
  });

  exhaustive.it('are in a terminal where the hook could not look, which writes nothing', async () => {
    await scenario.query(`create function refuse() returns boolean language plpgsql as
      $$ begin raise 'not while % is here', (select max(email) from public.people); end $$;
      alter table migrations.ledger rename to moved;
      create view migrations.ledger as select * from migrations.moved where refuse()`);
    const { unseen } = await preflight({
      target: parseConnectionUrl(scenario.database.url, 'The URL'),
      options: defaultOptions,
      migrations: await compile({ '1_tables.sql': TABLES }),
    });
    expect(unseen).toEqual([
      expect.stringContaining('nothing of this is recorded: in a terminal, plan and up show the whole text.'),
    ]);
    expect(quoted(unseen.join())).toBe(false);
  });

  exhaustive.it('are in no notice that leaves the functions', async () => {
    const files = {
      '1_tables.sql': TABLES,
      '2_talks.sql': `do $$ begin
  raise notice 'has %', (select max(email) from people) using detail = '${MAIL}', hint = '${MAIL}';
  raise warning 'beware of %', (select max(email) from people);
  raise warning 'as if %', (select max(email) from people) using errcode = '42P07';
end $$;
create table if not exists people (x int);`,
    };
    await scenario.run(files);
    const told = scenario.events.flatMap((event) =>
      event.kind === 'notice' && event.file === '2_talks.sql' ? [logged(event, 'hidden')] : [],
    );
    expect(told).toEqual([
      {
        kind: 'notice',
        file: '2_talks.sql',
        line: 1,
        severity: 'NOTICE',
        sqlstate: '00000',
        text: 'a notice',
      },
      {
        kind: 'notice',
        file: '2_talks.sql',
        line: 1,
        severity: 'WARNING',
        sqlstate: '01000',
        text: 'a warning',
      },
      {
        kind: 'notice',
        file: '2_talks.sql',
        line: 1,
        severity: 'WARNING',
        sqlstate: '42P07',
        text: 'words that may quote rows',
      },
      {
        kind: 'notice',
        file: '2_talks.sql',
        line: 6,
        severity: 'NOTICE',
        sqlstate: '42P07',
        text: 'relation "people" already exists, skipping',
      },
    ]);
    expect(await inside(files)).toContain(`has ${MAIL}`);
  });

  exhaustive.it('are in nothing that the loop says of work that fails, and are in the ledger', async () => {
    const work: Readonly<Record<string, string>> = {
      'create unique index concurrently found on large (email)': '1 value of (email) in more than one row',
      'create unique index concurrently parted_u on parted (id, email)':
        '1 value of (id, email) in more than one row',
      'create index concurrently told on twice (told(email))': '(SQLSTATE 42P01)',
      'alter table long add constraint short check (length(email) < 10) not valid; commit; alter table long validate constraint short':
        'is violated by some row (SQLSTATE 23514); 2 rows of public.long violate it. The constraint stays NOT VALID',
      'alter table kids add foreign key (email) references people not valid; commit; alter table kids validate constraint kids_email_fkey':
        'violates foreign key constraint "kids_email_fkey" (SQLSTATE 23503); 500 rows of public.kids violate it.',
      '-- migrate: hand-off\ndo $$ begin perform email::int from filled_too; end $$':
        'a value is not as its type or function needs it (SQLSTATE 22P02)',
    };
    const files = {
      '1_tables.sql': TABLES,
      ...Object.fromEntries(Object.keys(work).map((sql, at) => [`${at + 2}_work.sql`, `${sql};`])),
    };
    await scenario.run(files, { dataCheckSeconds: 0 });
    const { message } = await scenario.loop(files);
    expect(quoted(message)).toBe(true);
    const told = await outside();
    expect(quoted(told) ? told : '').toBe('');
    for (const [sql, words] of Object.entries(work))
      expect([sql, told.includes(words) ? '' : message]).toEqual([sql, '']);
    const whole = await inside(files);
    expect(whole).toContain(`Such as (${MAIL}) in 2 rows.`);
    expect(whole).toContain('such as (id) = (1), (2).');
    expect(whole).toContain(`not ${MAIL}`);
    expect(whole).toContain(`Key (email)=(p1 canary)`);
  });

  exhaustive.it('are in no text that leaves the functions of a backfill that failed at a row', async () => {
    const files = {
      '1_tables.sql': TABLES,
      '2_fill.sql': `-- migrate: backfill
update filled set n = case when key like 'canary%' then key::int else n + 1 end;`,
    };
    const { message } = await scenario.deploy(files);
    expect(message).toContain(`It failed at the row of public.filled with key = ${MAIL}; `);
    const told = await outside();
    expect(quoted(told) ? told : '').toBe('');
    expect(told).toContain('It failed at a row of public.filled; ');
    expect(told).toContain('SQLSTATE 22P02');
    expect(await inside(files)).toContain(`with key = ${MAIL}`);
  });

  exhaustive.it('are in nothing that the hook says before a deploy', async () => {
    const looked = async (rowValuesInLogs: 'hidden' | 'shown') => {
      const { findings } = await preflight({
        target: parseConnectionUrl(scenario.database.url, 'The URL'),
        options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS, rowValuesInLogs },
        migrations: await compile({
          '1_tables.sql': TABLES,
          '2_u.sql': 'create unique index concurrently on large (email);',
          '3_f.sql': 'alter table posts add foreign key (author) references people;',
        }),
      });
      return findings.join('\n');
    };
    const hidden = await looked('hidden');
    expect(quoted(hidden) ? hidden : '').toBe('');
    expect(hidden).toContain('1 row of posts refers by author to rows missing from people.');
    expect(quoted(await looked('shown'))).toBe(true);
  });
});

describe('what may quote a row', () => {
  const fault = { sqlstate: '42P01', message: 'Relation »nobody« existiert nicht' };

  it('is told by SQLSTATE and context, in whatever language the server speaks', () => {
    expect(withoutRowValues(fault)).toEqual(fault);
    const said = { message: `ungültige Eingabesyntax für Typ integer: »${MAIL}«`, hint: MAIL, detail: MAIL };
    for (const sqlstate of ['22P02', 'P0001', 'XX000', '38000', '00000', '01000', 'UU123'])
      expect(JSON.stringify(withoutRowValues({ sqlstate, ...said }))).not.toContain('canary');
    const unique = {
      sqlstate: '23505',
      message: 'doppelter Schlüsselwert verletzt Unique-Constraint »people_pkey«',
      detail: `Schlüssel »(email)=(${MAIL})« existiert bereits.`,
      schema: 'public',
      table: 'people',
      constraint: 'people_pkey',
    };
    const { detail: _, ...names } = unique;
    expect(withoutRowValues(unique)).toEqual(names);
    const context = { context: 'PL/pgSQL-Funktion f() Zeile 1 bei RAISE' };
    expect(withoutRowValues({ ...fault, ...said, ...context })).toEqual({
      sqlstate: '42P01',
      message: 'words that may quote rows',
    });
  });

  it('is shown of a server that does not let us in, whatever its SQLSTATE: it has looked at no row', () => {
    const refused = {
      sqlstate: 'XX000',
      message: 'password authentication failed',
      fromStartup: true as const,
    };
    expect(withoutRowValues(refused)).toEqual({ sqlstate: 'XX000', message: refused.message });
  });

  it('is whole in the message of an error, and not in its plain one', () => {
    const error = new MigrationError({
      code: 'statement-failed',
      what: (rows) => `It failed${rows === 'shown' ? ` at ${MAIL}` : ''}.`,
      place: { file: '1_a.sql', position: { line: 2, column: 3 }, statement: `select '${MAIL}'` },
      fault: { sqlstate: '22P02', message: `no number: ${MAIL}`, detail: MAIL, table: 't', schema: 'public' },
      applied: 'nothing.',
      next: 'fix it.',
    });
    expect(error.message).toBe(`1_a.sql:2:3: It failed at ${MAIL}.
Postgres: no number: ${MAIL} (SQLSTATE 22P02)
Detail: ${MAIL}
Object: table public.t
Statement: select '${MAIL}'
Applied: nothing.
Next: fix it.`);
    expect(error.plainMessage).toBe(`1_a.sql:2:3: It failed.
Postgres: a value is not as its type or function needs it (SQLSTATE 22P02)
Object: table public.t
Values of rows are not shown here: the action status has the whole text.
Applied: nothing.
Next: fix it.`);
  });
});
