import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { COMPILED_MIGRATIONS_FILE, environment } from '../environment.ts';
import type { CompiledMigrations } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { defaultOptions, type MigrationOptions, type OptionRow, optionRows } from '../migration/options.ts';
import { type ConnectionTarget, parseConnectionUrl } from '../postgres/session/connection-target.ts';
import { withIamToken } from './iam-token.ts';
import { readSecret } from './secret.ts';

/** What every entry needs, read at the start of an invocation. */
export interface FunctionContext {
  readonly migrations: CompiledMigrations;
  readonly target: ConnectionTarget;
  readonly options: MigrationOptions;
  /** When the function must have answered, in milliseconds since 1970. */
  readonly deadline: number;
}

/** Reserved for the answer itself. */
const MARGIN_MILLISECONDS = 10_000;

export async function functionContext(remainingMilliseconds: number): Promise<FunctionContext> {
  const deadline = Date.now() + remainingMilliseconds - MARGIN_MILLISECONDS;
  const [migrations, target] = await Promise.all([readCompiledMigrations(), readTarget()]);
  return { migrations, target, options: readOptions(), deadline };
}

/** Without a secret there is no password: the functions' own role is the credential. */
async function readTarget(): Promise<ConnectionTarget> {
  const { databaseHost, databasePort, databaseName, databaseUser, secretArn } = environment;
  if (!process.env[databaseHost]) return readSecret(required(secretArn));
  const [host, port, database, user] = [databaseHost, databasePort, databaseName, databaseUser].map(required);
  const address = `${host}:${port}/${encodeURIComponent(database ?? '')}`;
  const url = `postgres://${encodeURIComponent(user ?? '')}@${address}?sslmode=verify-full`;
  return withIamToken(parseConnectionUrl(url, 'The connection in the environment variables'), {});
}

let compiled: Promise<CompiledMigrations> | undefined;

function readCompiledMigrations(): Promise<CompiledMigrations> {
  compiled ??= readFile(new URL(COMPILED_MIGRATIONS_FILE, import.meta.url), 'utf8').then(parseCompiled);
  return compiled;
}

/** Our own compiler wrote the file; only its format can differ, where bundle and file are of different ages. */
export function parseCompiled(text: string): CompiledMigrations {
  const json = v.parse(v.looseObject({ format: v.number() }), JSON.parse(text));
  if (json.format === 1) return json as unknown as CompiledMigrations;
  throw new MigrationError({
    code: 'compiled-format',
    what: `The compiled migrations have format ${json.format}; this function knows format 1.`,
    applied: 'nothing by this run.',
    next: 'deploy again, so that the function and its migrations are of one version.',
  });
}

const optionsSchema = v.partial(
  v.strictObject(Object.fromEntries(optionRows.map(([name, row]) => [name, schemaOf(row)]))),
);

/** A function takes what the construct would refuse to a person, such as a lock timeout of a day. */
function schemaOf(row: OptionRow) {
  switch (row.kind) {
    case 'schema':
    case 'relation':
      return v.pipe(v.string(), v.minLength(1));
    case 'choice':
      return v.picklist(row.of);
    case 'seconds':
    case 'times':
      return v.pipe(v.number(), v.minValue(0));
    case 'whole':
    case 'mebibytes':
      return v.pipe(v.number(), v.integer(), v.minValue(Number(row.range[0])));
    default:
      return row satisfies never;
  }
}

/** Options as JSON, from the environment or the command line. */
export function parseOptions(text: string, source: string): MigrationOptions {
  try {
    const given = v.parse(optionsSchema, JSON.parse(text));
    return {
      ...defaultOptions,
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    };
  } catch (error) {
    throw new MigrationError({
      code: 'options-invalid',
      what: `${source} is not valid: ${error instanceof Error ? error.message : String(error)}.`,
      next: `expected a JSON object with some of ${Object.keys(defaultOptions).join(', ')}.`,
      cause: error,
    });
  }
}

export function readOptions(): MigrationOptions {
  return parseOptions(
    process.env[environment.options] ?? '{}',
    `The environment variable ${environment.options}`,
  );
}

export function required(name: string): string {
  const value = process.env[name];
  if (value !== undefined && value !== '') return value;
  throw new MigrationError({
    code: 'environment-missing',
    what: `The environment variable ${name} is not set.`,
    next: 'deploy the function with the PostgresMigrations construct, which sets it.',
  });
}
