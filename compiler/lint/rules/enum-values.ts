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
      what: `Code that is deployed before this, or beside it, fails as soon as it names the value ${from}.`,
      instead: context.alone(`alter type ${type} add value ${literal(to)} after ${literal(from)};`),
      note: `Let the application write the new value, change the old rows in batches, and leave ${from} where it is: a value that no row has costs nothing.`,
    };
  },
};

export const enumValueOrder: Rule = {
  name: 'enum-value-order',
  severity: 'advice',
  title: 'ADD VALUE to an enum type without saying where',
  aboutLocks: false,
  *check(context) {
    const change = as('AlterEnumStmt', context.tree);
    if (change === undefined || change.oldVal !== undefined || change.newValNeighbor !== undefined) return;
    const type = context.schema.type(strings(change.typeName).at(-1) ?? '');
    const last = type?.kind === 'enum' ? type.values.at(-1) : undefined;
    yield {
      what: `${change.newVal} comes after all others, which is what < and ORDER BY go by, and no later statement moves it.`,
      instead:
        last === undefined
          ? context.allowing(this.name, 'the order of the values means nothing')
          : `${context.text} after ${literal(last)};`,
    };
  },
};
