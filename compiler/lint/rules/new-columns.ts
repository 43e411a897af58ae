import { isConstrainedDomain } from '../../locks/alter-table-locks.ts';
import { isSerial } from '../../schema/learn-table.ts';
import { dataTypeOf, showType } from '../../schema/type-name.ts';
import { volatileFunctionIn } from '../../schema/volatility.ts';
import { constraintName } from '../../syntax/index-name.ts';
import { withCommand } from '../alteration.ts';
import {
  type AddedColumn,
  addedColumns,
  type Clause,
  clauseOf,
  withoutClauses,
} from '../column-definition.ts';
import type { Report, Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';
import { fillInBatches, setNotNullSafely } from '../two-steps.ts';
import { written } from '../written-name.ts';

const FILL =
  'Then fill the existing rows in batches: an UPDATE with "-- migrate: backfill" on the line before it (docs/backfills.md).';

export const requiredColumn: Rule = {
  name: 'required-column',
  severity: 'error',
  title: 'a new NOT NULL column without a default on a table that exists',
  aboutLocks: false,
  *check(context) {
    for (const column of addedColumns(context)) {
      const clause = clauseOf(column, 'CONSTR_NOTNULL');
      if (clause === undefined || fillsItself(column)) continue;
      const { table } = column.alteration;
      yield {
        index: context.statement.index + clause.start,
        what: `Existing rows of ${context.show(table)} have no ${column.name}, so this fails if there are any; and code that does not know the column can no longer insert.`,
        instead: withoutClauses(column, [clause]).trimEnd(),
        afterwards: setNotNullSafely(context, { table, column: column.name }),
        note: `Or give it a constant default, which takes a moment. Without one: let the new code write the column. ${FILL}`,
      };
    }
  },
};

/** Every row gets a value of its own. */
function fillsItself({ clauses, definition }: AddedColumn): boolean {
  const filling = ['CONSTR_DEFAULT', 'CONSTR_GENERATED', 'CONSTR_IDENTITY'];
  const serial = definition.typeName !== undefined && isSerial(dataTypeOf(definition.typeName).name);
  return serial || clauses.some(({ constraint }) => filling.includes(constraint.contype ?? ''));
}

export const volatileDefault: Rule = {
  name: 'volatile-default',
  severity: 'warning',
  title: 'a new column whose default differs from row to row',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    for (const column of addedColumns(context)) {
      const clause = clauseOf(column, 'CONSTR_DEFAULT');
      const expression = clause?.constraint.raw_expr;
      if (clause === undefined || expression === undefined) continue;
      const volatile = volatileFunctionIn(expression, context.schema);
      if (volatile === undefined) continue;
      const { table } = column.alteration;
      const required = clauseOf(column, 'CONSTR_NOTNULL');
      const left = required === undefined ? [clause] : [clause, required];
      yield {
        index: context.statement.index + clause.start,
        what: `${volatile}() is evaluated for each row, so Postgres rewrites the whole of ${context.show(table)}.`,
        instead: [
          `${withoutClauses(column, left)}alter table ${context.show(table)} alter column ${written(column.name)} set ${clause.text};`,
          fillInBatches(context, { table, column: column.name }),
          ...(required === undefined ? [] : [setNotNullSafely(context, { table, column: column.name })]),
        ].join('\n'),
        note: 'New rows get the default at once, existing ones in batches, each a transaction of its own.',
        relation: table,
      };
    }
  },
};

export const storedGeneratedColumn: Rule = {
  name: 'stored-generated-column',
  severity: 'warning',
  title: 'a new column GENERATED … STORED on a table that exists',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    for (const column of addedColumns(context)) {
      const clause = clauseOf(column, 'CONSTR_GENERATED');
      if (clause === undefined || clause.constraint.generated_kind === 'v') continue;
      yield report(context, column, {
        clause,
        what: `The value is computed for each row, so Postgres rewrites the whole of ${context.show(column.alteration.table)}.`,
      });
    }
  },
};

function report(
  context: StatementContext,
  column: AddedColumn,
  { clause, what }: { readonly clause: Clause; readonly what: string },
): Report {
  return {
    index: context.statement.index + clause.start,
    what,
    instead: withoutClauses(column, [clause]).trimEnd(),
    note: `Let the application, or a trigger, write ${column.name}. ${FILL} PostgreSQL 18 and later compute a column GENERATED … VIRTUAL when it is read, and adding that takes a moment.`,
    relation: column.alteration.table,
  };
}

export const constrainedDomainColumn: Rule = {
  name: 'constrained-domain-column',
  severity: 'warning',
  title: 'a new column of a domain with constraints',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    for (const { alteration, name, definition } of addedColumns(context)) {
      const { typeName } = definition;
      if (typeName === undefined || !isConstrainedDomain(dataTypeOf(typeName), context.schema)) continue;
      const { table } = alteration;
      yield {
        index: context.file.source.indexOfByte(typeName.location ?? 0),
        what: `Postgres checks every row against ${showType(dataTypeOf(typeName))}, even where the column is null, and rewrites the whole of ${context.show(table)}.`,
        instead: context.allowing(this.name, `${table.name} is small enough to be blocked for that long`),
        note: `For a large table, give ${name} the type below the domain, and the domain's checks as constraints of the table: NOT VALID first, validated in the next transaction.`,
        relation: table,
      };
    }
  },
};

export const identityColumn: Rule = {
  name: 'identity-column',
  severity: 'warning',
  title: 'a new column that numbers the rows: serial, or GENERATED … AS IDENTITY',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    for (const column of addedColumns(context)) {
      const { definition, alteration, command, name } = column;
      const identity = clauseOf(column, 'CONSTR_IDENTITY');
      const serial = definition.typeName !== undefined && isSerial(dataTypeOf(definition.typeName).name);
      if (!serial && identity === undefined) continue;
      const table = context.show(alteration.table);
      const sequence = constraintName(alteration.table.name, [name], 'seq');
      const inSchema = context.show({ ...alteration.table, name: sequence });
      const rest = withCommand(alteration, command, `add column ${written(name)} bigint`);
      yield {
        index: context.statement.index + (identity?.start ?? command.start),
        what: `Each row gets its number at once, so Postgres rewrites the whole of ${table}.`,
        instead: [
          `create sequence ${inSchema};\n`,
          rest,
          `alter table ${table} alter column ${written(name)} set default nextval('${inSchema.replaceAll("'", "''")}');\n`,
          `alter sequence ${inSchema} owned by ${table}.${written(name)};\n`,
          fillInBatches(context, { table: alteration.table, column: name }),
        ].join(''),
        note: 'New rows get their numbers at once, existing ones in batches, each a transaction of its own.',
        relation: alteration.table,
      };
    }
  },
};
