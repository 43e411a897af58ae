import { describe, expect, it } from 'vitest';
import { lintMigrations } from '../../../compiler/lint/lint-migrations.ts';
import { rules } from '../../../compiler/lint/rules.ts';
import { showFinding } from '../../../compiler/lint/show-finding.ts';
import { steadyFunctions } from '../../../compiler/syntax/postgres-functions.ts';
import { PLAIN_INDEX_RULE } from '../../../lambda/foresight/deploy-finding.ts';
import { blockedBy, lockModes, modesConflict } from '../../../lambda/migration/lock-modes.ts';
import type { Version } from '../../../lambda/migration/version.ts';
import { freshDatabase } from '../../support/fresh-database.ts';
import { serverMajor } from '../../support/server-major.ts';
import { folderOf } from '../compile-text.ts';
import { lintAfterSchema } from './lint-text.ts';

/** Not those that only operators, types, aggregates and indexes call. */
const STEADY = `
  select proname::text as name from pg_proc p
  where pronamespace = 'pg_catalog'::regnamespace and prokind = 'f' and not proretset
    and not exists (select from pg_operator where oprcode = p.oid)
    and not exists (select from pg_type where p.oid in (typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze, typsubscript))
    and not exists (select from pg_amproc where amproc = p.oid)
    and not exists (select from pg_aggregate where p.oid in (aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn))
    and prorettype not in ('void'::regtype, 'internal'::regtype, 'cstring'::regtype, 'trigger'::regtype, 'event_trigger'::regtype, 'language_handler'::regtype, 'index_am_handler'::regtype, 'table_am_handler'::regtype,'fdw_handler'::regtype,'tsm_handler'::regtype)
    and not proargtypes::oid[] && array['internal'::regtype, 'cstring'::regtype]::oid[]
    and proname !~ '^(pg_|has_|binary_upgrade|ri_|i?regclass|_)'
  group by proname having bool_and(provolatile <> 'v')
  order by proname collate "C"
`;

const rulesIn = (sql: string): readonly string[] => lintAfterSchema([sql]).map(({ rule }) => rule);
const insteadOf = (sql: string): string | undefined => lintAfterSchema([sql])[0]?.instead;

describe('what the linter knows of the migrations before a statement', () => {
  it("is that a table made by the same file is nobody else's yet", () => {
    const sql = `
      create table a (id bigint primary key, x text);
      create index a_x on a (x);
      alter table a alter column x set not null, add unique (x), add check (x <> '');
      alter table a rename to b;
      alter table b drop column x;
      truncate b;
      drop table b;`;
    expect(rulesIn(sql)).toEqual([]);
  });

  it('is that a table made by an earlier file may be in use', () => {
    expect(lintAfterSchema(['create table a (x text);', 'create index a_x on a (x);'])).toMatchObject([
      { rule: 'plain-create-index', file: '3_test.sql' },
    ]);
  });

  it('is that a table which no file makes exists', () => {
    expect(rulesIn('create index on elsewhere (x);')).toEqual(['plain-create-index']);
  });

  it("is that a temporary table is one session's", () => {
    expect(rulesIn('create temporary table a (x text); create index on a (x);')).toEqual([]);
  });

  it('follows a table to its new name and schema, and an index to its new name', () => {
    const files = [
      '-- migrate: allow rename-table test\nalter table orders rename to sales;\nalter index orders_account_id_idx rename to by_account;',
      '-- migrate: allow rename-table test\nalter table sales set schema attic;',
      'create index concurrently again on attic.sales (account_id);',
    ];
    expect(lintAfterSchema(files).map(({ what }) => what)).toEqual([
      'again has the same definition as by_account (1_schema.sql): it slows every write and helps no query.',
    ]);
  });

  it('is which columns a check shows to be not null, however the check came to be valid', () => {
    const files = [
      'alter table orders add constraint known check (status is not null and note is not null) not valid;',
      'alter table orders validate constraint known;',
      'alter table orders alter column status set not null, alter column note set not null;',
    ];
    expect(lintAfterSchema(files)).toEqual([]);
    expect(lintAfterSchema([files[0] ?? '', files[2] ?? '']).map(({ rule }) => rule)).toEqual([
      'set-not-null',
      'set-not-null',
    ]);
  });

  it("is which of the folder's functions are volatile", () => {
    const make = (volatility: string): string =>
      `create function token() returns text language sql ${volatility} as 'select 1';`;
    const use = 'alter table orders add column token text default token();';
    expect(lintAfterSchema([make('stable'), use])).toEqual([]);
    expect(lintAfterSchema([make(''), use]).map(({ rule }) => rule)).toEqual(['volatile-default']);
    // Nor is it certain of one that the folder does not show.
    expect(lintAfterSchema([use]).map(({ rule }) => rule)).toEqual(['volatile-default']);
  });

  it('is nothing of files up to `since`, and everything that they made', () => {
    const files = { '1_a.sql': 'create table a (x int); ', '2_b.sql': 'create index a_x on a (x);' };
    expect(lintMigrations(folderOf(files)).map(({ rule }) => rule)).toEqual(['plain-create-index']);
    expect(lintMigrations(folderOf(files), { since: '2' as Version })).toEqual([]);
    expect(lintMigrations(folderOf(files), { since: '1' as Version })).toHaveLength(1);
  });
});

describe('transactions', () => {
  const check = 'alter table orders add constraint c check (total > 0)';
  const validate = 'alter table orders validate constraint c;';

  it.each([
    ['one file, in which VALIDATE is a step of its own', `${check} not valid; ${validate}`, []],
    ['a bare COMMIT', `${check} not valid; commit; ${validate}`, []],
    ['BEGIN and COMMIT', `begin; ${check} not valid; commit; begin; ${validate} commit;`, []],
    ['BEGIN around both', `begin; ${check} not valid; ${validate} commit;`, ['validate-in-same-transaction']],
    ['no transaction', `-- migrate: no-transaction\n${check} not valid; ${validate}`, []],
  ])('end where the file ends them: %s', (_name, sql, expected) => {
    expect(rulesIn(sql)).toEqual(expected);
  });

  it('are closed and begun again around what cannot run in one', () => {
    expect(insteadOf('begin;\ncreate index orders_note on orders (note);\ncommit;')).toBe(
      'commit;\ncreate index concurrently orders_note on orders (note);\nbegin;',
    );
    expect(insteadOf(`begin;\n${check};\ncommit;`)).toBe(
      [
        'alter table orders add constraint c check (total > 0) not valid;',
        'commit;',
        'begin;',
        'alter table orders validate constraint c;',
      ].join('\n'),
    );
  });
});

describe('the SQL that a finding gives keeps', () => {
  it.each([
    [
      'the other subcommands of an ALTER TABLE, and the names as they are written',
      'ALTER TABLE ONLY "orders" ADD COLUMN a int, ADD CONSTRAINT "C d" CHECK (total > 0 AND note <> \', (\'), ALTER COLUMN note SET DEFAULT \'\';',
      [
        'ALTER TABLE ONLY "orders" ADD COLUMN a int, ALTER COLUMN note SET DEFAULT \'\';',
        'alter table orders add constraint "C d" CHECK (total > 0 AND note <> \', (\') not valid;',
        'alter table orders validate constraint "C d";',
      ],
    ],
    [
      'the other clauses of a column',
      "alter table public.orders add column if not exists a text collate \"C\" default 'ü' check (a <> 'é') not null;",
      [
        'alter table public.orders add column if not exists a text collate "C" default \'ü\' not null;',
        "alter table public.orders add constraint orders_a_check check (a <> 'é') not valid;",
        'alter table public.orders validate constraint orders_a_check;',
      ],
    ],
    [
      'what a foreign key says of deletes and deferral',
      'alter table prices add foreign key (id) references orders on delete cascade deferrable initially deferred;',
      [
        'alter table prices add constraint prices_id_fkey foreign key (id) references orders on delete cascade deferrable initially deferred not valid;',
        'alter table prices validate constraint prices_id_fkey;',
      ],
    ],
    [
      'what a unique constraint says of nulls, other columns and deferral',
      'alter table orders add constraint k unique nulls not distinct (note, status) include (total) deferrable;',
      [
        'create unique index concurrently k on orders (note, status) include (total) nulls not distinct;',
        'alter table orders add constraint k unique using index k deferrable;',
      ],
    ],
    [
      'a column that is to become a key free of nulls first',
      'alter table old_events add primary key (id);',
      [
        'alter table old_events add constraint old_events_id_not_null check (id is not null) not valid;',
        'alter table old_events validate constraint old_events_id_not_null;',
        'alter table old_events alter column id set not null;',
        'alter table old_events drop constraint old_events_id_not_null;',
        'commit;',
        'create unique index concurrently old_events_pkey on old_events (id);',
        'alter table old_events add constraint old_events_pkey primary key using index old_events_pkey;',
      ],
    ],
    [
      'a shorter limit as a check',
      'alter table orders alter column note type varchar(10);',
      [
        'alter table orders add constraint orders_note_length check (char_length(note) <= 10) not valid;',
        'alter table orders validate constraint orders_note_length;',
      ],
    ],
  ])('%s', (_name, sql, expected) => {
    expect(insteadOf(sql)?.split('\n')).toEqual(expected);
  });
});

describe('no finding', () => {
  it.each([
    'alter table orders alter column note type varchar',
    'alter table orders add column a timestamptz default now()',
    'alter table orders add column a int references accounts, add column b boolean not null default false',
    'alter table orders alter column placed_at type timestamptz(6)',
    "set local time zone 'UTC'; alter table visits alter column seen_at type timestamptz",
    'create index on only events (at)',
    'drop view open_orders; create view open_orders as select id from orders',
    'create index concurrently orders_account_desc on orders (account_id desc)',
    'create index concurrently orders_account_hash on orders using hash (account_id)',
    'create unique index concurrently orders_total_id on orders (total, id)',
    "alter table orders add column a int; insert into accounts (name) values ('a')",
    "alter type mood add value 'so-so' after 'good'",
    'refresh materialized view concurrently totals',
    'vacuum orders',
    'alter table orders validate constraint orders_account_id_fkey',
  ])('%s', (sql) => {
    expect(rulesIn(`${sql};`).filter((rule) => rule !== 'foreign-key-without-index')).toEqual([]);
  });
});

describe('-- migrate: allow', () => {
  it('asks for the rule that was meant', () => {
    expect(lintAfterSchema(['-- migrate: allow drop-colum test\nselect 1;'])).toMatchObject([
      {
        rule: 'unknown-rule',
        severity: 'error',
        position: { line: 1, column: 1 },
        what: 'There is no rule drop-colum, so this allows nothing. Is it drop-column?',
      },
    ]);
  });

  it('holds for its own file alone', () => {
    const files = [
      '-- migrate: allow drop-column test\nalter table orders drop column note;',
      'alter table orders drop column total;',
    ];
    expect(lintAfterSchema(files).map(({ file }) => file)).toEqual(['3_test.sql']);
  });
});

describe('levels', () => {
  it('change what a finding is', () => {
    const [finding] = lintAfterSchema(['drop table prices;'], { levels: { 'drop-table': 'error' } });
    expect(finding?.severity).toBe('error');
  });

  it('refuse a rule that does not exist', () => {
    expect(() => lintAfterSchema(['select 1;'], { levels: { 'drop-tables': 'off' } })).toThrow(
      'There is no lint rule drop-tables. Is it drop-table?\nNext: correct its name in the levels; docs/lint.md lists all rules.',
    );
  });
});

describe('a finding', () => {
  it('shows place, line, caret, lock and SQL', () => {
    const [finding] = lintAfterSchema([
      '-- Größe\nalter table orders add column größe int, alter column status set not null;',
    ]);
    expect(finding && showFinding(finding).split('\n')).toEqual([
      '2_test.sql:2:42: warning Postgres reads every row of orders to verify that status is never null, while nobody else can read or write it. [set-not-null]',
      '    alter table orders add column größe int, alter column status set not null;',
      '                                             ^',
      '  locks    orders: ACCESS EXCLUSIVE, which blocks reads and writes, for as long as it reads the whole table: about 0.5 s per million rows in memory',
      '  instead',
      '      alter table orders add column größe int;',
      '      alter table orders add constraint orders_status_not_null check (status is not null) not valid;',
      '      alter table orders validate constraint orders_status_not_null;',
      '      alter table orders alter column status set not null;',
      '      alter table orders drop constraint orders_status_not_null;',
      '  note     VALIDATE is handed off where the table is not small, and SET NOT NULL waits for it. If rows have no status yet, fill them first: an UPDATE … WHERE status IS NULL with "-- migrate: backfill" on the line before it.',
    ]);
  });
});

describe('names and lists', () => {
  it('the rule that the migrator enforces has the same name here', () => {
    expect(rules.map(({ name }) => name)).toContain(PLAIN_INDEX_RULE);
  });

  it('the functions that are stable or immutable are those of Postgres', async () => {
    const database = await freshDatabase();
    const names = [...steadyFunctions];
    const rows = await database.query<{ name: string }>(STEADY);
    if (serverMajor >= 18) expect(names).toEqual(rows.map(({ name }) => name));
    // Older servers know fewer of them; those that they know have to be as steady there.
    const unsteady = await database.query<{ name: string }>(
      `select oid::regprocedure::text as name from pg_proc
        where pronamespace = 'pg_catalog'::regnamespace and provolatile = 'v' and proname = any ($1)`,
      [names],
    );
    const known = serverMajor < 15 ? ['timezone(text,time with time zone)'] : [];
    expect(unsteady.map(({ name }) => name)).toEqual(known);
  });

  it('lock modes conflict both ways, and each blocks at least what a weaker one does', () => {
    for (const a of lockModes)
      for (const b of lockModes) expect(modesConflict(a, b)).toBe(modesConflict(b, a));
    expect(lockModes.map(blockedBy)).toEqual([
      'nothing',
      'nothing',
      'nothing',
      'other DDL',
      'writes',
      'writes',
      'writes',
      'reads and writes',
    ]);
  });
});
