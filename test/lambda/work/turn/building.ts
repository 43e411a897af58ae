import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { defaultOptions, type MigrationOptions } from '../../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import type { TurnResult } from '../../../../lambda/work/loop-task.ts';
import { takeTurn } from '../../../../lambda/work/turn/turn.ts';
import type { TurnEvent, TurnRequest } from '../../../../lambda/work/turn/turn-request.ts';
import { closeServer, listen } from '../../../../local/aws/listen.ts';
import type { FreshDatabase } from '../../../support/fresh-database.ts';
import { emptyFolder } from '../../migration/made-up.ts';

/**
 * A table of `rows` rows with a function that takes its time, so that an index over `slow(x)` takes `seconds` to
 * build; the duplicate in `twice` is found when all of them are read.
 */
export function slowTable({ rows = 200, seconds = 1 }: { rows?: number; seconds?: number } = {}): string {
  return `create function slow(x int) returns int immutable language plpgsql
  as 'begin perform pg_catalog.pg_sleep(${seconds / rows}); return x; end';
create table big (x int primary key, twice int);
insert into big select i, i / 2 from generate_series(1, ${rows}) i;`;
}

export interface OneTurn extends Partial<MigrationOptions> {
  /** By way of a proxy. */
  readonly url?: string;
  /** Instead of the URL's password. */
  readonly token?: () => Promise<string>;
  readonly deadline?: number;
  readonly schema?: string;
  readonly table?: string;
  readonly events?: TurnEvent[];
  /** @default none */
  readonly pauseSeconds?: TurnRequest['pauseSeconds'];
  readonly yields?: TurnRequest['yields'];
  /** What is deployed. @default an empty folder */
  readonly migrations?: TurnRequest['migrations'];
}

/** One turn of a table, as one invocation of the loop's function takes it. */
export function turnOf(database: FreshDatabase, given: OneTurn = {}): Promise<TurnResult> {
  const {
    url = database.url,
    token,
    deadline,
    schema = 'public',
    table = 'big',
    events,
    pauseSeconds = () => 0,
    yields = () => false,
    migrations = emptyFolder,
    ...options
  } = given;
  return takeTurn({
    table: { schema, table },
    turn: 1,
    migrations,
    target: { ...parseConnectionUrl(url, 'The URL'), ...(token && { token, password: undefined }) },
    options: { ...defaultOptions, smallTableRows: 100, ...options },
    deadline,
    report: (event) => void events?.push(event),
    pauseSeconds,
    yields,
  });
}

/** The end of a turn's time after so many batches, for `yields`. */
export function after(batches: number): () => boolean {
  let begun = 0;
  return () => ++begun > batches;
}

export interface SeenBuild {
  readonly state: string;
  readonly session: string | null;
  readonly attempts: number;
  readonly outcome: string | null;
  readonly fault: {
    readonly sqlstate: string;
    readonly message: string;
    readonly detail?: string;
    readonly hint?: string;
  } | null;
}

/** The only build of the ledger. */
export async function theBuild(database: FreshDatabase): Promise<SeenBuild> {
  const [build] = await database.query<SeenBuild & Record<string, unknown>>(
    `select state, session, attempts, attempt_outcome ->> 'kind' as outcome, fault from migrations.index_build`,
  );
  if (build === undefined) throw new Error('There is no build.');
  return build;
}

/** What sessions of ours exist in the database. */
export async function sessionsOf(database: FreshDatabase): Promise<string[]> {
  const rows = await database.adminQuery<{ name: string }>(
    `select application_name as name from pg_stat_activity
      where datname = current_database() and application_name ~ '^(migrations|cdk-postgres)' order by 1`,
  );
  return rows.map(({ name }) => name);
}

/** A way to the server on which we come from another address than the server itself would. */
export async function fromAnotherAddress(url: string, localAddress: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect({ host: hostname, port: Number(port), localAddress });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
    }
    client.pipe(upstream).pipe(client);
  });
  const ownPort = await listen(server);
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await closeServer(server);
  });
  const by = new URL(url);
  by.host = `127.0.0.1:${ownPort}`;
  return by.href;
}
