import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { compileMigrations } from '../../infra/compile-migrations.ts';
import { environment } from '../../lambda/environment.ts';
import { defaultOptions } from '../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../lambda/postgres/connection-target.ts';
import { readStatus } from '../../lambda/story/status.ts';
import { type AwsEndpoint, withAwsEndpoint } from '../aws-endpoint.ts';
import { duration } from '../cli/duration.ts';
import type { Terminal } from '../cli/terminal.ts';
import { type EmbeddedPostgres, withEmbeddedPostgres } from '../embedded-postgres.ts';
import { NEON_COMPUTE_SETTINGS, withNeonProxy } from '../neon-proxy.ts';
import { type Deployed, LocalCloudFormation } from '../provider-framework.ts';
import { earlierRelease, SECRET_NAME, synthesize } from './assembly.ts';
import { breakThings } from './chaos.ts';
import { fill } from './fill.ts';
import { explainQueries, tableRows } from './queries.ts';
import { type Result, showResult } from './result.ts';
import { Stage } from './stage.ts';
import { Writer } from './writer.ts';

export interface Play {
  readonly rows: number;
  readonly chaos: boolean;
  readonly terminal: Terminal;
  /** For everything that is written: removed by the caller. */
  readonly directory: string;
  readonly migrations: string;
  readonly signal: AbortSignal;
}

/** Tables that build side by side in the example. */
const SIDE_BY_SIDE = 2;

/**
 * The whole story: a database that has been in use since an earlier release, an application that keeps writing, and a
 * deploy that adds indexes, views and columns. Everything but AWS's own machines is what a real deploy runs: the
 * Provider framework, the bundled functions, Neon's driver, the synthesized state machine.
 */
export function playDeploy(play: Play): Promise<boolean> {
  return withEmbeddedPostgres(
    { authentication: 'password', settings: NEON_COMPUTE_SETTINGS },
    async (server) => {
      const database = await createDatabase(server);
      return withNeonProxy({ target: database.url }, (proxy) =>
        withAwsEndpoint(async (aws) => {
          aws.secrets.put(SECRET_NAME, database.url);
          // The functions reach the database as on Lambda with Neon: its own driver, over WebSocket, by way of the proxy.
          const behindProxy: AwsEndpoint = {
            ...aws,
            environment: { ...aws.environment, [environment.neonProxy]: proxy.wsProxy },
          };
          const cloudFormation = await LocalCloudFormation.open(behindProxy);
          const stage = new Stage(play.terminal, () => cloudFormation.log);
          try {
            return await interruptibly(play.signal, () =>
              act(play, { server, database, aws, cloudFormation }),
            );
          } finally {
            aws.stepFunctions.abortAll();
            stage.stop();
            await cloudFormation.stop();
          }
        }),
      );
    },
  );
}

interface Database {
  readonly url: string;
  readonly adminUrl: string;
}

/** An owner without superuser, as on Neon, where the owner may create dblink; here the superuser does it. */
async function createDatabase(server: EmbeddedPostgres): Promise<Database> {
  const admin = new pg.Client(server.url);
  await admin.connect();
  await admin.query(`create role app login password 'app-password'`);
  await admin.query('create database app owner app');
  await admin.end();
  const adminUrl = server.urlOf({ database: 'app' });
  const inDatabase = new pg.Client(adminUrl);
  await inDatabase.connect();
  await inDatabase.query('create extension dblink');
  await inDatabase.end();
  return { url: server.urlOf({ database: 'app', user: 'app', password: 'app-password' }), adminUrl };
}

interface Scene {
  readonly server: EmbeddedPostgres;
  readonly database: Database;
  readonly aws: AwsEndpoint;
  readonly cloudFormation: LocalCloudFormation;
}

async function act(play: Play, { server, database, aws, cloudFormation }: Scene): Promise<boolean> {
  const { terminal, directory, migrations, rows, signal } = play;
  const title = (text: string) => terminal.line(terminal.colors.bold(`\n${text}`));

  title('An earlier release: CloudFormation Create, tables only');
  const before = synthesize(
    earlierRelease(migrations, join(directory, 'earlier')),
    join(directory, 'assembly-1'),
    SIDE_BY_SIDE,
  );
  succeeded(await cloudFormation.deploy(before));

  title(`Time passes: ${rows.toLocaleString('en')} messages`);
  const filled = await fill(database.url, rows, () => signal.throwIfAborted());
  terminal.line(
    `${filled.users.toLocaleString('en')} users, ${filled.messages.toLocaleString('en')} messages, ${filled.savedWords.toLocaleString('en')} saved words`,
  );

  const writer = new Writer(database.url);
  writer.start();
  title('The deploy: CloudFormation Update, the application keeps writing');
  const after = synthesize(migrations, join(directory, 'assembly-2'), SIDE_BY_SIDE);
  const begun = performance.now();
  const chaos = play.chaos
    ? breakThings({ server, adminUrl: database.adminUrl, cloudFormation, terminal })
    : undefined;
  succeeded(await cloudFormation.deploy(after));
  terminal.line(
    `deploy    UPDATE_COMPLETE after ${duration((performance.now() - begun) / 1000)}; index builds go on`,
  );
  await aws.stepFunctions.settled();
  const blows = await chaos?.end();
  const seconds = (performance.now() - begun) / 1000;
  signal.throwIfAborted();

  const compiled = await compileMigrations(migrations);
  const status = await readStatus(parseConnectionUrl(database.url, 'the example'), {
    options: defaultOptions,
    migrations: compiled,
  });
  const written = await writer.stop();
  const queries = await explainQueries(database.url);
  const result: Result = {
    status,
    rows: await tableRows(database.url),
    writer: written,
    queries,
    seconds,
    ...(blows === undefined ? {} : { chaos: blows }),
  };
  return showResult(terminal, result);
}

function succeeded({ status, exchanges }: Deployed): void {
  const failed = exchanges.find((exchange) => exchange.status === 'FAILED');
  if (failed !== undefined) throw new Error(`${status}: ${failed.reason}`);
}

/** Rejects as soon as the signal comes; what was begun is ended by the brackets around. */
async function interruptibly<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  const working = work();
  working.catch(() => undefined);
  try {
    return await Promise.race([working, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
