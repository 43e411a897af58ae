import { as, type Node } from '../syntax/syntax-tree.ts';
import { columnName } from './expression.ts';
import { type DataType, dataTypeOf } from './type-name.ts';

/**
 * What ALTER COLUMN … TYPE does to the table. `none`: only the catalog changes. `rewrite`: every row is rewritten. `session`: none if the session's TimeZone is UTC, else a rewrite.
 * `unknown`: the old type is not in the folder.
 */
export type TypeChange = 'none' | 'rewrite' | 'session' | 'unknown';

/** Binary-coercible types: casts without a function, `castmethod = 'b'` in pg_cast. */
const SAME_STORAGE: readonly (readonly [from: string, to: string])[] = [
  ['bit', 'varbit'],
  ['cidr', 'inet'],
  ['citext', 'text'],
  ['citext', 'varchar'],
  ['int4', 'oid'],
  ['oid', 'int4'],
  ['text', 'citext'],
  ['text', 'varchar'],
  ['varbit', 'bit'],
  ['varchar', 'citext'],
  ['varchar', 'text'],
  ['xml', 'text'],
  ['xml', 'varchar'],
];

/** Whether ALTER COLUMN … TYPE has to rewrite the table. */
export function typeChange(from: DataType | undefined, to: DataType): TypeChange {
  if (from === undefined) return 'unknown';
  // An array is rebuilt when its element type changes, even where both types are stored alike.
  if (from.array || to.array) {
    const unlimited = from.array && to.array && from.name === to.name && to.modifiers.length === 0;
    return unlimited || JSON.stringify(from) === JSON.stringify(to) ? 'none' : 'rewrite';
  }
  if (from.name === to.name) return sameName(from, to);
  if (isTimestamp(from) && isTimestamp(to)) return widensPrecision(from, to) ? 'session' : 'rewrite';
  const same = SAME_STORAGE.some(([a, b]) => a === from.name && b === to.name);
  // A function has to check the length, or truncate to it.
  return same && to.modifiers.length === 0 && to.name !== 'bit' ? 'none' : 'rewrite';
}

function isTimestamp({ name }: DataType): boolean {
  return name === 'timestamp' || name === 'timestamptz';
}

function sameName(from: DataType, to: DataType): TypeChange {
  if (String(from.modifiers) === String(to.modifiers)) return 'none';
  switch (to.name) {
    case 'varchar':
    case 'varbit':
      return isAtLeast(to.modifiers[0], from.modifiers[0]) ? 'none' : 'rewrite';
    case 'numeric':
      return widensNumeric(from, to) ? 'none' : 'rewrite';
    case 'timestamp':
    case 'timestamptz':
    case 'time':
    case 'timetz':
      return widensPrecision(from, to) ? 'none' : 'rewrite';
    case 'interval':
      return widensInterval(from, to) ? 'none' : 'rewrite';
    default:
      // char(n), bit(n) and what extensions define.
      return 'rewrite';
  }
}

/** No limit is wider than any limit. */
function isAtLeast(limit: number | undefined, old: number | undefined): boolean {
  return limit === undefined || (old !== undefined && limit >= old);
}

function widensNumeric(from: DataType, to: DataType): boolean {
  const [precision, scale = 0] = to.modifiers;
  const [oldPrecision, oldScale = 0] = from.modifiers;
  return precision === undefined || (isAtLeast(precision, oldPrecision) && scale === oldScale);
}

/** Its modifiers are the fields that it has, as bits, and the digits of its seconds. */
function widensInterval(from: DataType, to: DataType): boolean {
  const [fields = ALL_FIELDS, digits = 6] = to.modifiers;
  return fields === ALL_FIELDS && digits >= (from.modifiers[1] ?? 6);
}

const ALL_FIELDS = 32767;

/** Fractional digits of seconds; six is the most there can be. */
function widensPrecision(from: DataType, to: DataType): boolean {
  const digits = to.modifiers[0] ?? 6;
  return digits >= (from.modifiers[0] ?? 6) || digits >= 6;
}

/** `using x`, `using x::type`: what Postgres does anyway. Anything else is computed for each row. */
export function isPlainConversion(
  using: Node | undefined,
  { column, to }: { readonly column: string; readonly to: DataType },
): boolean {
  if (using === undefined || columnName(using) === column) return true;
  const cast = as('TypeCast', using);
  if (cast?.typeName === undefined || columnName(cast.arg) !== column) return false;
  return JSON.stringify(dataTypeOf(cast.typeName)) === JSON.stringify(to);
}
