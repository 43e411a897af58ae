import { hostname, userInfo } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { compileMigrations } from '../../infra/compile-migrations.ts';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { defaultOptions, type IndexStrategy, type MigrationOptions } from '../../lambda/migration/options.ts';
import { type ConnectionTarget, parseConnectionUrl } from '../../lambda/postgres/connection-target.ts';
import type { RunCause } from '../../lambda/story/run.ts';
import { exitCode } from './exit-code.ts';

/** What every verb that works on a database takes. */
export interface DatabaseFlags {
  readonly dir: string;
  readonly databaseUrl?: string;
  readonly schema: string;
  readonly indexStrategy: IndexStrategy;
  readonly smallTableRows: number;
  readonly lockTimeout: number;
  readonly lockBudget: number;
  readonly maxAttempts: number;
  readonly attachSeconds: number;
  readonly maxConcurrentTables: number;
  readonly json?: boolean;
}

/** What the flags lead to. */
export interface Asked {
  readonly migrations: CompiledMigrations;
  readonly target: ConnectionTarget;
  readonly options: MigrationOptions;
  readonly cause: RunCause;
}

/** A person waits: a server that is down is said to be down after so long. */
export const PATIENCE_SECONDS = 10;

export function withDatabaseFlags(command: Command): Command {
  const d = defaultOptions;
  return command
    .option('--dir <directory>', 'folder of the migrations', 'migrations')
    .option('--database-url <url>', 'postgres://user:password@host:5432/database; else DATABASE_URL is read')
    .option('--schema <name>', 'schema of the ledger', d.ledgerSchema)
    .addOption(
      new Option('--index-strategy <strategy>', 'where index operations run')
        .choices(['auto', 'inline', 'concurrent'])
        .default(d.indexStrategy),
    )
    .option(
      '--small-table-rows <rows>',
      'a table with at most so many rows is small',
      whole,
      d.smallTableRows,
    )
    .option('--lock-timeout <seconds>', 'one attempt waits so long for a lock', seconds, d.lockTimeoutSeconds)
    .option('--lock-budget <seconds>', 'a step asks for its locks for so long', seconds, d.lockBudgetSeconds)
    .option('--max-attempts <count>', 'attempts of one index build', whole, d.maxAttempts)
    .option('--attach-seconds <seconds>', 'a turn stays with a build it started', seconds, d.attachSeconds)
    .option('--max-concurrent-tables <count>', 'tables that build side by side', whole, d.maxConcurrentTables)
    .option('--json', 'one JSON document as the last line of standard output', false);
}

export const DATABASE_HELP = `
Environment:
  DATABASE_URL   the database, where --database-url is not given
  NO_COLOR       no colours`;

/** Compiles the folder and reads the connection: everything that can be wrong before the database is asked. */
export async function ask(flags: DatabaseFlags): Promise<Asked> {
  const url = flags.databaseUrl ?? process.env.DATABASE_URL;
  if (url === undefined || url === '') {
    throw new MigrationError({
      code: 'usage',
      what: 'No database is named.',
      next: 'give --database-url postgres://user:password@host:5432/database, or set DATABASE_URL.',
    });
  }
  const target = parseConnectionUrl(url, flags.databaseUrl === undefined ? 'DATABASE_URL' : '--database-url');
  return {
    migrations: await compileMigrations(flags.dir),
    target,
    options: {
      ...defaultOptions,
      ledgerSchema: flags.schema,
      indexStrategy: flags.indexStrategy,
      smallTableRows: flags.smallTableRows,
      lockTimeoutSeconds: flags.lockTimeout,
      lockBudgetSeconds: flags.lockBudget,
      maxAttempts: flags.maxAttempts,
      attachSeconds: flags.attachSeconds,
      maxConcurrentTables: flags.maxConcurrentTables,
    },
    cause: { kind: 'command line', actor: `${userName()}@${hostname()}` },
  };
}

/** Never with the password. */
export function describeTarget({ host, port, database, user }: ConnectionTarget): string {
  return `${database} on ${host}:${port} as ${user}`;
}

/** Errors of the command itself, as opposed to those of the database. */
export function exitCodeOf(error: unknown): number {
  if (
    error instanceof MigrationError &&
    ['usage', 'connection-invalid', 'action-invalid'].includes(error.code)
  ) {
    return exitCode.usage;
  }
  return exitCode.failed;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without an entry in the password file, as in many containers.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It has to be a whole number.');
  return Number(text);
}

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('It has to be a number of seconds.');
  }
  return value;
}
