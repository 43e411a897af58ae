import { join } from 'node:path';
import { compileMigrations } from '../../compiler/steps/compile-migrations.ts';
import { duration } from '../../lambda/migration/amounts.ts';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { defaultOptions } from '../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../lambda/postgres/session/connection-target.ts';
import { readStatus } from '../../lambda/status/status.ts';
import type { AwsEndpoint } from '../aws/aws-endpoint.ts';
import type { Terminal } from '../cli/terminal.ts';
import type { Deployed, LocalCloudFormation } from '../cloudformation/provider-framework.ts';
import type { EmbeddedPostgres } from '../postgres/embedded-postgres.ts';
import { earlierRelease, synthesize } from './assembly.ts';
import { breakThings } from './chaos.ts';
import type { DemoDisplay } from './demo-display.ts';
import { fill } from './fill.ts';
import { explainQueries } from './queries.ts';
import { type Result, showResult } from './result.ts';
import { seeTables } from './tables.ts';
import { Writer } from './writer.ts';

export interface DemoRequest {
  /** Messages in the example. */
  readonly rows: number;
  readonly chaos: boolean;
  readonly terminal: Terminal;
  /** For everything that is written: removed by the caller. */
  readonly directory: string;
  readonly migrations: string;
  readonly signal: AbortSignal;
}

export interface Database {
  /** As its owner. */
  readonly url: string;
  readonly adminUrl: string;
}

export interface DemoMachine {
  readonly server: EmbeddedPostgres;
  readonly database: Database;
  readonly aws: AwsEndpoint;
  readonly cloudFormation: LocalCloudFormation;
  readonly display: DemoDisplay;
}

/** Tables that build side by side in the example. */
const SIDE_BY_SIDE = 2;

/**
 * A database that has been in use since an earlier release, an application that keeps writing, and a deploy that
 * brings indexes, columns and views:
 * 1. synthesize both releases;
 * 2. deploy the earlier one, CloudFormation's Create: tables only;
 * 3. fill the tables;
 * 4. let the application write;
 * 5. deploy this one, CloudFormation's Update, and wait for the index-build loop;
 * 6. look at what came of it.
 */
export async function deployTwoReleases(request: DemoRequest, machine: DemoMachine): Promise<boolean> {
  const { directory, migrations } = request;
  const { display, database, cloudFormation } = machine;
  const title = (text: string) => display.line(request.terminal.colors.bold(`\n${text}`));
  const earlier = earlierRelease(migrations, join(directory, 'earlier'));
  const [before, after] = [join(directory, 'before'), join(directory, 'after')];
  const syntheses = [
    { migrations: earlier, outdir: before, maxConcurrentTables: SIDE_BY_SIDE },
    { migrations, outdir: after, maxConcurrentTables: SIDE_BY_SIDE },
  ];
  await synthesize({ syntheses, temporary: directory }, request.signal);
  const compiled = await compileMigrations(migrations);

  title('An earlier release: CloudFormation Create, tables only');
  display.verb('green', 'deploy', succeeded(await cloudFormation.deploy(before)));

  title('Time passes');
  const begun = performance.now();
  const filled = await fill(database.adminUrl, request.rows, (fraction, rows) =>
    display.underWay('filling', fraction, `filling the tables: ${rows.toLocaleString('en')} rows`),
  );
  display.over('filling');
  const numbers = Object.entries(filled).map(([name, rows]) => `${rows.toLocaleString('en')} ${name}`);
  display.line(`${numbers.join(', ')} in ${secondsSince(begun)}`);

  title('This release: CloudFormation Update, while the application keeps writing');
  const writer = await Writer.start(database.url);
  try {
    return showResult(request.terminal, await deployAndWatch(request, machine, { writer, after, compiled }));
  } finally {
    writer.kill();
  }
}

interface Update {
  readonly writer: Writer;
  /** The assembly to deploy. */
  readonly after: string;
  readonly compiled: CompiledMigrations;
}

async function deployAndWatch(
  { chaos }: DemoRequest,
  { server, database, aws, cloudFormation, display }: DemoMachine,
  { writer, after, compiled }: Update,
): Promise<Result> {
  const target = parseConnectionUrl(database.url, 'The example');
  const { adminUrl } = database;
  const watching = display.watchBuilds(target, compiled);
  const breaking = chaos ? breakThings({ server, adminUrl, cloudFormation, display }) : undefined;
  const begun = performance.now();
  const status = succeeded(await cloudFormation.deploy(after));
  display.verb('green', 'deploy', `${status} after ${secondsSince(begun)}; index builds continue`);
  await aws.stepFunctions.settled();
  const seconds = (performance.now() - begun) / 1000;
  const blows = await breaking?.end();
  display.stop();
  await watching;

  const written = await writer.stop();
  const queries = await explainQueries(database.url);
  return {
    status: await readStatus(target, { options: defaultOptions, migrations: compiled }),
    ...(await seeTables(database.url)),
    writer: written,
    queries,
    seconds,
    ...(blows === undefined ? {} : { chaos: blows }),
  };
}

function succeeded({ status, exchanges }: Deployed): string {
  const failed = exchanges.find((exchange) => exchange.status === 'FAILED');
  if (failed === undefined) return status;
  throw new MigrationError({
    code: 'deploy-failed',
    what: `The deploy ended with ${status}: ${failed.reason}`,
    next: 'fix what the reason above names, then start again: everything starts over.',
  });
}

function secondsSince(begun: number): string {
  return duration((performance.now() - begun) / 1000);
}
