import { existsSync, readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import * as v from 'valibot';
import { type Levels, lazilyLinted } from '../../compiler/lint/lint-migrations.ts';
import { withIamToken } from '../../lambda/aws/iam-token.ts';
import { type LayoutName, layoutNames } from '../../lambda/migration/layout.ts';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import {
  defaultOptions,
  type MigrationOptions,
  type OptionName,
  type OptionRow,
  optionRows,
} from '../../lambda/migration/options.ts';
import { readRelationName } from '../../lambda/migration/relation-name.ts';
import {
  type ConnectionTarget,
  parseConnectionUrl,
} from '../../lambda/postgres/session/connection-target.ts';
import type { RunCause } from '../../lambda/run/run.ts';
import { levelOption } from './lint-level.ts';
import { whoAsks } from './who-asks.ts';

/** What every verb that works on a database takes, and the flags of options that some verbs take. */
export interface DatabaseFlags {
  readonly dir?: string;
  readonly layout?: LayoutName;
  readonly placeholder?: Readonly<Record<string, string>>;
  readonly databaseUrl?: string;
  readonly iam?: boolean;
  readonly schema: string;
  readonly json?: boolean;
  readonly level?: Levels;
  readonly stack?: string;
  readonly function?: string;
  readonly profile?: string;
  readonly region?: string;
  readonly [flag: string]: unknown;
}

/** What the flags of a command lead to. */
export interface Invocation {
  readonly migrations: CompiledMigrations;
  readonly target: ConnectionTarget;
  readonly options: MigrationOptions;
  readonly cause: RunCause;
}

/** Seconds after which a server counts as down; short, since a person is waiting. */
export const PATIENCE_SECONDS = 10;

const DEFAULT_DIRECTORY = 'migrations';

export function withDirectory(command: Command): Command {
  return command.option(
    '--dir <directory>',
    `folder of the migrations (default: as cdk.json has it in its context, else ${JSON.stringify(DEFAULT_DIRECTORY)})`,
  );
}

const cdkJson = v.looseObject({ context: v.optional(v.looseObject({ migrations: v.optional(v.string()) })) });

/** The folder that is given, else the one that the CDK app of this directory has in its context. */
export function directoryOf({ dir }: { readonly dir?: string | undefined }): string {
  if (dir !== undefined) return dir;
  if (!existsSync('cdk.json')) return DEFAULT_DIRECTORY;
  try {
    return (
      v.parse(cdkJson, JSON.parse(readFileSync('cdk.json', 'utf8'))).context?.migrations ?? DEFAULT_DIRECTORY
    );
  } catch (cause) {
    throw new MigrationError({
      code: 'usage',
      what: `cdk.json can't be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      next: 'fix it, or name the folder with --dir.',
      cause,
    });
  }
}

/** Nothing ends this process before its builds have ended, so a turn stays with them, and progress is seen at once. */
const commandLineOptions: MigrationOptions = { ...defaultOptions, attachSeconds: 86_400 };

export function withDatabaseFlags(command: Command): Command {
  withDirectory(command)
    .addOption(layoutOption())
    .addOption(placeholderOption())
    .option('--database-url <url>', 'postgres://user:password@host:5432/database (else DATABASE_URL)')
    .option('--iam', 'RDS IAM authentication: a token for each connection instead of a password')
    .option('--profile <name>', "of AWS's configuration, for --iam, --stack and --function")
    .option('--region <name>', 'the same')
    .option('--schema <name>', 'schema of the ledger', schemaName, defaultOptions.ledgerSchema);
  return withOptionFlags(command, ({ anyVerb = false }) => anyVerb);
}

/** `--placeholder NAME=value`, as often as there are names. */
export function placeholderOption(): Option {
  return new Option(
    '--placeholder <name=value>',
    'value of a placeholder in the files; may be repeated',
  ).argParser((text: string, before: Readonly<Record<string, string>> | undefined) => {
    const at = text.indexOf('=');
    if (at < 1) throw new InvalidArgumentError('It has to be NAME=value.');
    return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
  });
}

/** How the folder is laid out. */
export function layoutOption(): Option {
  return new Option('--layout <tool>', 'whose way the folder is laid out (else found out from it)').choices(
    layoutNames,
  );
}

export function withJson(command: Command): Command {
  return command.option('--json', 'one JSON document as the last line of standard output');
}

/** What a verb takes besides that runs migrations, or says what a run would do: each option that has a flag. */
export function withRunFlags(command: Command): Command {
  return withOptionFlags(command, ({ anyVerb = false }) => !anyVerb).addOption(levelOption());
}

function withOptionFlags(command: Command, wanted: (row: OptionRow) => boolean): Command {
  for (const [name, row] of optionRows) {
    if (row.flag !== undefined && wanted(row)) command.addOption(flagOf(row.flag, name, row));
  }
  return command;
}

function flagOf(flag: string, name: OptionName, row: OptionRow): Option {
  const option = new Option(flag, row.help).default(commandLineOptions[name]);
  if (row.kind === 'choice') return option.choices(row.of);
  if (row.kind === 'relation') return option.argParser(relationName);
  if (row.kind === 'seconds' || row.kind === 'times') return option.argParser(amount);
  return option.argParser(row.kind === 'whole' && row.range[0] === 1 ? positive : whole);
}

/** For the verbs that the deployed migrator has too. */
export function withDeployedFlags(command: Command): Command {
  const ofDatabase = [
    'databaseUrl',
    'iam',
    'dir',
    'schema',
    'level',
    ...optionRows.flatMap(([, { flag }]) => (flag === undefined ? [] : [new Option(flag).attributeName()])),
  ];
  return command
    .addOption(
      new Option(
        '--stack <name>',
        'work through the migrator that is deployed in this stack, with its own folder and options',
      ).conflicts([...ofDatabase, 'function']),
    )
    .addOption(
      new Option('--function <name>', 'the same, by the name or ARN of its function').conflicts(ofDatabase),
    );
}

export const DATABASE_HELP = `
Environment:
  DATABASE_URL   the database, where --database-url is not given
  NEON_WS_PROXY  host:port/path of a local WebSocket proxy for Neon's driver
  NO_COLOR       no colours`;

/** Reads the folder and the connection. The folder is compiled lazily, since applied files need not be. */
export async function readInvocation(flags: DatabaseFlags): Promise<Invocation> {
  const url = flags.databaseUrl ?? process.env.DATABASE_URL;
  if (url === undefined || url === '') {
    throw new MigrationError({
      code: 'usage',
      what: 'No database is named.',
      next: 'give --database-url postgres://user:password@host:5432/database, or set DATABASE_URL; or --stack NAME for what is deployed.',
    });
  }
  const named = parseConnectionUrl(url, flags.databaseUrl === undefined ? 'DATABASE_URL' : '--database-url');
  const target = flags.iam === true ? withIam(named, flags) : named;
  return {
    migrations: lazilyLinted(directoryOf(flags), {
      levels: flags.level ?? {},
      layout: flags.layout,
      placeholders: flags.placeholder,
    }),
    target,
    options: optionsOf(flags),
    cause: { kind: 'command line', actor: whoAsks() },
  };
}

function withIam(target: ConnectionTarget, flags: DatabaseFlags): ConnectionTarget {
  // The SDK's warnings about Node versions do not concern whoever runs a migration.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  return withIamToken(target, flags);
}

function optionsOf(flags: DatabaseFlags): MigrationOptions {
  const given = optionRows.flatMap(([name, row]) => {
    const value = row.flag === undefined ? undefined : flags[new Option(row.flag).attributeName()];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...commandLineOptions, ...Object.fromEntries(given), ledgerSchema: flags.schema };
}

/** Where a verb works; never with the password. */
export function describeTarget({ target, options }: Invocation): string {
  const { host, port, database, user } = target;
  return `${database} on ${host}:${port} as ${user}, ledger in schema ${options.ledgerSchema}`;
}

/** Postgres cuts longer names, so the ledger would have another name than requested. */
const LONGEST_NAME_BYTES = 63;

function schemaName(text: string): string {
  if (text === '' || Buffer.byteLength(text) > LONGEST_NAME_BYTES || text.includes('\0')) {
    throw new InvalidArgumentError(`It has to be a name of 1 to ${LONGEST_NAME_BYTES} bytes.`);
  }
  return text;
}

function relationName(text: string): string {
  if (readRelationName(text) !== undefined) return text;
  throw new InvalidArgumentError('It has to be TABLE or SCHEMA.TABLE, a part with a dot in double quotes.');
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

function amount(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('It has to be a number of at least 0.');
  }
  return value;
}
