import type { IndexBuild } from '../../index-build/index-build.ts';
import type { ConnectionTarget } from '../connection-target.ts';
import { type StatementFault, sqlstate } from '../fault.ts';
import { builderNames } from '../index-catalog.ts';
import { quoteIdentifier, quoteLiteral } from '../quote.ts';
import type { Session } from '../session.ts';
import { BUILD_SETTINGS, UNINTERRUPTED } from './build-settings.ts';
import { conninfo, startupOptions } from './conninfo.ts';
import { ensureSupervisor, LOOPBACK_SETTING } from './supervisor.ts';

/** Why a loopback session can't be had here. */
export interface LoopbackRefused {
  readonly kind: 'refused';
  readonly because: string;
}

/**
 * Starts a build in a session that the server opens to itself: it does not pass the proxy that would cancel it when
 * we go away. What runs afterwards: a supervisor session that we do not wait for, and the build session that it
 * holds. Must be called under the table lock, after the attempt was recorded.
 */
export async function startLoopback(
  session: Session,
  { build, attempt, target, ledgerSchema, settings }: LoopbackStart,
): Promise<LoopbackRefused | undefined> {
  const dblinkSchema = await findDblink(session, ledgerSchema);
  if (dblinkSchema === undefined)
    return { kind: 'refused', because: 'the extension dblink is missing and can not be created' };
  await ensureSupervisor(session, ledgerSchema, dblinkSchema);
  const [supervisor, builder] = builderNames(build.id);
  const address = await ownAddress(session);
  const connection = {
    ...address,
    dbname: target.database,
    user: target.user,
    password: target.password ?? '',
    connect_timeout: '10',
  };
  const forBuild = conninfo({
    ...connection,
    application_name: builder,
    options: startupOptions(NEVER_INTERRUPTED),
  });
  const forSupervisor = conninfo({
    ...connection,
    application_name: supervisor,
    options: startupOptions({ ...NEVER_INTERRUPTED, [LOOPBACK_SETTING]: forBuild }),
  });
  const link = `supervisor_${build.id}`;
  const connected = await connectSecretly(session, { dblinkSchema, link, conninfo: forSupervisor });
  if (connected !== undefined) return { kind: 'refused', because: describe(connected) };
  const call = `call ${quoteIdentifier(ledgerSchema)}.supervise_build(${build.id}, ${attempt}, array[${[...BUILD_SETTINGS, ...settings].map(quoteLiteral).join(', ')}]::text[])`;
  const d = quoteIdentifier(dblinkSchema);
  await session.query(`select ${d}.dblink_send_query($1, $2)`, [link, call]);
  return undefined;
}

export interface LoopbackStart {
  readonly build: IndexBuild;
  /** The attempt that was just recorded, from 1. */
  readonly attempt: number;
  readonly target: ConnectionTarget;
  readonly ledgerSchema: string;
  /** SET statements of ours for the build session: memory, workers. */
  readonly settings: readonly string[];
}

/** The supervisor has to outlive its caller from its first moment, so it gets these at its start. */
const NEVER_INTERRUPTED = Object.fromEntries(UNINTERRUPTED.map((name) => [name, '0']));

/** The schema in which dblink lies, after creating the extension where our role may. */
async function findDblink(session: Session, ledgerSchema: string): Promise<string | undefined> {
  const find = async () => {
    const rows = await session.query(
      `select n.nspname as schema from pg_catalog.pg_extension e
         join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname = 'dblink'`,
    );
    return typeof rows[0]?.schema === 'string' ? rows[0].schema : undefined;
  };
  const found = await find();
  if (found !== undefined) return found;
  await session.script(`create extension if not exists dblink with schema ${quoteIdentifier(ledgerSchema)}`);
  return find();
}

/**
 * The server's address as a direct connection sees it. Not 127.0.0.1: a server that trusts it asks for no password
 * there, and dblink refuses such a connection to anybody but a superuser.
 */
async function ownAddress(session: Session): Promise<{ host: string; port: string }> {
  const [row] = await session.query(
    'select pg_catalog.host(pg_catalog.inet_server_addr()) as host, pg_catalog.inet_server_port()::text as port',
  );
  return { host: String(row?.host ?? '127.0.0.1'), port: String(row?.port ?? 5432) };
}

/**
 * dblink_connect with a password that appears in no query text and no log, not even with log_statement = all, which
 * logs bind parameters too: the connection string travels as COPY data into a temporary table.
 */
async function connectSecretly(
  session: Session,
  { dblinkSchema, link, conninfo: text }: { dblinkSchema: string; link: string; conninfo: string },
): Promise<StatementFault | undefined> {
  const d = quoteIdentifier(dblinkSchema);
  await session.script('create temporary table if not exists loopback_connection (conninfo text)');
  await session.script('truncate pg_temp.loopback_connection');
  await session.copyIn('copy pg_temp.loopback_connection (conninfo) from stdin', `${copyText(text)}\n`);
  const { fault } = await session.script(
    `select ${d}.dblink_connect(${quoteLiteral(link)}, conninfo) from pg_temp.loopback_connection;
drop table pg_temp.loopback_connection`,
  );
  if (fault !== undefined) await session.script('drop table if exists pg_temp.loopback_connection');
  return fault;
}

/** Escapes of COPY's text format. */
function copyText(value: string): string {
  return value
    .replaceAll('\\', '\\\\')
    .replaceAll('\t', '\\t')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r');
}

function describe({ fault }: StatementFault): string {
  const detail = fault.detail === undefined ? '' : ` (${fault.detail})`;
  return fault.sqlstate === sqlstate.insufficientPrivilege
    ? `our role may not use dblink: ${fault.message}`
    : `the server can not connect to itself: ${fault.message}${detail}`;
}
