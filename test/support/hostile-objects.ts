import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FreshDatabase, sharedServerLog } from './fresh-database.ts';

/**
 * Objects that a role which may create some puts in our way: functions and operators by the names that our SQL uses,
 * for the types that it uses and for pairs of types for which Postgres has none of its own; on demand types and
 * relations too. Each says in the server's log that it was used, whatever becomes of the transaction.
 */
export interface HostileObjects {
  /** What was used, and by which of our sessions. */
  used(): Promise<string[]>;
}

const MARK = 'hostile:';

/** Types of our columns and expressions, and those that people mix them with. */
const TYPES = [
  'boolean',
  'smallint',
  'integer',
  'bigint',
  'real',
  'double precision',
  'numeric',
  'text',
  'character varying',
  'character',
  '"char"',
  'name',
  'oid',
  'regclass',
  'regtype',
  'json',
  'jsonb',
  'uuid',
  'timestamp',
  'timestamptz',
  'interval',
  'text[]',
  'name[]',
  'integer[]',
  'smallint[]',
  'bigint[]',
  'oid[]',
  '"char"[]',
  'int2vector',
  'oidvector',
];
const COMPARISONS = ['=', '<>', '<', '<=', '>', '>=', '~', '!~', '~~', '!~~', '@>', '?'];
const CALCULATIONS = ['+', '-', '*', '/', '%', '&', '|'];
const TEXTS = ['||', '->', '->>', '#>>'];

/** Every name before a bracket in our sources: some of them are functions of Postgres or of dblink. */
async function namesInOurSources(): Promise<string[]> {
  const root = join(import.meta.dirname, '../..');
  const names = new Set<string>();
  for (const room of ['lambda', 'local/cli']) {
    for (const file of await readdir(join(root, room), { recursive: true })) {
      if (!file.endsWith('.ts')) continue;
      const text = await readFile(join(root, room, file), 'utf8');
      for (const [, name] of text.matchAll(/\b([a-z][a-z_0-9]*)\s*\(/g)) names.add(name ?? '');
    }
  }
  return [...names].sort();
}

export interface Hostile {
  /** Who creates them: a role of the application. */
  readonly role: string;
  /** Where. */
  readonly schemas: readonly string[];
  /** Where a search path names pg_catalog last, types and relations of these names come first as well. */
  readonly typesAndRelations?: boolean;
}

export async function putHostileObjects(
  database: FreshDatabase,
  { role, schemas, typesAndRelations = false }: Hostile,
): Promise<HostileObjects> {
  const names = await namesInOurSources();
  for (const schema of schemas) {
    const parts = [operators(schema), functions(schema, names), typesAndRelations ? others(schema) : ''];
    await database.adminQuery(
      `set search_path = pg_catalog; set local role ${role}; ${parts.join(';')}; grant usage on schema ${schema} to public`,
    );
  }
  return {
    used: async () => {
      const lines = (await sharedServerLog())
        .split('\n')
        .filter((line) => line.includes(`${MARK}${database.name} `));
      const said = lines.map((line) =>
        line.slice(line.indexOf(MARK) + MARK.length + database.name.length + 1),
      );
      // What a test itself asks is no statement of ours.
      return [...new Set(said)].filter((line) => !line.startsWith('test:'));
    },
  };
}

/** The body of a function that is reported, and answers null. */
function spy(what: string): string {
  return `format('begin raise log ''${MARK}%% %%: %%'', pg_catalog.current_database(), pg_catalog.current_setting(''application_name''), %L; return null; end', ${what})`;
}

const array = (texts: readonly string[]) => `array[${texts.map((text) => `'${text}'`).join(', ')}]`;

function operators(schema: string): string {
  return `do $hostile$
declare
  types text[] := ${array(TYPES)};
  l text; r text; name text;
begin
  foreach l in array types loop
    foreach r in array types loop
      execute format('create function ${schema}.compares(l %1$s, r %2$s) returns boolean language plpgsql as %3$L', l, r, ${spy(`format('an operator (%s, %s)', l, r)`)});
      execute format('create function ${schema}.calculates(l %1$s, r %2$s) returns %1$s language plpgsql as %3$L', l, r, ${spy(`format('an operator (%s, %s)', l, r)`)});
      execute format('create function ${schema}.writes(l %1$s, r %2$s) returns text language plpgsql as %3$L', l, r, ${spy(`format('an operator (%s, %s)', l, r)`)});
      foreach name in array ${array(COMPARISONS)} loop
        execute format('create operator ${schema}.%s (leftarg = %s, rightarg = %s, function = ${schema}.compares)', name, l, r);
      end loop;
      foreach name in array ${array(CALCULATIONS)} loop
        execute format('create operator ${schema}.%s (leftarg = %s, rightarg = %s, function = ${schema}.calculates)', name, l, r);
      end loop;
      foreach name in array ${array(TEXTS)} loop
        execute format('create operator ${schema}.%s (leftarg = %s, rightarg = %s, function = ${schema}.writes)', name, l, r);
      end loop;
    end loop;
  end loop;
end
$hostile$`;
}

/** With the argument types of Postgres's own, with one argument of each type, and with two of a few. */
function functions(schema: string, names: readonly string[]): string {
  const few = ['text', 'character varying', 'name', 'integer', 'bigint', 'double precision', 'boolean'];
  return `do $hostile$
declare
  one record; l text; r text;
begin
  execute format('create function ${schema}.counts(bigint) returns bigint language plpgsql as %L', ${spy("'count(*)'")});
  create aggregate ${schema}.count(*) (sfunc = ${schema}.counts, stype = bigint);
  for one in select p.proname as name, pg_get_function_identity_arguments(p.oid) as arguments, pg_get_function_result(p.oid) as result
               from pg_proc p
              where p.proname = any (${array(names)}) and p.pronamespace <> '${schema}'::regnamespace
                and p.pronamespace in (select 'pg_catalog'::regnamespace union all select extnamespace from pg_extension)
                and p.prorettype <> 'internal'::regtype and not ('internal'::regtype = any (p.proargtypes)) and p.prokind <> 'w'
  loop
    begin
      execute format('create function ${schema}.%I(%s) returns %s language plpgsql as %L', one.name, replace(one.arguments, 'ORDER BY', ','), one.result,
        case when one.result like 'SETOF%' or one.result like 'TABLE%' or one.result = 'void' then replace(${spy(`format('%s(%s)', one.name, one.arguments)`)}, 'return null', 'return') else ${spy(`format('%s(%s)', one.name, one.arguments)`)} end);
    exception when others then null;
    end;
  end loop;
  for one in select distinct p.proname as name, p.pronargs > 1 as two from pg_proc p
              where p.proname = any (${array(names)}) and p.pronargs > 0 and p.pronamespace <> '${schema}'::regnamespace
                and p.pronamespace in (select 'pg_catalog'::regnamespace union all select extnamespace from pg_extension)
  loop
    foreach l in array ${array(TYPES)} loop
      begin
        execute format('create function ${schema}.%I(%s) returns text language plpgsql as %L', one.name, l, ${spy(`format('%s(%s)', one.name, l)`)});
      exception when duplicate_function or ambiguous_function then null;
      end;
    end loop;
    continue when not one.two;
    foreach l in array ${array(few)} loop
      foreach r in array ${array(few)} loop
        begin
          execute format('create function ${schema}.%I(%s, %s) returns text language plpgsql as %L', one.name, l, r, ${spy(`format('%s(%s, %s)', one.name, l, r)`)});
        exception when duplicate_function or ambiguous_function then null;
        end;
      end loop;
    end loop;
  end loop;
end
$hostile$`;
}

/** Domains whose check is reported, and views over Postgres's catalogs. */
function others(schema: string): string {
  return `create function ${schema}.spies(what text) returns boolean language plpgsql as $spy$
begin raise log '${MARK}% %: %', pg_catalog.current_database(), pg_catalog.current_setting('application_name'), what; return true; end $spy$;
do $hostile$
declare
  one record;
begin
  for one in select t.typname as name from pg_type t
              where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype = 'b' and t.typname !~ '^_'
                and t.typname in ('text', 'name', 'oid', 'regclass', 'int2', 'int4', 'int8', 'float4', 'float8', 'bool', 'numeric', 'json', 'jsonb', 'uuid', 'varchar', 'timestamptz', 'interval', 'regtype', 'int2vector', 'oidvector')
  loop
    execute format('create domain ${schema}.%I as pg_catalog.%I check (${schema}.spies(%L::pg_catalog.text))', one.name, one.name, 'the type ' || one.name);
  end loop;
  for one in select c.relname as name, string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns
               from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and a.atttypid <> 'anyarray'::regtype
              where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind in ('r', 'v') and has_table_privilege(c.oid, 'select')
              group by c.relname
  loop
    execute format('create view ${schema}.%I as select %s from pg_catalog.%I where ${schema}.spies(%L::pg_catalog.text)', one.name, one.columns, one.name, 'the relation ' || one.name);
    execute format('grant select on ${schema}.%I to public', one.name);
  end loop;
end
$hostile$`;
}
