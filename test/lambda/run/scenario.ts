import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { compileLinted } from '../../../compiler/lint/lint-migrations.ts';
import { planRun, type RunPlan } from '../../../lambda/foresight/plan-run.ts';
import type { CompiledMigrations } from '../../../lambda/migration/migration.ts';
import { MigrationError } from '../../../lambda/migration/migration-error.ts';
import { defaultOptions, type MigrationOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import type { RunEvent, RunResult } from '../../../lambda/run/run.ts';
import { runMigrations } from '../../../lambda/run/run-migrations.ts';
import { readStatus, type Status } from '../../../lambda/status/status.ts';
import type { SettleResult } from '../../../lambda/work/loop-task.ts';
import type { TurnEvent } from '../../../lambda/work/turn/turn-request.ts';
import { type InProcessLoop, runLoop } from '../../../local/cli/in-process-loop.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';

/** What lies in migrations/: SQL by file name. */
export type Files = Readonly<Record<string, string>>;

export interface ScenarioOptions extends Partial<MigrationOptions> {
  /** An administrator has created the extension, as Neon lets an owner do; without it builds are attached. */
  readonly dblink?: boolean;
  /** Another way to the same database: the URL of a proxy. */
  readonly url?: string;
  readonly deadline?: number;
  readonly signal?: AbortSignal;
  /** A statement that has been silent for so long is looked for. */
  readonly silentSeconds?: number;
  /** Hears everything that is reported; what it throws ends the run, as a process that dies. */
  readonly hears?: (event: RunEvent | TurnEvent) => void;
}

/** In the tests a table is large from 101 rows on. */
export const SMALL_TABLE_ROWS = 100;

/** One database and the deploys that it sees. */
export interface Scenario {
  readonly database: FreshDatabase;
  /** Everything that was reported, in order. */
  readonly events: (RunEvent | TurnEvent)[];
  /** One run, as CloudFormation asks for it, without the loop. */
  run(files: Files, options?: ScenarioOptions): Promise<RunResult>;
  /** The loop until all is settled, with the code that these files are. */
  loop(files: Files, options?: ScenarioOptions): Promise<SettleResult>;
  /** A run, then the loop: all that a deploy sets off. */
  deploy(files: Files, options?: ScenarioOptions): Promise<SettleResult>;
  status(files: Files, options?: ScenarioOptions): Promise<Status>;
  /** What a run would do. */
  plan(files: Files, options?: ScenarioOptions): Promise<RunPlan>;
  /** The error that a run ends with. */
  failure(files: Files, options?: ScenarioOptions): Promise<MigrationError>;
  query: FreshDatabase['query'];
  /** `1.0 applied`: version, step and state of each row, in order. */
  steps(): Promise<string[]>;
  /** `name` or `name INVALID` of each index of user tables, in order. */
  indexes(): Promise<string[]>;
}

export async function freshScenario(given: ScenarioOptions = {}): Promise<Scenario> {
  const database = await freshDatabase();
  if (given.dblink === true) await database.adminQuery('create extension dblink');
  return scenarioOn(database, given);
}

export function scenarioOn(database: FreshDatabase, given: ScenarioOptions = {}): Scenario {
  const events: (RunEvent | TurnEvent)[] = [];
  const request = async (files: Files, options: ScenarioOptions = {}): Promise<InProcessLoop> => {
    const {
      dblink: _,
      url = database.url,
      deadline,
      signal,
      hears,
      silentSeconds,
      ...rest
    } = { ...given, ...options };
    return {
      migrations: await compile(files),
      target: parseConnectionUrl(url, 'The URL'),
      options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS, ...rest },
      cause: { kind: 'cloudformation', actor: 'Update of stack test' },
      deadline,
      ...(signal && { signal }),
      pauseSeconds: () => 0,
      ...(silentSeconds !== undefined && { silentSeconds }),
      report: (event) => {
        events.push(event);
        hears?.(event);
      },
    };
  };
  const run: Scenario['run'] = async (files, options) => runMigrations(await request(files, options));
  const loop: Scenario['loop'] = async (files, options) => runLoop(await request(files, options));
  return {
    database,
    events,
    run,
    loop,
    deploy: async (files, options) => {
      await run(files, options);
      return loop(files, options);
    },
    status: async (files, options) => {
      const asked = await request(files, options);
      return readStatus(asked.target, asked);
    },
    plan: async (files, options) => {
      const asked = await request(files, options);
      return planRun(asked.target, asked);
    },
    failure: async (files, options) => {
      const outcome = await run(files, options).catch((error: unknown) => error);
      if (outcome instanceof MigrationError) return outcome;
      throw new Error('The run was to fail with a MigrationError.', { cause: outcome });
    },
    query: (sql, values) => database.query(sql, values),
    steps: () => stepsIn(database),
    indexes: () => indexesIn(database),
  };
}

/** Compiles files as a folder of migrations, as the construct does. */
export async function compile(files: Files): Promise<CompiledMigrations> {
  const directory = await mkdtemp(join(tmpdir(), 'scenario-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  for (const [file, sql] of Object.entries(files)) {
    await mkdir(dirname(join(directory, file)), { recursive: true });
    await writeFile(join(directory, file), sql);
  }
  return compileLinted(directory);
}

/** A file that creates a table of 500 rows, which is large here; its columns are `id` and `x`, each of them unique. */
export function largeTable(name: string): string {
  return `create table ${name} (id int primary key, x int);
insert into ${name} select i, i from generate_series(1, 500) i;`;
}

/** `1.1 applied`, in the order of the steps. */
export async function stepsIn(database: FreshDatabase): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `select version || '.' || step || ' ' || state as line from migrations.step order by version::numeric, step`,
  );
  return rows.map(({ line }) => line);
}

/** `name`, or `name INVALID`. */
export async function indexesIn(database: FreshDatabase): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `select c.relname || case when i.indisvalid then '' else ' INVALID' end as line
       from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
      where n.nspname not in ('pg_catalog', 'pg_toast', 'migrations') order by 1`,
  );
  return rows.map(({ line }) => line);
}
