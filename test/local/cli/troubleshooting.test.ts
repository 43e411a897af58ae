import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { serverMajor } from '../../support/server-major.ts';
import { type Files, folderOf, migrate } from './command-line.ts';

/** Each message that docs/troubleshooting.md quotes is brought about here, and its advice is followed. */
const page = readFileSync(new URL('../../../docs/troubleshooting.md', import.meta.url), 'utf8');
const quoted = [...page.matchAll(/^\*\*(.*)\*\*$/gm)].flatMap(([, heading = '']) =>
  [...heading.matchAll(/"([^"]*)"/g)].map(([, quote = '']) => quote),
);

/** `…` stands for anything. */
function pattern(quote: string): RegExp {
  const parts = quote.split('…').map((part) => part.trim().replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(parts.join('[\\s\\S]*').replaceAll(' ', '\\s+'));
}

interface Look {
  /** As the owner, and as superuser, before the command. */
  readonly sql?: string;
  readonly admin?: string;
  readonly files?: Files;
  readonly args?: readonly string[];
  readonly url?: (database: FreshDatabase) => string;
}

interface Symptom extends Look {
  readonly quotes: readonly string[];
  /** Applied before, by the same command. */
  readonly first?: Files;
  /** A session that stays open meanwhile. */
  readonly holds?: string;
  /** It is only said, and stops nothing. */
  readonly passes?: true;
  /** What the page advises; then the command succeeds. */
  readonly advice?: Look & { readonly verb?: readonly string[] };
}

const PEOPLE = `create table people (id int, name text);
insert into people select g, 'h' || g from generate_series(1, 200) g;`;
const build = { '1_a.sql': 'create index concurrently people_name on people (name);' };
const plain = { '1_a.sql': 'create index people_name on people (name);' };
const thing = { '1_a.sql': 'create table thing (id int);' };
const asRole = ({ url }: FreshDatabase) => url.replace(/\/\/[^@]*@/, '//ROLE:pw@');

const symptoms: readonly Symptom[] = [
  {
    quotes: ["counts as large, since its rows can't be counted (row level security hides them …)"],
    sql: `${PEOPLE} alter table people enable row level security, force row level security;`,
    files: plain,
    advice: { files: build },
  },
  {
    quotes: ["counts as large, since its rows can't be counted (…, SQLSTATE …)"],
    sql: `${PEOPLE} revoke all on people from "OWNER"`,
    files: plain,
    advice: { files: build },
  },
  {
    quotes: ['CREATE INDEX on …, which holds more than … rows, would block every write'],
    sql: PEOPLE,
    files: plain,
    advice: { files: build },
  },
  {
    quotes: ['the index … exists and is INVALID … CREATE INDEX IF NOT EXISTS would skip it'],
    sql: PEOPLE,
    admin: 'INVALID INDEX',
    files: { '1_a.sql': 'create index if not exists people_name on people (name);' },
    advice: { files: build },
  },
  {
    quotes: ['Turning … into … rewrites the whole of …'],
    sql: PEOPLE,
    files: { '1_a.sql': 'alter table people alter id type bigint;' },
    args: ['--longest-block', '0.0001'],
    advice: {
      files: {
        '1_a.sql':
          '-- migrate: allow change-column-type nobody uses it yet\nalter table people alter id type bigint;',
      },
    },
  },
  {
    quotes: ['… rows of … violate the check'],
    sql: PEOPLE,
    files: { '1_a.sql': 'alter table people add constraint few check (id < 100);' },
    advice: {
      files: {
        '1_a.sql':
          'delete from people where id >= 100; alter table people add constraint few check (id < 100);',
      },
    },
  },
  {
    quotes: ['refer … to rows missing from …'],
    sql: `${PEOPLE} create table moms (id int primary key); insert into moms select g from generate_series(1, 150) g;`,
    files: { '1_a.sql': 'alter table people add foreign key (id) references moms;' },
    advice: {
      files: {
        '1_a.sql':
          'delete from people where id > 150; alter table people add foreign key (id) references moms;',
      },
    },
  },
  {
    quotes: ['… of … in more than one row'],
    sql: `${PEOPLE} insert into people values (1, 'h1');`,
    files: { '1_a.sql': 'create unique index concurrently people_id on people (id);' },
    advice: {
      files: {
        '1_a.sql':
          'delete from people a using people b where a.ctid > b.ctid and a.id = b.id;\ncreate unique index concurrently people_id on people (id);',
      },
    },
  },
  {
    quotes: ['this migration was applied with other statements than the file has now'],
    first: thing,
    files: { '1_a.sql': 'create table thing (id bigint);' },
    advice: { files: { ...thing, '2_a.sql': 'alter table thing alter id type bigint;' } },
  },
  {
    quotes: ['changed in comments or white space only'],
    first: thing,
    files: { '1_a.sql': '-- A thing.\ncreate table thing (id int);' },
    passes: true,
  },
  {
    quotes: ['an index of this name exists with another definition'],
    sql: `${PEOPLE} create index people_name on people (id);`,
    files: build,
    advice: { sql: 'drop index people_name', files: build },
  },
  {
    quotes: ["Whether … can't be told beforehand: …"],
    sql: `${PEOPLE} create function odd(int) returns boolean immutable language plpgsql as $$ begin if current_setting('transaction_read_only') = 'on' then raise 'writes'; end if; return true; end $$;`,
    files: { '1_a.sql': 'alter table people add check (odd(id));' },
    passes: true,
  },
  {
    quotes: ['may not create the schema … for it'],
    admin: `create role ROLE login password 'pw'`,
    url: asRole,
    advice: {
      admin: 'create schema migrations authorization ROLE; create schema ROLE authorization ROLE',
      url: asRole,
    },
  },
  {
    quotes: ["The ledger in schema … can't be read"],
    first: thing,
    admin: `create role ROLE login password 'pw'`,
    url: asRole,
    advice: {},
  },
  {
    quotes: ['Sessions of … are read-only here'],
    admin: 'alter database "DATABASE" set default_transaction_read_only = on',
    advice: { admin: 'RESET' },
  },
  {
    quotes: ['password authentication failed'],
    url: ({ url }) => url.replace(/:[^:@]*@/, ':wrong@'),
    advice: {},
  },
  { quotes: ['database … does not exist'], url: ({ url }) => `${url}_none`, advice: {} },
  {
    quotes: ['its … is not obeyed'],
    url: ({ url }) => `${url}?statement_timeout=5`,
    advice: { files: { '1_a.sql': `set statement_timeout = '5s'; create table thing (id int);` } },
  },
  {
    quotes: ['its … is unknown'],
    url: ({ url }) => `${url}?geqo=off`,
    advice: { url: ({ url }) => `${url}?options=-c%20geqo%3Doff` },
  },
  {
    quotes: ['the connection itself asks for this setting'],
    url: ({ url }) => `${url}?options=-c%20work_mem%3Dmuch`,
    advice: { url: ({ url }) => `${url}?options=-c%20work_mem%3D8MB` },
  },
  {
    quotes: ['the connection itself asks for this role'],
    url: ({ url }) => `${url}?role=nobody_at_all`,
    advice: {},
  },
  {
    quotes: ['because it has pending trigger events'],
    sql: `create table moms (id int primary key); insert into moms values (1); create table kids (id int, mom int references moms deferrable initially deferred); insert into kids values (1, 1);`,
    files: { '1_a.sql': 'insert into kids values (2, 1); alter table kids add note text;' },
    advice: {
      files: { '1_a.sql': 'insert into kids values (2, 1); commit; alter table kids add note text;' },
    },
  },
  {
    quotes: ['The transaction that begins here failed at its COMMIT'],
    sql: `create table moms (id int primary key); create table kids (mom int references moms deferrable initially deferred);`,
    files: { '1_a.sql': 'insert into kids values (5);' },
    advice: { sql: 'insert into moms values (5)', files: { '1_a.sql': 'insert into kids values (5);' } },
  },
  {
    quotes: ['This file is divided … into a part to apply and a part to undo'],
    args: ['--layout', 'plain'],
    files: { '1_a.sql': '-- migrate:up\ncreate table thing (id int);\n-- migrate:down\ndrop table thing;' },
    advice: { files: { ...thing, '1_a.down.sql': 'drop table thing;' } },
  },
  {
    quotes: ['… is a command of psql, not SQL'],
    files: { '1_a.sql': '\\restrict abc\ncreate table thing (id int);\n\\unrestrict abc\n' },
    advice: {},
  },
  {
    quotes: ['Files are UTF-8, and are sent as such'],
    files: {
      '1_a.sql': `set client_encoding = 'LATIN1'; create table thing (id int); comment on table thing is 'é';`,
    },
    advice: { files: { '1_a.sql': `create table thing (id int); comment on table thing is 'é';` } },
  },
  {
    quotes: ['character with byte sequence … has no equivalent in encoding'],
    admin: 'DATABASE LATIN1',
    url: ({ url }) => `${url}_other`,
    files: { '1_жук.sql': 'select 1;' },
    advice: { files: { '1_bug.sql': 'select 1;' }, url: ({ url }) => `${url}_other` },
  },
  {
    quotes: ['conversion between UTF8 and MULE_INTERNAL is not supported'],
    admin: 'DATABASE MULE_INTERNAL',
    url: ({ url }) => `${url}_other`,
    advice: {},
  },
  {
    quotes: ['… already exists'],
    sql: 'create table thing (id int)',
    advice: { files: thing, verb: ['repair', '1', '--applied', '--confirm'] },
  },
  {
    quotes: [
      'waits, and keeps nobody else waiting, until these are gone: pid …',
      'The step did not get its locks within … s. Blocked by pid …',
    ],
    sql: PEOPLE,
    holds: 'begin; lock table people in access share mode',
    files: { '1_a.sql': 'alter table people add note text;' },
    args: ['--lock-timeout', '1', '--lock-budget', '1'],
    advice: { files: { '1_a.sql': 'alter table people add note text;' } },
  },
  {
    quotes: ['waits … it changes the table …'],
    sql: PEOPLE,
    files: { ...build, '2_a.sql': 'alter table people add note text;' },
    passes: true,
  },
  {
    quotes: ['too many connections for role'],
    admin: 'alter role "OWNER" connection limit 0',
    advice: { admin: 'alter role "OWNER" connection limit -1' },
  },
  {
    quotes: ['function … does not exist'],
    sql: `${PEOPLE} create schema shop; create function shop.inner_one(text) returns text immutable language sql as 'select $1'; set search_path = shop, public;
create function public.outer_one(text) returns text immutable language plpgsql as 'begin return inner_one($1); end'`,
    files: {
      '1_a.sql':
        'set search_path = shop, public; create index concurrently people_name on people (outer_one(name));',
    },
    advice: {
      sql: 'alter function outer_one(text) set search_path = shop',
      files: {
        '1_a.sql':
          'set search_path = shop, public; create index concurrently people_name on people (outer_one(name));',
      },
    },
  },
];

/**
 * Needs a replica, a pooler, a proxy, a process that dies, a partition that fails, or an index that is written in a way of
 * its own: found in the sources instead.
 */
const ELSEWHERE: readonly string[] = [
  "… exists, and whether it is the same can't be told",
  "The tables of this statement can't be looked up",
  'A run died while it carried out this statement',
  'The index … stays, INVALID: …, which was there before, is attached to it',
  'Postgres refused to let the ledger be written',
  'connection is insecure',
  'sorry, too many clients already',
  'remaining connection slots are reserved',
  'accepts no settings at startup',
  'The server is a replica',
  'reconnecting … the server has answered, and nothing has arrived',
];

it('quotes what the product says: each message is brought about here, or is in the sources', () => {
  expect(new Set(quoted)).toEqual(new Set([...symptoms.flatMap(({ quotes }) => quotes), ...ELSEWHERE]));
  const sources = ['lambda', 'compiler', 'local/cli']
    .flatMap((folder) =>
      readdirSync(new URL(`../../../${folder}`, import.meta.url), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => readFileSync(new URL(`../../../${folder}/${file}`, import.meta.url), 'utf8')),
    )
    .join('\n');
  const parts = ELSEWHERE.flatMap((quote) => quote.split('…').map((part) => part.trim()));
  expect(parts.filter((part) => !sources.includes(part))).toEqual([]);
});

/** What is done as superuser, and can't be written in one message. */
async function asAdmin(database: FreshDatabase, sql: string, text: (sql: string) => string) {
  const { name, owner } = database;
  const client = new pg.Client({ connectionString: database.adminUrl });
  await client.connect();
  await client.query('set default_transaction_read_only = off');
  const [, encoding] = /^DATABASE (\w+)$/.exec(sql) ?? [];
  if (encoding !== undefined) {
    onTestFinished(async () => {
      await database.adminQuery(`drop database if exists ${name}_other with (force)`);
    });
    await client.query(
      `create database ${name}_other owner ${owner} encoding '${encoding}' locale 'C' template template0`,
    );
  } else if (sql === 'INVALID INDEX') {
    await client.query("insert into people values (0, 'h1')");
    await client
      .query('create unique index concurrently people_name on people (name)')
      .catch(() => undefined);
    await client.query(`alter index people_name owner to ${owner}`);
  } else if (sql === 'RESET') {
    await client.query(`alter database ${name} reset default_transaction_read_only`);
  } else await client.query(text(sql));
  await client.end();
}

/** Says what the command says. */
async function look(database: FreshDatabase, said: Look, verb: readonly string[] = ['up']) {
  const role = `plain_${database.name}`;
  const text = (sql: string) =>
    sql.replaceAll('DATABASE', database.name).replaceAll('OWNER', database.owner).replaceAll('ROLE', role);
  if (said.sql !== undefined) await database.query(text(said.sql));
  if (said.admin !== undefined) {
    if (said.admin.includes('create role ROLE')) {
      onTestFinished(async () => {
        await database.adminQuery(`drop owned by ${role} cascade; drop role ${role}`);
      });
    }
    await asAdmin(database, said.admin, text);
  }
  const url = text((said.url ?? (({ url }) => url))(database));
  const files = Object.entries(said.files ?? thing).map(([name, sql]) => [name, text(sql)]);
  const rows = verb.includes('up') ? ['--small-table-rows', '100'] : [];
  const options = ['--dir', folderOf(Object.fromEntries(files)), '--database-url', url];
  const ended = await migrate([...verb, ...options, ...rows, ...(said.args ?? [])]);
  return { code: ended.code, text: `${ended.stdout}${ended.stderr}` };
}

exhaustive.it.each(symptoms.map((each) => ({ ...each, said: each.quotes.join(', ') })))(
  '"$said" is said, and what the page advises helps',
  async (symptom) => {
    const { quotes, first, holds, passes, advice, ...command } = symptom;
    // Since then an index is built with a search path of pg_catalog alone.
    if (quotes.includes('function … does not exist') && serverMajor < 17) return;
    const database = await freshDatabase();
    if (first !== undefined) await look(database, { files: first });
    const holder = new pg.Client({ connectionString: database.url });
    if (holds !== undefined) {
      await database.query(command.sql ?? '');
      await holder.connect();
      await holder.query(holds);
    }
    const { sql, ...rest } = command;
    const said = await look(database, holds === undefined ? command : rest);
    if (holds !== undefined) await holder.end();
    for (const quote of quotes) expect(said.text).toMatch(pattern(quote));
    expect(said.code === 0).toBe(passes === true);
    if (advice === undefined) return;
    const { verb, ...then } = advice;
    const after = await look(database, then, verb);
    expect(after, after.text).toMatchObject({ code: 0 });
  },
);
