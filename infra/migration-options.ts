import { type Duration, type Size, SizeRoundingBehavior, Token } from 'aws-cdk-lib';
import {
  defaultOptions,
  type MigrationOptions,
  type OptionName,
  type OptionRow,
  optionRows,
  optionTable,
} from '../lambda/migration/options.ts';
import { readRelationName } from '../lambda/migration/relation-name.ts';
import { InvalidProp, type PropProblem } from './invalid-prop.ts';
import type { PostgresMigrationsProps } from './postgres-migrations-props.ts';

/**
 * Checks props by themselves and in combination, and throws InvalidProp for the first invalid one. Values that only the
 * deploy knows (tokens) pass.
 */
export function checkProps(construct: string, props: PostgresMigrationsProps): void {
  const fault = firstFault(props);
  if (fault !== undefined) throw new InvalidProp(construct, fault);
}

/** The options that the props set, in the functions' own terms; what they leave out is the functions' default. */
export function migrationOptions(props: PostgresMigrationsProps): Partial<MigrationOptions> {
  const given = optionRows.map(([name, row]) => [name, plainValue(row, props)] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

/** A prop of each option, of the type that its kind asks for: a row without one does not compile. */
type Props = {
  readonly [Name in OptionName as (typeof optionTable)[Name]['prop']]?: PropOf<(typeof optionTable)[Name]>;
};
type PropOf<Row extends OptionRow> = Row extends { of: readonly (infer Choice)[] }
  ? Choice
  : {
      schema: string;
      relation: string;
      choice: string;
      whole: number;
      times: number;
      seconds: Duration;
      mebibytes: Size;
    }[Row['kind']];

/** A duration in seconds, a size in MiB, anything else as it is. */
function plainValue(row: OptionRow, props: Props): string | number | undefined {
  const value = props[row.prop as keyof Props];
  if (typeof value !== 'object') return value;
  return 'toSeconds' in value ? seconds(value) : mebibytes(value);
}

function firstFault(props: PostgresMigrationsProps): PropProblem | undefined {
  const faults = optionRows.map(([, row]) => faultOf(row, props));
  return (
    faults.find((fault) => fault !== undefined) ??
    oneOf('authentication', props.authentication, ['secret', 'iam']) ??
    lasting('longestWait', props.longestWait, [60, 3600]) ??
    lasting('timeout', props.timeout, [60, 15 * 60]) ??
    whole('memorySize', props.memorySize, [128, 10_240])
  );
}

function faultOf(row: OptionRow, props: PostgresMigrationsProps): PropProblem | undefined {
  const { prop } = row;
  const value = plainValue(row, props);
  if (value === undefined) return undefined;
  switch (row.kind) {
    case 'schema':
      return schemaName(prop, String(value));
    case 'relation':
      return relationName(prop, String(value));
    case 'choice':
      return oneOf(prop, String(value), row.of);
    case 'whole':
      return whole(prop, Number(value), rangeOf(row.range, props));
    case 'times':
      return within(prop, { value: Number(value), unit: 'times' }, rangeOf(row.range, props));
    case 'seconds':
      return within(prop, { value: Number(value), unit: 'seconds' }, rangeOf(row.range, props));
    case 'mebibytes':
      return within(prop, { value: Number(value), unit: 'MiB' }, rangeOf(row.range, props));
    default:
      return row satisfies never;
  }
}

function rangeOf(
  [least, most]: readonly [OptionName | number, number],
  props: PostgresMigrationsProps,
): Range {
  if (typeof least === 'number') return [least, most];
  return [Number(plainValue(optionTable[least], props) ?? defaultOptions[least]), most];
}

type Range = readonly [least: number, most: number];

function whole(prop: string, value: number | undefined, [least, most]: Range): PropProblem | undefined {
  if (value === undefined || Token.isUnresolved(value)) return undefined;
  if (Number.isInteger(value) && value >= least && value <= most) return undefined;
  const limit = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return { prop, value, expected: `a whole number ${limit}` };
}

function lasting(prop: string, value: Duration | undefined, range: Range): PropProblem | undefined {
  const given = seconds(value);
  return given === undefined ? undefined : within(prop, { value: given, unit: 'seconds' }, range);
}

function within(
  prop: string,
  { value, unit }: { readonly value: number; readonly unit: 'seconds' | 'MiB' | 'times' },
  [least, most]: Range,
): PropProblem | undefined {
  if (Token.isUnresolved(value) || (value >= least && value <= most)) return undefined;
  return { prop, value: `${value} ${unit}`, expected: `from ${least} to ${most} ${unit}` };
}

function oneOf(prop: string, value: string | undefined, names: readonly string[]): PropProblem | undefined {
  if (value === undefined || names.includes(value)) return undefined;
  return { prop, value, expected: `one of ${names.map((name) => `'${name}'`).join(', ')}` };
}

/** Postgres cuts names to 63 bytes, and keeps `pg_` for itself. */
function schemaName(prop: string, value: string | undefined): PropProblem | undefined {
  if (value === undefined || Token.isUnresolved(value)) return undefined;
  const bytes = Buffer.byteLength(value);
  if (bytes > 0 && bytes <= 63 && !value.startsWith('pg_') && !value.includes('\0')) return undefined;
  return { prop, value, expected: 'a schema name of 1 to 63 bytes that does not begin with pg_' };
}

function relationName(prop: string, value: string): PropProblem | undefined {
  if (Token.isUnresolved(value) || readRelationName(value) !== undefined) return undefined;
  return { prop, value, expected: 'TABLE or SCHEMA.TABLE, a part with a dot in it in double quotes' };
}

function seconds(duration: Duration | undefined): number | undefined {
  return duration?.toSeconds(duration.isUnresolved() ? {} : { integral: false });
}

function mebibytes(size: Size | undefined): number | undefined {
  return size?.toMebibytes(size.isUnresolved() ? {} : { rounding: SizeRoundingBehavior.FLOOR });
}
