import { Duration, Size } from 'aws-cdk-lib';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { type OptionName, type OptionRow, optionRows } from '../../lambda/migration/options.ts';
import type { PostgresMigrationsProps } from '../postgres-migrations-props.ts';

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

/** Each option is a key by its name; the construct refuses what its value can't be. */
function options(read: ReadContext): StackContext['options'] {
  const given = [
    ...optionRows.map(([name, row]) => [row.prop, propOf(read, name, row)] as const),
    ['memorySize', number(read, 'memorySize')] as const,
  ];
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

function propOf(read: ReadContext, name: OptionName, { kind }: OptionRow) {
  if (kind === 'schema' || kind === 'relation' || kind === 'choice') return text(read, name);
  const value = number(read, name);
  if (value === undefined || kind === 'whole' || kind === 'times') return value;
  return kind === 'seconds' ? Duration.millis(value * 1000) : Size.mebibytes(value);
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
