import { type Duration, type Size, SizeRoundingBehavior, Token } from 'aws-cdk-lib';
import { defaultOptions, type MigrationOptions } from '../lambda/migration/options.ts';
import { type Fault, InvalidProp } from './invalid-prop.ts';
import type { PostgresMigrationsProps } from './postgres-migrations-props.ts';

/**
 * Checks the props that mean something on their own or with each other, and throws InvalidProp for the first that
 * can't be. Values that only the deploy knows (tokens) pass.
 */
export function checkProps(construct: string, props: PostgresMigrationsProps): void {
  const fault = firstFault(props);
  if (fault !== undefined) throw new InvalidProp(construct, fault);
}

/** The options that the props set, in the functions' own terms; what they leave out is the functions' default. */
export function migrationOptions(props: PostgresMigrationsProps): Partial<MigrationOptions> {
  const options: { [Name in keyof MigrationOptions]: MigrationOptions[Name] | undefined } = {
    ledgerSchema: props.ledgerSchema,
    indexStrategy: props.indexStrategy,
    smallTableRows: props.smallTableRows,
    longestBlockSeconds: seconds(props.longestBlock),
    dataCheckSeconds: seconds(props.dataCheckTimeout),
    lockTimeoutSeconds: seconds(props.lockTimeout),
    lockBudgetSeconds: seconds(props.lockBudget),
    maxAttempts: props.maxAttempts,
    attachSeconds: seconds(props.attach),
    maxConcurrentTables: props.maxConcurrentTables,
    maintenanceWorkMemMegabytes: mebibytes(props.maintenanceWorkMem),
    parallelWorkers: props.parallelWorkers,
    lateMigrations: props.lateMigrations,
    missingMigrations: props.missingMigrations,
    waitFor: props.waitFor,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function firstFault(props: PostgresMigrationsProps): Fault | undefined {
  const lockTimeout = seconds(props.lockTimeout) ?? defaultOptions.lockTimeoutSeconds;
  return (
    schemaName('ledgerSchema', props.ledgerSchema) ??
    oneOf('indexStrategy', props.indexStrategy, ['auto', 'inline', 'concurrent']) ??
    whole('smallTableRows', props.smallTableRows, [0, Number.MAX_SAFE_INTEGER]) ??
    lasting('longestBlock', props.longestBlock, [0, 24 * 3600]) ??
    lasting('dataCheckTimeout', props.dataCheckTimeout, [0, 60]) ??
    lasting('lockTimeout', props.lockTimeout, [0.001, 60]) ??
    lasting('lockBudget', props.lockBudget, [lockTimeout, 600]) ??
    whole('maxAttempts', props.maxAttempts, [1, 100]) ??
    lasting('attach', props.attach, [0, 14 * 60]) ??
    whole('maxConcurrentTables', props.maxConcurrentTables, [1, 40]) ??
    sized('maintenanceWorkMem', props.maintenanceWorkMem, [1, 1024 * 1024]) ??
    whole('parallelWorkers', props.parallelWorkers, [0, 64]) ??
    oneOf('lateMigrations', props.lateMigrations, ['apply', 'refuse']) ??
    oneOf('missingMigrations', props.missingMigrations, ['ignore', 'refuse']) ??
    oneOf('waitFor', props.waitFor, ['migrations', 'index-builds', 'nothing']) ??
    lasting('longestWait', props.longestWait, [60, 3600]) ??
    lasting('timeout', props.timeout, [60, 15 * 60]) ??
    whole('memorySize', props.memorySize, [128, 10_240])
  );
}

type Range = readonly [least: number, most: number];

function whole(prop: string, value: number | undefined, [least, most]: Range): Fault | undefined {
  if (value === undefined || Token.isUnresolved(value)) return undefined;
  if (Number.isInteger(value) && value >= least && value <= most) return undefined;
  const limit = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return { prop, value, expected: `a whole number ${limit}` };
}

function lasting(prop: string, value: Duration | undefined, [least, most]: Range): Fault | undefined {
  const given = seconds(value);
  if (given === undefined || Token.isUnresolved(given) || (given >= least && given <= most)) return undefined;
  return { prop, value: `${given} seconds`, expected: `from ${least} to ${most} seconds` };
}

function sized(prop: string, value: Size | undefined, [least, most]: Range): Fault | undefined {
  const given = mebibytes(value);
  if (given === undefined || Token.isUnresolved(given) || (given >= least && given <= most)) return undefined;
  return { prop, value: `${given} MiB`, expected: `from ${least} to ${most} MiB` };
}

function oneOf(prop: string, value: string | undefined, names: readonly string[]): Fault | undefined {
  if (value === undefined || names.includes(value)) return undefined;
  return { prop, value, expected: `one of ${names.map((name) => `'${name}'`).join(', ')}` };
}

/** Postgres cuts names to 63 bytes, and keeps `pg_` for itself. */
function schemaName(prop: string, value: string | undefined): Fault | undefined {
  if (value === undefined || Token.isUnresolved(value)) return undefined;
  const bytes = Buffer.byteLength(value);
  if (bytes > 0 && bytes <= 63 && !value.startsWith('pg_') && !value.includes('\0')) return undefined;
  return { prop, value, expected: 'a schema name of 1 to 63 bytes that does not begin with pg_' };
}

function seconds(duration: Duration | undefined): number | undefined {
  return duration?.toSeconds(duration.isUnresolved() ? {} : { integral: false });
}

function mebibytes(size: Size | undefined): number | undefined {
  return size?.toMebibytes(size.isUnresolved() ? {} : { rounding: SizeRoundingBehavior.FLOOR });
}
