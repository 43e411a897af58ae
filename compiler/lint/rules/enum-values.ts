import { as, strings } from '../../syntax/syntax-tree.ts';
import type { Rule } from '../rule.ts';

function literal(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

export const renameEnumValue: Rule = {
  name: 'rename-enum-value',
  severity: 'warning',
  title: 'RENAME VALUE of an enum type',
  aboutLocks: false,
  *check(context) {
    const change = as('AlterEnumStmt', context.tree);
    if (change?.oldVal === undefined) return;
    const { oldVal: from, newVal: to = '' } = change;
    const parts = strings(change.typeName);
    const type = context.show({ schema: parts.at(-2), name: parts.at(-1) ?? '' });
    yield {
      what: `Code deployed before this, or running alongside it, fails as soon as it uses the value ${from}.`,
      instead: context.alone(`alter type ${type} add value ${literal(to)} after ${literal(from)};`),
      note: `Let the application write the new value, change the old rows in batches, and leave ${from} in the type: an unused value costs nothing.`,
    };
  },
};

export const enumValueOrder: Rule = {
  name: 'enum-value-order',
  severity: 'advice',
  title: 'ADD VALUE to an enum type without BEFORE or AFTER',
  aboutLocks: false,
  *check(context) {
    const change = as('AlterEnumStmt', context.tree);
    if (change === undefined || change.oldVal !== undefined || change.newValNeighbor !== undefined) return;
    const type = context.schema.type(strings(change.typeName).at(-1) ?? '');
    const last = type?.kind === 'enum' ? type.values.at(-1) : undefined;
    yield {
      what: `${change.newVal} sorts after all others, for < and ORDER BY, and no later statement can move it.`,
      instead:
        last === undefined
          ? context.allowing(this.name, 'the order of the values means nothing')
          : `${context.text} after ${literal(last)};`,
    };
  },
};
