import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { preflight } from '../../../../lambda/foresight/preflight.ts';
import { defaultOptions } from '../../../../lambda/migration/options.ts';
import { bringLedgerUp, LEDGER_FORMAT } from '../../../../lambda/postgres/ledger/ledger-format.ts';
import { LEDGER_RELATIONS } from '../../../../lambda/postgres/ledger/ledger-rights.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { remarks } from '../../../../local/cli/plan-view.ts';
import { exhaustive } from '../../../support/exhaustive.ts';
import { queryOnce } from '../../../support/query-once.ts';
import { compile, freshScenario, largeTable, type Scenario } from '../../run/scenario.ts';

const files = { '1_a.sql': 'create table a (id int);' };

let scenario: Scenario;
let app: string;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
  app = scenario.database.owner.replace('owner', 'app');
  await scenario.database.adminQuery(`create role ${app} login password 'pw'`);
  onTestFinished(async () => {
    await scenario.database.adminQuery(`drop owned by ${app} cascade; drop role ${app}`);
  });
});

const admin = (sql: string) => scenario.database.adminQuery(sql);

/** `step of app: INSERT` for each right that somebody has besides the owner, columns and sequences included. */
async function rights(schema = 'migrations'): Promise<string[]> {
  const rows = await admin(
    `select distinct c.relname || ' of ' || case a.grantee when 0 then 'public' else a.grantee::regrole::text end
              || ': ' || a.privilege_type as line
       from pg_class c cross join lateral (
         select (x).grantee, (x).privilege_type from aclexplode(c.relacl) x
         union all
         select (x).grantee, (x).privilege_type from pg_attribute t cross join aclexplode(t.attacl) x where t.attrelid = c.oid) a
      where c.relnamespace = '${schema}'::regnamespace and a.grantee <> c.relowner order by 1`,
  );
  return rows.map(({ line }) => String(line));
}

describe('the tables of the ledger', () => {
  const GIVEN_BY_DEFAULT = () =>
    `alter default privileges for role ${scenario.database.owner} grant all on tables to ${app}, public;
     alter default privileges for role ${scenario.database.owner} grant all on sequences to ${app};
     alter default privileges for role ${scenario.database.owner} grant all on functions to ${app}`;

  it('are their owner’s alone, whatever default privileges give to others', async () => {
    await admin(GIVEN_BY_DEFAULT());
    const table = { '1_large.sql': largeTable('large') };
    await scenario.run(table);
    await scenario.deploy({ ...table, '2_i.sql': 'create index concurrently i on large (x);' });
    expect(await rights()).toEqual([]);
    const relations = await admin(
      `select relname as name from pg_class where relnamespace = 'migrations'::regnamespace and relkind <> 'i' order by 1`,
    );
    expect(relations.map(({ name }) => name)).toEqual([...LEDGER_RELATIONS]);
    const procedures = await admin(
      `select proname as name, proacl::text as acl from pg_proc
        where pronamespace = 'migrations'::regnamespace and has_function_privilege('public', oid, 'execute')`,
    );
    expect(procedures).toEqual([]);
  });

  exhaustive.it(
    'lie in schemas in which nobody else may create, nor in that of dblink, whatever is the default',
    async () => {
      // As one who may create the extension.
      const url = scenario.database.adminUrl;
      await admin(`drop extension dblink; alter default privileges grant all on schemas to ${app}, public`);
      const table = { '1_large.sql': largeTable('large') };
      await scenario.run(table, { url });
      await scenario.deploy({ ...table, '2_i.sql': 'create index concurrently i on large (x);' }, { url });
      const may = await admin(
        `select nspname as name, (select array_agg(a.grantee::text || ' ' || a.privilege_type) from aclexplode(nspacl) a
                                 where a.grantee <> nspowner and a.privilege_type = 'CREATE') as creators
         from pg_namespace where nspname ~ '^migrations' order by 1`,
      );
      await admin(`alter default privileges revoke all on schemas from ${app}, public`);
      expect(may).toEqual([
        { name: 'migrations', creators: null },
        { name: 'migrations_dblink', creators: null },
      ]);
    },
  );

  exhaustive.it('are revoked by the upgrade where others had them', async () => {
    await scenario.query(`create schema migrations;\n${bringLedgerUp('migrations', 0, LEDGER_FORMAT - 1)}`);
    await admin(`grant all on all tables in schema migrations to ${app} with grant option;
grant select (version), update (state) on migrations.step to public;
grant create, usage on schema migrations to ${app}`);
    expect(await rights()).not.toEqual([]);
    await scenario.run(files);
    expect(await rights()).toEqual([]);
    const [may] = await admin(`select has_schema_privilege('${app}', 'migrations', 'create') as create`);
    expect(may).toEqual({ create: false });
  });

  exhaustive.it('that others can write are warned of, and who that is', async () => {
    await scenario.run(files);
    await admin(`grant select on migrations.run to ${app}`);
    await scenario.run(files);
    expect(scenario.events.filter(({ kind }) => kind === 'ledger-exposed')).toEqual([]);

    await admin(
      `grant update (statement) on migrations.work to ${app}; grant trigger on migrations.step to public`,
    );
    await scenario.run(files);
    const because = `${app}, public can write the ledger's tables, of which the migrations execute what they say: revoke all on all tables in schema "migrations" from "${app}", public`;
    expect(scenario.events.filter(({ kind }) => kind === 'ledger-exposed')).toEqual([
      { kind: 'ledger-exposed', because },
    ]);
    expect((await scenario.status(files)).exposure).toBe(because);
  });
});

describe('a ledger in public', () => {
  it('is not made', async () => {
    const error = await scenario.failure(files, { ledgerSchema: 'public' });
    expect(error.message).toBe(
      [
        "There is no ledger yet, and it is not created in the schema 'public': others may create objects in it, or have privileges on new ones, and what the ledger says is executed as the migrations' role.",
        'Applied: nothing by this run.',
        "Next: give the ledger a schema of its own (the prop ledgerSchema, on the command line --schema; 'migrations' without it); then run again.",
      ].join('\n'),
    );
    expect(await admin("select relname from pg_class where relname = 'ledger'")).toEqual([]);
  });

  exhaustive.it('that is there already is used, and warned of', async () => {
    await scenario.run(files);
    for (const relation of [
      'ledger',
      'run',
      'step',
      'work',
      'index_build',
      'session_probe',
      'undo_progress',
      'backfill',
    ])
      await admin(
        `alter ${relation === 'index_build' ? 'view' : 'table'} migrations.${relation} set schema public`,
      );
    const inPublic = { ledgerSchema: 'public' };
    expect((await scenario.run({ ...files, '2_b.sql': 'create table b (id int);' }, inPublic)).outcome).toBe(
      'done',
    );
    const because =
      "the ledger is in the schema 'public', where others may create objects: move it into a schema of its own (docs/security.md explains how)";
    expect(scenario.events.filter(({ kind }) => kind === 'ledger-exposed')).toEqual([
      { kind: 'ledger-exposed', because },
    ]);
    expect((await scenario.status(files, inPublic)).exposure).toBe(because);
    expect((await scenario.plan(files, inPublic)).exposure).toBe(because);
    expect(remarks(await scenario.plan(files, inPublic))[0]).toMatch(/^The ledger is in the schema 'public'/);
    const looked = await preflight({
      target: parseConnectionUrl(scenario.database.url, 'The URL'),
      options: { ...defaultOptions, ...inPublic },
      migrations: await compile(files),
    });
    expect(looked).toEqual({ findings: [], warnings: [because], unseen: [] });
  });
});

describe('what a stranger has put there beforehand', () => {
  const asApp = (sql: string) => {
    const url = new URL(scenario.database.url);
    url.username = app;
    url.password = 'pw';
    return queryOnce(url.href, sql);
  };

  exhaustive.it('is no ledger of ours: a schema', async () => {
    await admin(`grant create on database ${scenario.database.name} to ${app}`);
    await asApp(`create schema migrations; grant all on schema migrations to public`);
    const error = await scenario.failure(files);
    expect(error.code).toBe('ledger-of-stranger');
    expect(error.message).toContain(
      `The ledger's schema 'migrations', or the ledger in it, belongs to ${app}, and ${scenario.database.owner} is not a member of that role.`,
    );
    expect(
      await admin("select relname from pg_class where relnamespace = 'migrations'::regnamespace"),
    ).toEqual([]);
  });

  exhaustive.it('is no ledger of ours: all of its tables, with a trigger', async () => {
    await scenario.run(files);
    await admin(`grant create on database ${scenario.database.name} to ${app};
alter schema migrations owner to ${app};
create function migrations.spy() returns trigger language plpgsql as 'begin raise exception ''run as %'', current_user; end';
${LEDGER_RELATIONS.filter((name) => !['index_build_id_seq', 'index_build'].includes(name))
  .map(
    (name) =>
      `alter table migrations.${name} owner to ${app}; create trigger spy before insert on migrations.${name} for each row execute function migrations.spy()`,
  )
  .join(';')};
grant usage on schema migrations to public; grant all on all tables in schema migrations to public`);
    const error = await scenario.failure({ ...files, '2_b.sql': 'create table b (id int);' });
    expect(error.code).toBe('ledger-of-stranger');
  });

  exhaustive.it.each([
    [
      'step',
      `version text, step int, steps int, name text, checksum text, fingerprint text, state text, run_id uuid,
  recorded_at timestamptz, finished_at timestamptz`,
      'must be owner of table step',
    ],
    [
      'session_probe',
      'kind text primary key, survives boolean, because text, probed_at timestamptz',
      'migrations.session_probe belongs to app_',
    ],
  ])(
    'is no ledger of ours: %s alone, in a schema in which others may create',
    async (name, columns, because) => {
      await admin(
        `create schema migrations authorization ${scenario.database.owner}; grant create, usage on schema migrations to ${app}`,
      );
      await asApp(`create table migrations.${name} (${columns}); grant all on migrations.${name} to public`);
      const error = await scenario.failure(files);
      expect(error.code).toBe('ledger-refused');
      expect(error.message).toContain(because);
      expect(await admin("select relname from pg_class where relname = 'ledger'")).toEqual([]);
    },
  );

  exhaustive.it('is our ledger where a superuser made the schema', async () => {
    await admin(
      `create schema migrations; grant create, usage on schema migrations to ${scenario.database.owner}`,
    );
    expect((await scenario.run(files)).outcome).toBe('done');
  });
});
