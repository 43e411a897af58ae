import * as v from 'valibot';
import { sqlstate } from '../../migration/sqlstate.ts';
import type { ConnectionTarget } from '../session/connection-target.ts';
import { conninfo, startupOptions } from '../session/conninfo.ts';
import { StatementFault } from '../session/fault.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { LIMIT_NAMES } from './build-settings.ts';
import type { LoopbackRefused } from './dblink.ts';

export interface LoopbackConnection {
  readonly target: ConnectionTarget;
  /** The schema of dblink. */
  readonly dblinkSchema: string;
  /** dblink's name for the connection, within the session. */
  readonly link: string;
  readonly applicationName: string;
  /** Additional settings that the connection starts with. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * A token is valid for one immediate connection to the name it was signed for; the server would connect by its address,
 * and a supervisor later.
 */
export function refusesLoopback({ token }: ConnectionTarget): LoopbackRefused | undefined {
  return token === undefined
    ? undefined
    : { because: 'with IAM authentication there is no password by which the server could connect to itself' };
}

/** Opens a session from the server to itself, over a dblink connection of `session`. */
export async function openLoopback(
  session: Session,
  { target, dblinkSchema, link, applicationName, settings }: LoopbackConnection,
): Promise<LoopbackRefused | undefined> {
  const text = await loopbackConninfo(session, { target, applicationName, settings: settings ?? {} });
  const fault = await connectSecretly(session, { dblinkSchema, link, text });
  if (fault === undefined) return undefined;
  return { because: describe(fault), passing: mayPass(fault) ? fault.fault : undefined };
}

/** Messages for connections that the server would accept a moment later. dblink has one SQLSTATE for all errors. */
const PASSING =
  /too many (?:clients|connections)|connection slots|starting up|shutting down|recovery mode|password authentication failed/;

/** Our own session has just used the password, so it is being rotated. */
function mayPass({ fault }: StatementFault): boolean {
  return (
    fault.sqlstate === sqlstate.unableToConnect && PASSING.test(`${fault.message} ${fault.detail ?? ''}`)
  );
}

/** The connection string for a session from the server to itself. Holds the password. */
export async function loopbackConninfo(
  session: Session,
  {
    target,
    applicationName,
    settings,
  }: Pick<Required<LoopbackConnection>, 'target' | 'applicationName' | 'settings'>,
): Promise<string> {
  const { host, port, limits } = await ownAddress(session);
  return conninfo({
    host,
    port,
    dbname: target.database,
    user: target.user,
    password: target.password ?? '',
    connect_timeout: '10',
    application_name: applicationName,
    // The settings that the connection string asks for; and the session must outlive its caller from the start.
    options: startupOptions({
      ...target.settings,
      ...Object.fromEntries(limits.map((name) => [name, '0'])),
      ...settings,
    }),
  });
}

/**
 * The server's address as a direct connection sees it. Not 127.0.0.1: a server that trusts it asks for no password
 * there, and dblink refuses such a connection to anybody but a superuser.
 */
async function ownAddress(session: Session): Promise<v.InferOutput<typeof addressRow>> {
  const [row] = await session.query(
    `select coalesce(pg_catalog.host(pg_catalog.inet_server_addr()), '127.0.0.1') as host,
            coalesce(pg_catalog.inet_server_port()::text, pg_catalog.current_setting('port')) as port,
            array(select name::text from pg_catalog.pg_settings where name = any (${LIMIT_NAMES})) as limits`,
  );
  return v.parse(addressRow, row);
}

const addressRow = v.object({ host: v.string(), port: v.string(), limits: v.array(v.string()) });

/**
 * dblink_connect with a password that appears in no query text and no log, not even with log_statement = all, which
 * logs bind parameters too: the connection string travels as COPY data into a temporary table. In the binary format,
 * since an error of COPY's text format is logged with the line that it met.
 */
async function connectSecretly(
  session: Session,
  { dblinkSchema, link, text }: { dblinkSchema: string; link: string; text: string },
): Promise<StatementFault | undefined> {
  const d = quoteIdentifier(dblinkSchema);
  const { fault: refused } = await session.script(
    `drop table if exists pg_temp.loopback_connection;
create temporary table loopback_connection (conninfo pg_catalog.text)`,
  );
  if (refused !== undefined) return refused;
  const copied = await copySecretly(session, text);
  if (copied !== undefined) return copied;
  const { fault } = await session.script(
    `select ${d}.dblink_connect(${quoteLiteral(link)}::pg_catalog.text, conninfo) from pg_temp.loopback_connection;
drop table pg_temp.loopback_connection`,
  );
  if (fault !== undefined) await session.script('drop table if exists pg_temp.loopback_connection');
  return fault;
}

async function copySecretly(session: Session, text: string): Promise<StatementFault | undefined> {
  try {
    const copy = 'copy pg_temp.loopback_connection (conninfo) from stdin with (format binary)';
    await session.copyIn(copy, binaryRow(text));
    return undefined;
  } catch (error) {
    if (error instanceof StatementFault) return error;
    throw error;
  }
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');

/** One row of one column in COPY's binary format: a header without flags and extension, the row, an end of the data. */
function binaryRow(value: string): Buffer {
  const field = Buffer.from(value, 'utf8');
  const [header, row, end] = [Buffer.alloc(8), Buffer.alloc(6), Buffer.alloc(2)];
  row.writeInt16BE(1, 0);
  row.writeInt32BE(field.length, 2);
  end.writeInt16BE(-1, 0);
  return Buffer.concat([SIGNATURE, header, row, field, end]);
}

function describe({ fault }: StatementFault): string {
  const detail = fault.detail === undefined ? '' : ` (${fault.detail})`;
  return fault.sqlstate === sqlstate.insufficientPrivilege
    ? `our role may not use dblink or temporary tables: ${fault.message}`
    : `the server cannot connect to itself: ${fault.message}${detail}`;
}
