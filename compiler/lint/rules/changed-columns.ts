import type { Column, Index } from '../../schema/table.ts';
import { isPlainConversion, typeChange } from '../../schema/type-change.ts';
import { type DataType, dataTypeOf, showType } from '../../schema/type-name.ts';
import { constraintName } from '../../syntax/index-name.ts';
import { as, relationOf } from '../../syntax/syntax-tree.ts';
import { type Command, withCommand } from '../alteration.ts';
import type { Report, Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';
import { addThenValidate } from '../two-steps.ts';
import { written } from '../written-name.ts';

export const changeColumnType: Rule = {
  name: 'change-column-type',
  severity: 'warning',
  title: "a change of a column's type that rewrites the table",
  aboutLocks: true,
  bySize: true,
  *check(context) {
    const { alteration } = context;
    if (alteration === undefined || !context.isExisting(alteration.table)) return;
    for (const command of alteration.commands) {
      const { subtype, name: column = '', def } = command.tree;
      const definition = as('ColumnDef', def);
      if (subtype !== 'AT_AlterColumnType' || definition?.typeName === undefined) continue;
      const known = context.schema.relation(alteration.table)?.columns.get(column);
      const to = dataTypeOf(definition.typeName);
      const plain = isPlainConversion(definition.raw_default, { column, to });
      const change = plain ? typeChange(known?.type, to) : 'rewrite';
      if (change === 'none' || (change === 'session' && isUtc(context))) continue;
      yield {
        index: context.statement.index + command.start,
        ...sentence(context, { column, known, to, change }),
        ...remedy(context, { command, column, known, to, change }),
        relation: alteration.table,
      };
    }
  },
};

interface Change {
  readonly column: string;
  readonly known: Column | undefined;
  readonly to: DataType;
  readonly change: ReturnType<typeof typeChange>;
}

function sentence(
  context: StatementContext,
  { column, known, to, change }: Change,
): Pick<Report, 'what' | 'turning'> {
  const table = context.show(context.alteration?.table ?? { schema: undefined, name: '' });
  const from = known?.type === undefined ? '' : ` from ${showType(known.type)}`;
  const turning = `Turning ${column}${from} into ${showType(to)}`;
  const turn = `${turning} rewrites the whole of ${table} and its indexes`;
  if (change === 'unknown')
    return {
      turning,
      what: `${turn}, unless the type that it has, which no migration shows, is stored alike.`,
    };
  if (change === 'session') return { turning, what: `${turn}, unless the session's time zone is UTC.` };
  return {
    turning,
    what: `${turn}, while nobody else can read or write it; and running code may not expect the new type.`,
  };
}

function remedy(
  context: StatementContext,
  { command, column, known, to, change }: Change & { readonly command: Command },
): Pick<Report, 'instead' | 'note'> {
  const { alteration } = context;
  if (alteration === undefined) return { instead: '' };
  const { table } = alteration;
  const rest = withCommand(alteration, command, undefined);
  const limit = to.modifiers[0];
  if (change === 'session') {
    return {
      instead: `set local time zone 'UTC';\n${context.text};`,
      note: 'The existing values are then read as UTC, which is right if they were written so.',
    };
  }
  if (isShortening(known?.type, to) && limit !== undefined) {
    const name = constraintName(table.name, [column], 'length');
    const body = `check (char_length(${written(column)}) <= ${limit})`;
    return {
      instead: rest + addThenValidate(context, { table, name, body }),
      note: 'A CHECK limits the length as well, and its limit can be changed without rewriting a row.',
    };
  }
  return {
    instead: withCommand(
      alteration,
      command,
      `add column ${written(`${column}_new`)} ${showType(to)}`,
    ).trimEnd(),
    note: `Let the application write both columns, fill ${column}_new for the existing rows in batches, read from it, and drop ${column} in a later migration.`,
  };
}

function isShortening(from: DataType | undefined, to: DataType): boolean {
  const text = from !== undefined && !from.array && (from.name === 'text' || from.name === 'varchar');
  return text && to.name === 'varchar' && !to.array;
}

/** `set local time zone 'UTC'` before it, in the same transaction. */
function isUtc({ before }: StatementContext): boolean {
  const last = before
    .map(({ tree }) => as('VariableSetStmt', tree))
    .findLast((set) => set?.name === 'timezone');
  const [value] = last?.args ?? [];
  return (as('A_Const', value)?.sval?.sval ?? '').toLowerCase() === 'utc';
}

export const dropColumn: Rule = {
  name: 'drop-column',
  severity: 'warning',
  title: 'DROP COLUMN on a table that exists',
  aboutLocks: true,
  *check(context) {
    for (const { column, index, allow } of droppedColumns(context)) {
      const table = context.alteration?.table;
      if (table === undefined) continue;
      yield {
        index,
        what: `Code deployed before this, or running alongside it, fails as soon as it refers to ${column}.`,
        instead: context.allowing(allow, `no deployed code reads or writes ${table.name}.${column}`),
        note: 'Deploy code that does not use the column first. If the column is NOT NULL without a default, drop the NOT NULL before that code is deployed.',
        relation: table,
      };
    }
  },
};

interface Dropped {
  readonly column: string;
  readonly index: number;
  /** What else the statement has to be allowed. */
  readonly allow: readonly string[];
}

function droppedColumns(context: StatementContext): readonly Dropped[] {
  const { alteration } = context;
  if (alteration === undefined || !context.isExisting(alteration.table)) return [];
  return alteration.commands.flatMap(({ tree, start }) => {
    const { subtype, name: column = '', behavior } = tree;
    if (subtype !== 'AT_DropColumn') return [];
    const wider = widerIndexes(context, column).length > 0;
    const allow = [
      'drop-column',
      ...(wider ? ['drop-indexed-column'] : []),
      ...(behavior === 'DROP_CASCADE' ? ['drop-cascade'] : []),
    ];
    return [{ column, index: context.statement.index + start, allow }];
  });
}

/** Indexes that have other columns too, and are dropped with this one all the same. */
function widerIndexes(context: StatementContext, column: string): readonly Index[] {
  const table = context.schema.relation(context.alteration?.table ?? { schema: undefined, name: '' });
  const indexes = table === undefined ? [] : context.schema.indexesOf(table);
  return indexes.filter(({ columns }) => columns.has(column) && columns.size > 1);
}

export const dropIndexedColumn: Rule = {
  name: 'drop-indexed-column',
  severity: 'warning',
  title: 'DROP COLUMN that also drops a multicolumn index',
  aboutLocks: false,
  *check(context) {
    for (const { column, index, allow } of droppedColumns(context)) {
      const [wider] = widerIndexes(context, column);
      const rest = wider?.keyColumns.filter((each) => each !== undefined && each !== column) ?? [];
      const table = context.alteration?.table;
      if (wider === undefined || table === undefined) continue;
      const kept = rest.filter((each) => each !== undefined);
      const others = allow.filter((rule) => rule !== this.name);
      const drop = context.allowing(others, `no deployed code reads or writes ${table.name}.${column}`);
      const name = constraintName(table.name, kept, 'idx');
      const replace = `create index concurrently ${written(name)} on ${context.show(table)} (${kept.map(written).join(', ')});\ndrop index concurrently ${context.show({ ...table, name: wider.name })};`;
      yield {
        index,
        what: `The index ${wider.name} is dropped with ${column}, and queries on ${kept.join(', ') || 'its other columns'} that used it become slow.`,
        instead:
          wider.constraint || kept.length === 0
            ? context.allowing(
                allow,
                `no query needs ${wider.name}, and no deployed code ${table.name}.${column}`,
              )
            : `${context.alone(replace)}\n${drop}`,
      };
    }
  },
};

export const dropNotNull: Rule = {
  name: 'drop-not-null',
  severity: 'advice',
  title: 'DROP NOT NULL, which running code may not expect',
  aboutLocks: false,
  *check(context) {
    const { alteration } = context;
    if (alteration === undefined || !context.isExisting(alteration.table)) return;
    for (const { tree, start } of alteration.commands) {
      if (tree.subtype !== 'AT_DropNotNull') continue;
      yield {
        index: context.statement.index + start,
        what: `Code that relies on ${tree.name} having a value reads nulls from here on.`,
        instead: context.allowing(
          this.name,
          `all deployed code expects nulls in ${alteration.table.name}.${tree.name}`,
        ),
      };
    }
  },
};

export const renameColumn: Rule = {
  name: 'rename-column',
  severity: 'warning',
  title: 'RENAME COLUMN on a table or view that exists',
  aboutLocks: true,
  *check(context) {
    const rename = as('RenameStmt', context.tree);
    if (rename?.renameType !== 'OBJECT_COLUMN' || rename.relation === undefined) return;
    const table = relationOf(rename.relation);
    if (!context.isExisting(table)) return;
    const { subname: from = '', newname: to = '' } = rename;
    const type = context.schema.relation(table)?.columns.get(from)?.type;
    yield {
      what: `Code deployed before this, or running alongside it, fails as soon as it refers to ${from}; code deployed with it fails until this is done.`,
      instead:
        type === undefined
          ? context.allowing(this.name, `no deployed code names ${table.name}.${from}`)
          : `alter table ${context.show(table)} add column ${written(to)} ${showType(type)};`,
      note: `Let the application write both columns, fill ${to} for the existing rows in batches, read from it, and drop ${from} in a later migration.`,
      relation: table,
    };
  },
};
