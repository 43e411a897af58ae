import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { App, Stack } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import pg from 'pg';
import { inject, onTestFinished } from 'vitest';
import { PostgresMigrations } from '../../../infra/postgres-migrations.ts';
import type { PostgresMigrationsProps } from '../../../infra/postgres-migrations-props.ts';
import { type AwsEndpoint, startAwsEndpoint } from '../../../local/aws/aws-endpoint.ts';
import { bringSdk } from '../../../local/cloudformation/local-stack.ts';
import {
  type Delivery,
  type Deployed,
  LocalCloudFormation,
} from '../../../local/cloudformation/provider-framework.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { indexesIn, stepsIn } from '../run/scenario.ts';

/** What lies in migrations/: SQL by file name. */
export type Files = Readonly<Record<string, string>>;

export interface Deploy extends Delivery {
  readonly props?: Partial<PostgresMigrationsProps>;
  /** Name of the construct; another one makes CloudFormation replace the resource. @default 'Migrations' */
  readonly id?: string;
}

/** One stack, from nothing to its deletion, and the database that it points to. */
export interface LifeCycle {
  readonly aws: AwsEndpoint;
  readonly cloudFormation: LocalCloudFormation;
  readonly database: FreshDatabase;
  /** A session of its own in the database, which ends with the test at the latest. */
  session(): Promise<pg.Client>;
  deploy(files: Files, options?: Deploy): Promise<Deployed>;
  /** Invokes the migrator with an action, as an operator does. */
  invoke(action: object): Promise<unknown>;
  /** `1.0 applied`: version, step and state of each row, in order. */
  steps(): Promise<string[]>;
  /** `name` or `name INVALID` of each index of user tables, in order. */
  indexes(): Promise<string[]>;
  /** Schema, data and ledger as they are, without the list of runs: equal where nothing was changed. */
  everything(): Promise<unknown>;
}

const SECRET = 'database';

/** expectEventually() with the patience that such a machine needs. */
export function eventually<T>(
  condition: () => T | Promise<T>,
): Promise<Exclude<T, false | undefined | null>> {
  return expectEventually(condition, { withinMilliseconds: 60_000 });
}

export async function newLifeCycle(): Promise<LifeCycle> {
  const database = await freshDatabase();
  await database.adminQuery('create extension dblink');
  return newLifeCycleIn(database);
}

export async function newLifeCycleIn(database: FreshDatabase): Promise<LifeCycle> {
  const aws = await startAwsEndpoint();
  const cloudFormation = await LocalCloudFormation.open(aws);
  onTestFinished(async () => {
    aws.stepFunctions.abortAll();
    await cloudFormation.stop();
    await aws.stop();
  });
  aws.secrets.put(SECRET, database.url);
  return {
    aws,
    cloudFormation,
    database,
    session: async () => {
      const client = new pg.Client({ connectionString: database.url, application_name: 'blocker' });
      client.on('error', () => {});
      await client.connect();
      onTestFinished(() => client.end());
      return client;
    },
    deploy: (files, { props = {}, id, ...delivery } = {}) =>
      cloudFormation.deploy(assemblyOf(files, props, id), delivery),
    invoke: async (action) => {
      const migrator = cloudFormation.stack?.template
        .resourcesOf('AWS::Lambda::Function')
        .find(({ properties }) => properties.Handler === 'migrate.handler');
      if (migrator === undefined) throw new Error('Nothing is deployed.');
      return JSON.parse((await aws.functions.invoke(migrator.logicalId, JSON.stringify(action))).payload);
    },
    steps: () => stepsIn(database),
    indexes: () => indexesIn(database),
    everything: () => everythingIn(database),
  };
}

/** What the assembly's migrator answers to the action status in a fresh process, or the message of its error. */
export async function statusOf(
  assembly: string,
  environment: (code: string) => Readonly<Record<string, string>>,
): Promise<unknown> {
  const code = readdirSync(assembly)
    .filter((name) => name.startsWith('asset.'))
    .map((name) => join(assembly, name))
    .find((directory) => readdirSync(directory).includes('migrate.mjs'));
  if (code === undefined) throw new Error('no asset holds migrate.mjs');
  bringSdk(assembly);
  const script = `
    const { handler } = await import('./migrate.mjs');
    const context = { getRemainingTimeInMillis: () => 60_000 };
    const said = await handler({ action: 'status' }, context).catch(({ message }) => message);
    console.log(JSON.stringify(said));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: code,
    env: environment(code),
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

/** What the deployed isComplete answers of an update that has come as far as `Data` says. */
export function askIsComplete(
  { cloudFormation }: LifeCycle,
  Data: { readonly StartedAt: string; readonly Outcome: string },
): Promise<unknown> {
  const isComplete = cloudFormation.stack?.sandbox('MigrationsIsComplete');
  if (isComplete === undefined) throw new Error('Nothing is deployed.');
  return isComplete.invoke({
    RequestType: 'Update',
    RequestId: randomUUID(),
    StackId: 'arn:aws:cloudformation:eu-central-1:123456789012:stack/Stack/1',
    LogicalResourceId: 'Run',
    PhysicalResourceId: 'migrations',
    ResourceProperties: {},
    Data,
  });
}

/** Every relation with its columns and rows, every index with its definition. */
export async function everythingIn(database: FreshDatabase): Promise<unknown> {
  const relations = await database.query<{ name: string; kind: string; definition: string | null }>(
    `select c.oid::regclass::text as name, c.relkind::text as kind,
            coalesce(pg_get_indexdef(i.indexrelid) || case when i.indisvalid then '' else ' INVALID' end,
                     (select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
                        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0)) as definition
       from pg_class c left join pg_index i on i.indexrelid = c.oid
      where c.relnamespace::regnamespace::text !~ '^pg_|^information_schema$' order by 1`,
  );
  const rows: Record<string, unknown> = {};
  for (const { name, kind } of relations) {
    if (!['r', 'm', 'p'].includes(kind) || name === 'migrations.run') continue;
    rows[name] = await database.query(`select t::text as row from ${name} t order by 1`);
  }
  return { relations, rows };
}

const assemblies = new Map<string, string>();
/** Where all of a process's lie. */
const home = mkdtempSync(join(inject('scratch'), 'assemblies-'));

/** Synthesizes the stack with these migrations; the same ones once per process. */
export function assemblyOf(
  files: Files,
  props: Partial<PostgresMigrationsProps> = {},
  id = 'Migrations',
): string {
  const key = JSON.stringify([files, props, id]);
  const known = assemblies.get(key);
  if (known !== undefined) return known;
  const folder = temporaryFolder();
  for (const [name, sql] of Object.entries(files)) writeFileSync(join(folder, name), sql);
  const outdir = mkdtempSync(join(home, 'assembly-'));
  const app = new App({ outdir, analyticsReporting: false, treeMetadata: false });
  const stack = new Stack(app, 'Stack');
  const secret = secretsmanager.Secret.fromSecretNameV2(stack, 'Secret', SECRET);
  new PostgresMigrations(stack, id, { migrations: folder, secret, smallTableRows: 100, ...props });
  app.synth();
  assemblies.set(key, outdir);
  return outdir;
}

/** A file that creates a table of 500 rows, which is large here; its columns are `id` and `x`, each of them unique. */
export function largeTable(name: string): string {
  return `create table ${name} (id int primary key, x int);
insert into ${name} select i, i from generate_series(1, 500) i;`;
}
