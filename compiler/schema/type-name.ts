import type { TypeName } from 'libpg-query';
import { as, strings } from '../syntax/syntax-tree.ts';

/** A data type as a migration names it, by the name that pg_type has for it. */
export interface DataType {
  /** `int4`, `varchar`, `timestamptz`, `serial`; with its schema where that is not pg_catalog. */
  readonly name: string;
  /** `[10, 2]` of `numeric(10, 2)`. */
  readonly modifiers: readonly number[];
  readonly array: boolean;
}

export function dataTypeOf({ names, typmods = [], arrayBounds = [] }: TypeName): DataType {
  const parts = strings(names);
  const name = (parts[0] === 'pg_catalog' ? parts.slice(1) : parts).join('.');
  return { name, modifiers: typmods.flatMap(modifierOf), array: arrayBounds.length > 0 };
}

function modifierOf(node: object): readonly number[] {
  const constant = as('A_Const', node as never);
  // The parser leaves out a zero.
  return constant?.ival === undefined ? [] : [constant.ival.ival ?? 0];
}

/** Types that people write by another name than the one in pg_type. */
const WRITTEN: Readonly<Record<string, string>> = {
  bool: 'boolean',
  bpchar: 'char',
  float4: 'real',
  float8: 'double precision',
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
  timetz: 'time with time zone',
};

/** `varchar(20)`, `numeric(10,2)[]`. */
export function showType({ name, modifiers, array }: DataType): string {
  // An interval's first modifier says which fields it has, in bits.
  const shown = name === 'interval' ? [] : modifiers;
  const list = shown.length === 0 ? '' : `(${shown.join(',')})`;
  return `${WRITTEN[name] ?? name}${list}${array ? '[]' : ''}`;
}
