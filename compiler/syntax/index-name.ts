import type { IndexElem, IndexStmt } from 'libpg-query';
import { as, type Node, strings } from './syntax-tree.ts';

/** NAMEDATALEN - 1: what remains of a name, in bytes of UTF-8. */
const NAME_BYTES = 63;

/**
 * The name that PostgreSQL gives to an unnamed index, as long as no other relation has it: ChooseIndexName in
 * src/backend/commands/indexcmds.c. The parser has cut the names in the tree to 63 bytes already.
 */
export function suggestedIndexName(index: IndexStmt): string {
  const elements = [...(index.indexParams ?? []), ...(index.indexIncludingParams ?? [])];
  const columns = columnNames(elements.map((node) => as('IndexElem', node) ?? {}));
  return objectName(index.relation?.relname ?? '', additionOf(columns), 'idx');
}

/** ChooseIndexColumnNames: a name that is taken gets a number. */
function columnNames(elements: readonly IndexElem[]): readonly string[] {
  const names: string[] = [];
  for (const element of elements) {
    const original = element.indexcolname ?? element.name ?? expressionName(element.expr) ?? 'expr';
    let name = original;
    for (let number = 1; names.includes(name); number += 1) {
      name = `${cut(original, NAME_BYTES - String(number).length)}${number}`;
    }
    names.push(name);
  }
  return names;
}

/** ChooseIndexNameAddition: no more columns than fit into a name. */
function additionOf(columns: readonly string[]): string {
  let addition = '';
  for (const column of columns) {
    addition = addition === '' ? column : `${addition}_${column}`;
    if (Buffer.byteLength(addition) > NAME_BYTES) break;
  }
  return addition;
}

/** The name that PostgreSQL gives to an unnamed constraint: `messages_user_id_fkey`. */
export function constraintName(table: string, columns: readonly string[], label: string): string {
  return objectName(table, additionOf(columns), label);
}

/** makeObjectName: the longer of the two parts is cut first, the label never. */
function objectName(table: string, addition: string, label: string): string {
  const available = NAME_BYTES - (label.length + 1) - (addition === '' ? 0 : 1);
  let tableBytes = Buffer.byteLength(table);
  let additionBytes = Buffer.byteLength(addition);
  while (tableBytes + additionBytes > available) {
    if (tableBytes > additionBytes) tableBytes -= 1;
    else additionBytes -= 1;
  }
  return [cut(table, tableBytes), ...(addition === '' ? [] : [cut(addition, additionBytes)]), label].join(
    '_',
  );
}

/** As many whole characters as fit into so many bytes. */
function cut(name: string, bytes: number): string {
  if (Buffer.byteLength(name) <= bytes) return name;
  let kept = '';
  let used = 0;
  for (const character of name) {
    used += Buffer.byteLength(character);
    if (used > bytes) break;
    kept += character;
  }
  return kept;
}

/** FigureIndexColname in src/backend/parser/parse_target.c. */
function expressionName(node: Node | undefined): string | undefined {
  return figure(node)?.name;
}

interface Figured {
  readonly name: string;
  /** A weak name, from a type or CASE, yields to one from further inside. */
  readonly weak: boolean;
}

function figure(node: Node | undefined): Figured | undefined {
  if (node === undefined) return undefined;
  const strong = (name: string | undefined): Figured | undefined =>
    name === undefined ? undefined : { name, weak: false };
  if ('ColumnRef' in node) return strong(strings(node.ColumnRef.fields).findLast((name) => name !== ''));
  if ('FuncCall' in node) return strong(strings(node.FuncCall.funcname).at(-1));
  if ('CollateClause' in node) return figure(node.CollateClause.arg);
  if ('A_Indirection' in node) {
    const field = strings(node.A_Indirection.indirection).findLast((name) => name !== '');
    return strong(field) ?? figure(node.A_Indirection.arg);
  }
  if ('TypeCast' in node) {
    const inner = figure(node.TypeCast.arg);
    const type = strings(node.TypeCast.typeName?.names).at(-1);
    return inner !== undefined && !inner.weak
      ? inner
      : type === undefined
        ? inner
        : { name: type, weak: true };
  }
  if ('CaseExpr' in node) {
    const inner = figure(node.CaseExpr.defresult);
    return inner !== undefined && !inner.weak ? inner : { name: 'case', weak: true };
  }
  if ('A_Expr' in node) return node.A_Expr.kind === 'AEXPR_NULLIF' ? strong('nullif') : undefined;
  return strong(fixedName(node));
}

/** Constructs that are named after themselves. */
function fixedName(node: Node): string | undefined {
  if ('MinMaxExpr' in node) return node.MinMaxExpr.op === 'IS_LEAST' ? 'least' : 'greatest';
  if ('XmlExpr' in node) return XML_NAMES[node.XmlExpr.op ?? ''];
  if ('JsonFuncExpr' in node) return JSON_NAMES[node.JsonFuncExpr.op ?? ''];
  return FIXED_NAMES[Object.keys(node)[0] ?? ''];
}

const FIXED_NAMES: Readonly<Record<string, string>> = {
  A_ArrayExpr: 'array',
  CoalesceExpr: 'coalesce',
  JsonArrayConstructor: 'json_array',
  JsonObjectConstructor: 'json_object',
  JsonParseExpr: 'json',
  JsonScalarExpr: 'json_scalar',
  JsonSerializeExpr: 'json_serialize',
  RowExpr: 'row',
  XmlSerialize: 'xmlserialize',
};

const XML_NAMES: Readonly<Record<string, string>> = {
  IS_XMLCONCAT: 'xmlconcat',
  IS_XMLELEMENT: 'xmlelement',
  IS_XMLFOREST: 'xmlforest',
  IS_XMLPARSE: 'xmlparse',
  IS_XMLPI: 'xmlpi',
  IS_XMLROOT: 'xmlroot',
};

const JSON_NAMES: Readonly<Record<string, string>> = {
  JSON_EXISTS_OP: 'json_exists',
  JSON_QUERY_OP: 'json_query',
  JSON_VALUE_OP: 'json_value',
};
