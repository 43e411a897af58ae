import type { PartitionBoundSpec } from 'libpg-query';
import type { Relation } from '../../schema/table.ts';
import { constraintName } from '../../syntax/index-name.ts';
import { as, type Node, relationOf } from '../../syntax/syntax-tree.ts';
import { closingBracket, isWord } from '../../syntax/tokens.ts';
import type { Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';
import { addThenValidate } from '../two-steps.ts';
import { written } from '../written-name.ts';

export const attachWithoutCheck: Rule = {
  name: 'attach-without-check',
  severity: 'warning',
  title: 'ATTACH PARTITION of a table without a CHECK that proves that its rows fit',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    const { alteration } = context;
    const [command] = alteration?.commands ?? [];
    const partition =
      command?.tree.subtype === 'AT_AttachPartition' ? as('PartitionCmd', command.tree.def) : undefined;
    if (alteration === undefined || partition?.name === undefined) return;
    const child = relationOf(partition.name);
    const parent = context.schema.relation(alteration.table);
    if (
      !context.isExisting(child) ||
      partition.bound?.is_default ||
      fits(context.schema.relation(child), parent)
    )
      return;
    const condition = boundOf(context, parent, partition.bound ?? {});
    const name = constraintName(child.name, [], 'bound');
    yield {
      what: `Postgres reads every row of ${context.show(child)} to verify that it belongs there, while nobody else can read or write it.`,
      instead:
        condition === undefined
          ? context.allowing(this.name, `${child.name} is small enough to be blocked for that long`)
          : [
              addThenValidate(context, { table: child, name, body: `check (${condition})` }),
              `${context.text};`,
              `alter table ${context.show(child)} drop constraint ${written(name)};`,
            ].join(`\n${context.nextTransaction}`),
      ...(condition === undefined
        ? { note: 'A validated CHECK on the partition key makes that scan unnecessary.' }
        : {}),
      relation: child,
    };
  },
};

/** A validated CHECK names all columns of the key: it probably states the bound. */
function fits(child: Relation | undefined, parent: Relation | undefined): boolean {
  const key = parent?.partitionKey ?? [];
  const checks = [...(child?.constraints.values() ?? [])].filter(
    ({ kind, validated }) => kind === 'check' && validated,
  );
  return checks.some(({ columns }) =>
    key.every((column) => column === undefined || columns.includes(column)),
  );
}

/** The bound as a condition, where the key is one column. */
function boundOf(
  context: StatementContext,
  parent: Relation | undefined,
  { strategy, lowerdatums = [], upperdatums = [] }: PartitionBoundSpec,
): string | undefined {
  const [key, ...more] = parent?.partitionKey ?? [];
  if (key === undefined || more.length > 0) return undefined;
  const column = written(key);
  const conditions = [`${column} is not null`];
  if (strategy === 'l') conditions.push(`${column} in (${bracketAfter(context, 'in')})`);
  else if (strategy === 'r') {
    if (!isLimitless(lowerdatums)) conditions.push(`${column} >= ${bracketAfter(context, 'from')}`);
    if (!isLimitless(upperdatums)) conditions.push(`${column} < ${bracketAfter(context, 'to')}`);
  } else return undefined;
  return conditions.join(' and ');
}

function isLimitless([datum]: readonly Node[]): boolean {
  const [name] = as('ColumnRef', datum)?.fields ?? [];
  return ['minvalue', 'maxvalue'].includes(as('String', name)?.sval ?? '');
}

/** The text in the parentheses after a keyword. */
function bracketAfter({ tokens, text }: StatementContext, word: string): string {
  const at = tokens.findLastIndex((token) => isWord(token, word)) + 1;
  return text.slice(tokens[at]?.end, tokens[closingBracket(tokens, at)]?.start).trim();
}

export const detachWithoutConcurrently: Rule = {
  name: 'detach-without-concurrently',
  severity: 'warning',
  title: 'DETACH PARTITION without CONCURRENTLY',
  aboutLocks: true,
  *check(context) {
    const { alteration } = context;
    const [command] = alteration?.commands ?? [];
    const partition =
      command?.tree.subtype === 'AT_DetachPartition' ? as('PartitionCmd', command.tree.def) : undefined;
    if (alteration === undefined || partition === undefined || partition.concurrent) return;
    const { table } = alteration;
    if (!context.isExisting(table)) return;
    const parent = context.schema.relation(table);
    const hasDefault = [...context.schema.relations()].some(
      (each) => each.isDefaultPartition && parent !== undefined && each.parents.includes(parent),
    );
    yield {
      what: `DETACH PARTITION waits for every query on ${context.show(table)} to end, and every new query waits behind it.`,
      instead: hasDefault
        ? context.allowing(this.name, `queries on ${table.name} are short`)
        : context.alone(`${context.text} concurrently;`),
      ...(hasDefault ? { note: 'With a default partition Postgres has no other way to detach.' } : {}),
      relation: table,
    };
  },
};

export const createPartitionOf: Rule = {
  name: 'create-partition-of',
  severity: 'advice',
  title: 'CREATE TABLE … PARTITION OF a table that exists, which ATTACH does under a weaker lock',
  aboutLocks: true,
  *check(context) {
    const create = as('CreateStmt', context.tree);
    const parent = as('RangeVar', create?.inhRelations?.[0]);
    if (create?.partbound === undefined || create.relation === undefined || parent === undefined) return;
    const table = relationOf(parent);
    if (!context.isExisting(table)) return;
    const name = context.show(relationOf(create.relation));
    const { tokens, text } = context;
    const at = tokens.findIndex((token) => isWord(token, 'values') || isWord(token, 'default'));
    const from = isWord(tokens[at], 'values') ? at - 1 : at;
    const simple = (create.tableElts ?? []).length === 0 && create.partspec === undefined;
    yield {
      what: `PARTITION OF waits for every query on ${context.show(table)} to end, and every new query waits behind it.`,
      instead:
        simple && at !== -1
          ? `create table ${name} (like ${context.show(table)} including all excluding identity);\nalter table ${context.show(table)} attach partition ${name} ${text.slice(tokens[from]?.start)};`
          : context.allowing(this.name, `queries on ${table.name} are short`),
      relation: table,
    };
  },
};
