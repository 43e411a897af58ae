import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FreshDatabase } from './fresh-database.ts';
import { sharedServerLog } from './fresh-database.ts';

/**
 * Objects that a role which may create some puts in our way: functions and operators that bear the names which our SQL
 * uses, for the types that it uses and for pairs of types for which Postgres has none of its own. Each says in the
 * server's log that it was called, whatever becomes of the transaction.
 */
export interface HostileObjects {
  /** What was called, with the statement that did it. */
  called(): Promise<string[]>;
}

const MARK = 'a hostile object was called:';

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
  'xid',
  'regclass',
  'regtype',
  'json',
  'jsonb',
  'uuid',
  'date',
  'timestamp',
  'timestamptz',
  'interval',
  'text[]',
  'name[]',
  'integer[]',
  'bigint[]',
  'oid[]',
  'int2vector',
  'oidvector',
  'anyelement',
  'anyarray',
];

/** Every name before a bracket in our sources: of these, the ones that Postgres knows are functions. */
async function namesInOurSources(): Promise<string[]> {
  const root = join(import.meta.dirname, '../..');
  const names = new Set<string>();
  const files = (
    await Promise.all(
      ['lambda', 'local/cli'].map((room) =>
        readdir(join(root, room), { recursive: true, withFileTypes: true }),
      ),
    )
  ).flat();
  for (const { parentPath, name: file } of files.filter(({ name }) => name.endsWith('.ts'))) {
    const text = await readFile(join(parentPath, file), 'utf8');
    for (const [, name] of text.matchAll(/\b([a-z][a-z_0-9]*)\s*\(/g))
      if (name !== undefined) names.add(name);
  }
  return [...names].sort();
}

/**
 * Created by `role` in each of the schemas. Where the search path names pg_catalog last, those with Postgres's own
 * argument types are preferred too, and so are types and relations.
 */
export async function putHostileObjects(
  database: FreshDatabase,
  { role, schemas }: { readonly role: string; readonly schemas: readonly string[] },
): Promise<HostileObjects> {
  const names = await namesInOurSources();
  for (const schema of schemas) {
    await database.adminQuery(`set role ${role}; set search_path = pg_catalog; ${objects(schema, names)}`);
  }
  return {
    called: async () => {
      const lines = (await sharedServerLog()).split('\n');
      return lines.filter((line) => line.includes(`${MARK} ${database.name} `));
    },
  };
}

function objects(schema: string, names: readonly string[]): string {
  const list = (texts: readonly string[]) => `array[${texts.map((text) => `'${text}'`).join(', ')}]`;
  return `do $hostile$
declare
  types text[] := ${list(TYPES)};
  lefts text[];
  one record;
  l text;
  r text;
  result text;
  number int := 0;
begin
  -- Operators: every name that Postgres has, over every pair of the types.
  for one in select distinct oprname as name from pg_operator where oprleft <> 0
             and oprname in ('=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '/', '||', '&', '->', '->>', '#>>', '?', '~', '!~', '~~', '!~~', '@>')
  loop
    foreach l in array types loop
      foreach r in array types loop
        continue when (l like 'any%' or r like 'any%') and l <> r;
        result := case when one.name in ('+', '-', '*', '/', '||', '&', '->', '->>', '#>>') then case when l like 'any%' then l else 'text' end else 'boolean' end;
        if one.name in ('+', '-', '*', '/', '&') and l not like 'any%' then result := l; end if;
        number := number + 1;
        execute format('create function %I.op_%s(l %s, r %s) returns %s language plpgsql as %L', '${schema}', number, l, r, result,
          format('begin raise log %L; return null; end', format('${MARK} %s operator %s (%s, %s) of %s', current_database(), one.name, l, r, '${schema}')));
        execute format('create operator %I.%s (leftarg = %s, rightarg = %s, function = %I.op_%s)', '${schema}', one.name, l, r, '${schema}', number);
      end loop;
    end loop;
  end loop;
  -- Functions: the names that our sources use, with Postgres's own argument types.
  for one in select p.proname as name, pg_get_function_identity_arguments(p.oid) as arguments,
                    case when p.prokind = 'p' then null else pg_get_function_result(p.oid) end as result
               from pg_proc p
              where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any (${list(names)})
                and p.prorettype <> 'internal'::regtype and not ('internal'::regtype = any (p.proargtypes)) and p.prokind <> 'w'
  loop
    begin
      execute format('create function %I.%I(%s) returns %s language plpgsql as %L', '${schema}', one.name,
        replace(one.arguments, 'ORDER BY', ','), one.result,
        format('begin raise log %L; return%s; end', format('${MARK} %s function %s(%s) of %s', current_database(), one.name, one.arguments, '${schema}'),
          case when one.result like 'SETOF%' or one.result like 'TABLE%' or one.result = 'void' then '' else ' null' end));
    exception when others then null;
    end;
  end loop;
  -- And with one argument of each type.
  for one in select distinct p.proname as name from pg_proc p
              where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any (${list(names)}) and p.pronargs > 0
  loop
    foreach l in array types loop
      begin
        execute format('create function %I.%I(%s) returns %s language plpgsql as %L', '${schema}', one.name, l,
          case when l like 'any%' then l else 'text' end,
          format('begin raise log %L; return null; end', format('${MARK} %s function %s(%s) of %s', current_database(), one.name, l, '${schema}')));
      exception when duplicate_function then null;
      end;
    end loop;
  end loop;
end
$hostile$`;
}
