import type { AlterEnumStmt } from 'libpg-query';
import { as, type Node, strings } from '../syntax/syntax-tree.ts';
import type { Schema } from './schema.ts';

/** CREATE TYPE … AS ENUM, CREATE DOMAIN, and what changes them. */
export function learnType(schema: Schema, tree: Node): void {
  const create = as('CreateEnumStmt', tree);
  if (create !== undefined)
    schema.setType(nameOf(create.typeName), { kind: 'enum', values: strings(create.vals) });
  const domain = as('CreateDomainStmt', tree);
  if (domain !== undefined) {
    const kinds = (domain.constraints ?? []).map((node) => as('Constraint', node)?.contype);
    const constrained = kinds.some((kind) => kind === 'CONSTR_CHECK' || kind === 'CONSTR_NOTNULL');
    schema.setType(nameOf(domain.domainname), { kind: 'domain', constrained });
  }
  const altered = as('AlterDomainStmt', tree);
  if (altered?.subtype === 'C' || altered?.subtype === 'O') {
    schema.setType(nameOf(altered.typeName), { kind: 'domain', constrained: true });
  }
  const change = as('AlterEnumStmt', tree);
  if (change !== undefined) learnValue(schema, change);
}

/** ADD VALUE and RENAME VALUE. */
function learnValue(
  schema: Schema,
  { typeName, oldVal, newVal = '', newValNeighbor, newValIsAfter }: AlterEnumStmt,
): void {
  const type = schema.type(nameOf(typeName));
  if (type?.kind !== 'enum') return;
  const values = type.values.map((value) => (value === oldVal ? newVal : value));
  if (oldVal === undefined && !values.includes(newVal)) {
    const neighbour = newValNeighbor === undefined ? -1 : values.indexOf(newValNeighbor);
    values.splice(neighbour === -1 ? values.length : neighbour + (newValIsAfter ? 1 : 0), 0, newVal);
  }
  schema.setType(nameOf(typeName), { kind: 'enum', values });
}

function nameOf(parts: readonly Node[] | undefined): string {
  return strings(parts).at(-1) ?? '';
}
