import { hostname, userInfo } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { compileLinted, type Levels } from '../../compiler/lint/lint-migrations.ts';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { defaultOptions, type IndexStrategy, type MigrationOptions } from '../../lambda/migration/options.ts';
import {
  type ConnectionTarget,
  parseConnectionUrl,
} from '../../lambda/postgres/session/connection-target.ts';
import type { RunCause } from '../../lambda/run/run.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { Interrupted } from './interruption.ts';
import { levelOption } from './lint-level.ts';

/** What every verb that works on a database takes. */
export interface DatabaseFlags extends RunFlags {
  readonly dir: string;
  readonly databaseUrl?: string;
  readonly schema: string;
  readonly json?: boolean;
}

/** Absent for verbs that don't take them. */
interface RunFlags {
  readonly indexStrategy?: IndexStrategy;
  readonly smallTableRows?: number;
  readonly level?: Levels;
  readonly longestBlock?: number;
  readonly dataCheckSeconds?: number;
  readonly late?: MigrationOptions['lateMigrations'];
  readonly missing?: MigrationOptions['missingMigrations'];
  readonly lockTimeout?: number;
  readonly lockBudget?: number;
  readonly maxAttempts?: number;
  readonly attachSeconds?: number;
  readonly maxConcurrentTables?: number;
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

export const DEFAULT_DIRECTORY = 'migrations';

/** Nothing ends this process before its builds are over, so a turn stays with them, and progress is seen at once. */
const ATTACH_SECONDS = 86_400;

export function withDatabaseFlags(command: Command): Command {
  return command
    .option('--dir <directory>', 'folder of the migrations', DEFAULT_DIRECTORY)
    .option('--database-url <url>', 'postgres://user:password@host:5432/database (else DATABASE_URL)')
    .option('--schema <name>', 'schema of the ledger', schemaName, defaultOptions.ledgerSchema);
}

export function withJson(command: Command): Command {
  return command.option('--json', 'one JSON document as the last line of standard output');
}

/** What a verb takes that runs migrations, or says what a run would do. */
export function withRunFlags(command: Command): Command {
  const d = defaultOptions;
  return command
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
    .option(
      '--longest-block <seconds>',
      'nobody may be kept longer from a table that is not small',
      seconds,
      d.longestBlockSeconds,
    )
    .option(
      '--data-check-seconds <seconds>',
      'each search for data that would make a statement fail',
      seconds,
      d.dataCheckSeconds,
    )
    .option('--lock-timeout <seconds>', 'no attempt waits longer for a lock', seconds, d.lockTimeoutSeconds)
    .option('--lock-budget <seconds>', 'a step asks for its locks so long', seconds, d.lockBudgetSeconds)
    .option('--max-attempts <count>', 'attempts of one index build', positive, d.maxAttempts)
    .option('--attach-seconds <seconds>', 'a turn stays so long with a build', seconds, ATTACH_SECONDS)
    .option(
      '--max-concurrent-tables <count>',
      'tables that build side by side',
      positive,
      d.maxConcurrentTables,
    )
    .addOption(
      new Option('--late <what>', 'pending files older than the newest applied one')
        .choices(['apply', 'refuse'])
        .default(d.lateMigrations),
    )
    .addOption(
      new Option('--missing <what>', 'applied files that the folder lacks')
        .choices(['ignore', 'refuse'])
        .default(d.missingMigrations),
    )
    .addOption(levelOption());
}

export const DATABASE_HELP = `
Environment:
  DATABASE_URL   the database, where --database-url is not given
  NEON_WS_PROXY  host:port/path of a local WebSocket proxy for Neon's driver
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
    migrations: compileLinted(flags.dir, { levels: flags.level ?? {} }),
    target,
    options: optionsOf(flags),
    cause: { kind: 'command line', actor: `${userName()}@${hostname()}` },
  };
}

function optionsOf(flags: DatabaseFlags): MigrationOptions {
  const d = defaultOptions;
  return {
    ...d,
    ledgerSchema: flags.schema,
    indexStrategy: flags.indexStrategy ?? d.indexStrategy,
    smallTableRows: flags.smallTableRows ?? d.smallTableRows,
    longestBlockSeconds: flags.longestBlock ?? d.longestBlockSeconds,
    dataCheckSeconds: flags.dataCheckSeconds ?? d.dataCheckSeconds,
    lateMigrations: flags.late ?? d.lateMigrations,
    missingMigrations: flags.missing ?? d.missingMigrations,
    lockTimeoutSeconds: flags.lockTimeout ?? d.lockTimeoutSeconds,
    lockBudgetSeconds: flags.lockBudget ?? d.lockBudgetSeconds,
    maxAttempts: flags.maxAttempts ?? d.maxAttempts,
    attachSeconds: flags.attachSeconds ?? ATTACH_SECONDS,
    maxConcurrentTables: flags.maxConcurrentTables ?? d.maxConcurrentTables,
  };
}

/** Where a verb works; never with the password. */
export function describeTarget({ target, options }: Asked): string {
  const { host, port, database, user } = target;
  return `${database} on ${host}:${port} as ${user}, ledger in schema ${options.ledgerSchema}`;
}

/** Errors of the command itself, as opposed to those of the database. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof Interrupted) return error.exitCode;
  if (
    error instanceof MigrationError &&
    ['usage', 'connection-invalid', 'action-invalid', 'unknown-rule'].includes(error.code)
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

/** Postgres cuts longer names, and would then keep the ledger under another one than was asked for. */
const LONGEST_NAME_BYTES = 63;

function schemaName(text: string): string {
  if (text === '' || Buffer.byteLength(text) > LONGEST_NAME_BYTES || text.includes('\0')) {
    throw new InvalidArgumentError(`It has to be a name of 1 to ${LONGEST_NAME_BYTES} bytes.`);
  }
  return text;
}

function positive(text: string): number {
  const value = whole(text);
  if (value === 0) throw new InvalidArgumentError('It has to be at least 1.');
  return value;
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
