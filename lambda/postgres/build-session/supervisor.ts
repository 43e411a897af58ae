import { sqlstate } from '../../migration/sqlstate.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { SETTING_OF_FILE } from './build-settings.ts';
import { SUCCEEDED } from './work-statement.ts';

/** Custom setting that carries the connection string into the supervisor's session; never part of a query text. */
export const LOOPBACK_SETTING = 'migrations.loopback';
/** Settings that the supervisor's session starts with. */
export const SUPERVISOR_SETTINGS = {
  search_path: 'pg_catalog',
  // Turns write to the row of its build meanwhile.
  default_transaction_isolation: 'read committed',
};
/** Name of the supervisor's connection to the build session: a word that no author's text contains. */
const CONNECTION_NAME = 'cdk_postgres_migrations_build';
/** Name of the procedure; it differs between versions. */
const SIGNATURE = `(${['int8', 'int4', 'text[]', 'text[]', 'text'].map((type) => `pg_catalog.${type}`).join(', ')})`;
const BUILD_CONNECTION = `'${CONNECTION_NAME}'::pg_catalog.text`;

/**
 * The supervisor: a procedure that runs in a session of its own, opens the build session over dblink, and waits for its
 * end. It commits between looks, so that it holds no snapshot for which the build would wait, and at the end writes the
 * outcome to the ledger in Postgres's own words, long after its caller is gone.
 *
 * Every exception is caught, and query_canceled by its name: `others` leaves it out.
 *
 * Whatever runs in its session could read the connection string. So the session starts with a search path of pg_catalog
 * only (SUPERVISOR_SETTINGS): otherwise anybody who may create objects in the database could slip in a function or an
 * operator. The setting is cleared as soon as the string was used.
 *
 * Step by step: claim the attempt (a second supervisor of the same attempt finds it claimed and leaves); open the build
 * session and give it the file's settings; send the statement; look, commit, sleep; store the outcome. What it executes
 * is passed in, not read: the ledger may have changed since it was compared with the code.
 *
 * Settings run in a DO block, since dblink_exec() takes no statement that returns rows, as a SELECT of set_config() does.
 * Notices are off: nobody reads them, and a flood would come only as fast as the procedure polls. Each pause is a
 * twentieth of the time so far, which bounds the delay in seeing the end. A file's several statements have a result each.
 */
export function supervisorDefinition(ledgerSchema: string, dblinkSchema: string): string {
  const s = quoteIdentifier(ledgerSchema);
  const d = quoteIdentifier(dblinkSchema);
  // Above the line that names the connection is the context in the build session, below it our own.
  const context = `case when pg_catalog.strpos(said_context, '${CONNECTION_NAME}'::pg_catalog.text) > 0
    then pg_catalog.regexp_replace(said_context, '(^|\\n)[^\\n]*${CONNECTION_NAME}.*$'::pg_catalog.text, ''::pg_catalog.text) end`;
  const body = `
declare
  claimed bigint;
  wanted ${s}.work;
  setting pg_catalog.text; doing pg_catalog.text;
  pause pg_catalog.float8 := 0.02;
  said_sqlstate pg_catalog.text; said_message pg_catalog.text; said_detail pg_catalog.text;
  said_hint pg_catalog.text; said_context pg_catalog.text;
begin
  update ${s}.work set supervisor_pid = pg_catalog.pg_backend_pid()
   where id = build and attempts = attempt and state = 'building' and supervisor_pid is null
  returning id into claimed;
  if claimed is null then return; end if;
  commit;
  begin
    select * into wanted from ${s}.work where id = build;
    perform ${d}.dblink_connect(${BUILD_CONNECTION}, pg_catalog.current_setting('${LOOPBACK_SETTING}'));
    perform pg_catalog.set_config('${LOOPBACK_SETTING}', '', false);
    foreach setting in array authored loop
      doing := setting;
      perform ${d}.dblink_exec(${BUILD_CONNECTION}, pg_catalog.format('do %L', pg_catalog.format('begin execute %L; end', setting)));
    end loop;
    doing := null;
    perform ${d}.dblink_exec(${BUILD_CONNECTION}, pg_catalog.format('set client_encoding = %L; set client_min_messages = error', pg_catalog.current_setting('server_encoding')));
    foreach setting in array settings loop
      perform ${d}.dblink_exec(${BUILD_CONNECTION}, setting);
    end loop;
    update ${s}.work b set builder_pid = r.pid
      from ${d}.dblink(${BUILD_CONNECTION}, 'select pg_catalog.pg_backend_pid()'::pg_catalog.text) as r (pid int) where b.id = build;
    if ${d}.dblink_send_query(${BUILD_CONNECTION}, statement) <> 1 then
      raise exception 'the statement could not be sent: %', ${d}.dblink_error_message(${BUILD_CONNECTION});
    end if;
  exception when query_canceled or others then
    get stacked diagnostics said_sqlstate = returned_sqlstate, said_message = message_text,
      said_detail = pg_exception_detail, said_hint = pg_exception_hint, said_context = pg_exception_context;
    update ${s}.work set attempt_outcome = pg_catalog.jsonb_build_object('kind', 'failed', 'endedAt', pg_catalog.clock_timestamp(), 'fault',
      pg_catalog.jsonb_build_object('sqlstate', said_sqlstate, 'message', said_message,
        'detail', case when doing is null then said_detail else pg_catalog.concat('${SETTING_OF_FILE}', doing) end,
        'hint', said_hint, 'context', ${context}))
     where id = build and attempts = attempt;
    return;
  end;
  commit;
  while ${d}.dblink_is_busy(${BUILD_CONNECTION}) = 1 loop
    commit;
    perform pg_catalog.pg_sleep(pause);
    commit;
    pause := least(pause * 1.05::pg_catalog.float8, 0.5::pg_catalog.float8);
  end loop;
  commit;
  begin
    for result in 1 .. case when wanted.operation = 'statement' then 5 else 1 end loop
      perform status from ${d}.dblink_get_result(${BUILD_CONNECTION}) as result (status pg_catalog.text);
    end loop;
    update ${s}.work set attempt_outcome = ${SUCCEEDED} where id = build and attempts = attempt and attempt_outcome is null;
  exception when query_canceled or others then
    get stacked diagnostics said_sqlstate = returned_sqlstate, said_message = message_text,
      said_detail = pg_exception_detail, said_hint = pg_exception_hint, said_context = pg_exception_context;
    update ${s}.work set attempt_outcome = pg_catalog.jsonb_build_object('kind', 'failed', 'endedAt', pg_catalog.clock_timestamp(), 'fault',
      pg_catalog.jsonb_build_object('sqlstate', said_sqlstate, 'message', said_message, 'detail', said_detail,
        'hint', said_hint, 'context', ${context}))
     where id = build and attempts = attempt and attempt_outcome is null;
  end;
  commit;
  perform ${d}.dblink_disconnect(${BUILD_CONNECTION});
end`;
  return `create or replace procedure ${s}.supervise_build(build bigint, attempt int, authored pg_catalog.text[], settings pg_catalog.text[], statement pg_catalog.text)
language plpgsql as ${quoteLiteral(body)}`;
}

/** Creates the procedure, unless it exists with the same text. */
export async function ensureSupervisor(
  session: Session,
  ledgerSchema: string,
  dblinkSchema: string,
): Promise<void> {
  const definition = supervisorDefinition(ledgerSchema, dblinkSchema);
  for (let attempt = 1; ; attempt += 1) {
    const { fault } = await session.script(
      `do ${quoteLiteral(`begin
  if not exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
                  where n.nspname = ${quoteLiteral(ledgerSchema)} and p.proname = 'supervise_build'
                    and p.proowner = (select c.relowner from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relname = 'ledger')
                    and pg_catalog.obj_description(p.oid, 'pg_proc') = ${quoteLiteral(fingerprint(definition))}) then
    execute ${quoteLiteral(definition)};
    execute ${quoteLiteral(`revoke all on procedure ${quoteIdentifier(ledgerSchema)}.supervise_build${SIGNATURE} from public`)};
    execute ${quoteLiteral(`comment on procedure ${quoteIdentifier(ledgerSchema)}.supervise_build${SIGNATURE} is ${quoteLiteral(fingerprint(definition))}`)};
  end if;
end`)}`,
    );
    if (fault === undefined) return;
    // If two turns create it at the same moment, one gets an error, and finds it created.
    const collided =
      fault.fault.sqlstate === sqlstate.uniqueViolation || fault.fault.sqlstate === sqlstate.internalError;
    if (!collided || attempt >= 5) throw fault;
  }
}

/** Tells one text from another; guards against nothing. */
function fingerprint(text: string): string {
  let hash = 0;
  for (let index = 0; index < text.length; index += 1) hash = (hash * 31 + text.charCodeAt(index)) | 0;
  return `cdk-postgres-migrations ${text.length}-${(hash >>> 0).toString(16)}`;
}
