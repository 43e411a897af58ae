import * as v from 'valibot';
import type { Statement } from '../../migration/migration.ts';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { StatementFault } from '../session/fault.ts';
import { quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';

/** Why no loopback session is possible here. */
export interface LoopbackRefused {
  readonly because: string;
  /** Whether the reason is temporary, so that another attempt may succeed. */
  readonly passing?: PostgresFault | undefined;
}

/** The extension, in a schema where our role may use everything that a build needs. */
export interface Dblink {
  readonly schema: string;
}

/**
 * Where we create it: its own schema, which every role may use, since two constructs on one database may have two
 * roles, and in which only the owner may create anything, unlike in `public`.
 */
const OWN_SCHEMA = 'migrations_dblink';

/** Its functions that a build needs, as Postgres names their arguments. */
const NEEDED = [
  'dblink(text, text)',
  'dblink_connect(text, text)',
  'dblink_disconnect(text)',
  'dblink_error_message(text)',
  'dblink_exec(text, text)',
  'dblink_get_connections()',
  'dblink_get_result(text)',
  'dblink_is_busy(text)',
  'dblink_send_query(text, text)',
];

const foundRow = v.object({
  schema: v.string(),
  usable: v.boolean(),
  callable: v.number(),
  genuine: v.number(),
});

/** Looks for the extension, and creates it if it is missing and our role may. */
export async function findDblink(session: Session): Promise<Dblink | LoopbackRefused> {
  const found = await find(session);
  if (found !== undefined) return found;
  await session.script(CREATE);
  return (await find(session)) ?? { because: 'the extension dblink is missing and cannot be created' };
}

/** The quotes are those that quote_all_identifiers puts around types. */
async function find(session: Session): Promise<Dblink | LoopbackRefused | undefined> {
  const [row] = await session.query(
    `select n.nspname as schema, pg_catalog.has_schema_privilege(n.oid, 'usage') as usable,
            needed.callable, needed.genuine
       from pg_catalog.pg_extension e
       join pg_catalog.pg_namespace n on n.oid = e.extnamespace
      cross join lateral (
        select (pg_catalog.count(*) filter (where pg_catalog.has_function_privilege(p.oid, 'execute')))::int as callable,
               (pg_catalog.count(*) filter (where l.lanname = 'c'))::int as genuine
          from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid = p.prolang
         where p.pronamespace = n.oid
           and pg_catalog.format('%s(%s)', p.proname, pg_catalog.replace(pg_catalog.oidvectortypes(p.proargtypes), '"', ''))
               = any ($1::pg_catalog.text[])) as needed
      where e.extname = 'dblink'`,
    [NEEDED],
  );
  if (row === undefined) return undefined;
  const { schema, usable, callable, genuine } = v.parse(foundRow, row);
  if (!usable) return { because: `our role may not use the schema ${schema}, which contains dblink` };
  if (callable < NEEDED.length)
    return { because: `our role may not call the functions of dblink in ${schema}` };
  // The schema's owner can replace a function of the extension, and would be given the connection string. Only a
  // superuser can create one in C.
  if (genuine < NEEDED.length)
    return { because: `the functions of dblink in ${schema} are not those of the extension` };
  return { schema };
}

/**
 * In one transaction, so that no schema is left behind if our role may not create the extension. Not in a schema of
 * somebody else's, who could add functions beside those of the extension.
 */
const CREATE = `do ${quoteLiteral(`declare
  creator pg_catalog.text;
begin
  if not exists (select from pg_catalog.pg_namespace n where n.nspname = '${OWN_SCHEMA}') then
    create schema ${OWN_SCHEMA};
    -- Default privileges may have given it to others.
    for creator in select distinct case a.grantee when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end
                     from pg_catalog.pg_namespace n cross join pg_catalog.aclexplode(n.nspacl) a
                    where n.nspname = '${OWN_SCHEMA}' and a.grantee <> n.nspowner
    loop
      execute pg_catalog.format('revoke all on schema ${OWN_SCHEMA} from %s cascade', creator);
    end loop;
    grant usage on schema ${OWN_SCHEMA} to public;
  end if;
  if exists (select from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.oid = n.nspowner
              where n.nspname = '${OWN_SCHEMA}' and r.rolname = current_user) then
    create extension if not exists dblink with schema ${OWN_SCHEMA};
  end if;
end`)}`;

/** Whether an author's statement creates the extension. */
export function createsDblink({ kind, text }: Statement): boolean {
  return kind === 'CreateExtensionStmt' && /\bdblink\b/i.test(text);
}

/**
 * Send this before such a statement: an extension that only our builds needed must not get in the way of a migration
 * that creates it. Runs in the step's own transaction, under the role's search path. A build under way continues; if it
 * fails, another attempt finds out why. Where another role created the extension, or a function of the migrations needs
 * it by now, it stays, and Postgres decides what the statement does.
 */
export function makeRoomForDblink(ledgerSchema: string): string {
  const schemas = [OWN_SCHEMA, ledgerSchema].map((schema) => `${quoteLiteral(schema)}::pg_catalog.name`);
  return `do ${quoteLiteral(`begin
  if exists (select from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) e.extnamespace
              where e.extname operator(pg_catalog.=) 'dblink'::pg_catalog.name
                and n.nspname operator(pg_catalog.=) any (array[${schemas.join(', ')}])) then
    drop extension dblink;
    drop schema if exists ${OWN_SCHEMA};
  end if;
exception when insufficient_privilege or dependent_objects_still_exist then null;
end`)}`;
}

/** An error of dblink is a reason for another kind of session, not a fault of the build. */
export async function unlessRefused(work: () => Promise<unknown>): Promise<LoopbackRefused | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (!(error instanceof StatementFault)) throw error;
    return { because: `dblink cannot be used: ${error.fault.message}` };
  }
}
