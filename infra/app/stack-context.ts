import { Duration, Size } from 'aws-cdk-lib';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { IndexStrategy, WaitFor } from '../../lambda/migration/options.ts';
import type { PostgresMigrationsProps } from '../postgres-migrations-props.ts';
import type { RunProps } from '../run-props.ts';

/** The secret that the app looks for where nobody names one. */
export const DEFAULT_SECRET_NAME = 'postgres-migrations/database';

/** What `cdk deploy -c name=value` and the environment say of the app's one stack. */
export interface StackContext {
  readonly stackName: string;
  readonly migrations: string;
  readonly secret: SecretReference;
  readonly options: Omit<PostgresMigrationsProps, 'migrations' | 'secret'>;
}

export type SecretReference =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'arn'; readonly arn: string };

/** A reader of context values; the values of `-c` are strings, those of cdk.json can be anything. */
export type ReadContext = (name: string) => unknown;

/** Reads the context. Throws MigrationError for a value that can't be read. */
export function stackContext(read: ReadContext, env: NodeJS.ProcessEnv): StackContext {
  return {
    stackName: text(read, 'stackName') ?? 'PostgresMigrations',
    migrations: text(read, 'migrations') ?? 'migrations',
    secret: secretReference(read, env),
    options: options(read),
  };
}

function secretReference(read: ReadContext, env: NodeJS.ProcessEnv): SecretReference {
  const arn = text(read, 'secretArn');
  const name = text(read, 'secretName');
  if (arn !== undefined && name !== undefined) {
    throw new MigrationError({
      code: 'invalid-context',
      what: 'both secretArn and secretName are given',
      next: 'keep one of -c secretArn=… and -c secretName=…',
    });
  }
  if (arn !== undefined) return { kind: 'arn', arn };
  return { kind: 'name', name: name ?? (env.DATABASE_SECRET_NAME || DEFAULT_SECRET_NAME) };
}

function options(read: ReadContext): StackContext['options'] {
  const lockTimeout = number(read, 'lockTimeoutSeconds');
  const lockBudget = number(read, 'lockBudgetSeconds');
  const attach = number(read, 'attachSeconds');
  const block = number(read, 'longestBlockSeconds');
  const search = number(read, 'dataCheckSeconds');
  const memory = number(read, 'maintenanceWorkMemMegabytes');
  const given = {
    ledgerSchema: text(read, 'ledgerSchema'),
    // The construct refuses what is not one of the names.
    indexStrategy: text(read, 'indexStrategy') as IndexStrategy | undefined,
    waitFor: text(read, 'waitFor') as WaitFor | undefined,
    smallTableRows: number(read, 'smallTableRows'),
    maxAttempts: number(read, 'maxAttempts'),
    maxConcurrentTables: number(read, 'maxConcurrentTables'),
    maintenanceWorkMem: memory === undefined ? undefined : Size.mebibytes(memory),
    parallelWorkers: number(read, 'parallelWorkers'),
    memorySize: number(read, 'memorySize'),
    lockTimeout: lockTimeout === undefined ? undefined : Duration.millis(lockTimeout * 1000),
    lockBudget: lockBudget === undefined ? undefined : Duration.seconds(lockBudget),
    longestBlock: block === undefined ? undefined : Duration.millis(block * 1000),
    dataCheckTimeout: search === undefined ? undefined : Duration.millis(search * 1000),
    lateMigrations: text(read, 'lateMigrations') as RunProps['lateMigrations'],
    missingMigrations: text(read, 'missingMigrations') as RunProps['missingMigrations'],
    attach: attach === undefined ? undefined : Duration.seconds(attach),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function text(read: ReadContext, name: string): string | undefined {
  const value = read(name);
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string' && value !== '') return value;
  throw unreadable(name, value, 'a text that is not empty');
}

function number(read: ReadContext, name: string): number | undefined {
  const value = read(name);
  if (value === undefined || value === null) return undefined;
  const parsed = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof parsed === 'number' && Number.isFinite(parsed)) return parsed;
  throw unreadable(name, value, 'a number');
}

function unreadable(name: string, value: unknown, expected: string): MigrationError {
  return new MigrationError({
    code: 'invalid-context',
    what: `context ${name} is ${JSON.stringify(value)}, but must be ${expected}`,
    next: `give -c ${name}=… another value, or leave it out`,
  });
}
