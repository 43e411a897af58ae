import * as v from 'valibot';
import { wordsOf } from '../../migration/postgres-fault.ts';
import type { RelationName } from '../../migration/relation-name.ts';
import type { Text } from '../../migration/row-values.ts';
import { OWN_PATH } from '../session/own-path.ts';
import { quoteIdentifier, quoteLiteral, quoteRelation } from '../session/quote.ts';
import { rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { questionLimits } from '../session/statement-limits.ts';

/** What a statement does: `nothing` but a catalog change, or work that grows with the table. */
export type StatementWork =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'scan' | 'build' | 'rewrite' }
  | { readonly kind: 'unknown'; readonly because: Text };

const works = v.picklist(['nothing', 'scan', 'build', 'rewrite']);
const FILES_BEFORE = 'migrations.files_before';

interface Retyping {
  /** The table as the catalog has it. */
  readonly table: { readonly schema: string; readonly name: string };
  readonly column: string;
  /** `alter column name type varchar(100)`, as written. */
  readonly command: string;
  /** The file's own SET statements: a time zone, or a search path. */
  readonly settings: readonly string[];
  /** A schema where our role may create tables. */
  readonly ledgerSchema: string;
}

/**
 * Lets Postgres itself decide: applies the change to an empty copy of the table, and looks what has new files
 * afterwards, since that would be rewritten. Everything is rolled back. The copy has the table's name, since
 * expressions may name it. Without the privilege to create temporary tables it is created in the ledger's schema.
 */
export async function typeChangeWork(session: Session, retype: Retyping): Promise<StatementWork> {
  const { table, ledgerSchema } = retype;
  const temporary = await tryOnCopy(session, retype, {
    create: `create temporary table ${quoteIdentifier(table.name)}`,
    copy: { schema: 'pg_temp', name: table.name },
  });
  if (temporary.kind !== 'unknown') return temporary;
  const ordinary = { schema: ledgerSchema, name: table.name };
  const other = await tryOnCopy(session, retype, {
    create: `create table ${quoteRelation(ordinary)}`,
    copy: ordinary,
  });
  return other.kind === 'unknown' ? temporary : other;
}

async function tryOnCopy(
  session: Session,
  { table, column, command, settings }: Retyping,
  { create, copy }: { readonly create: string; readonly copy: RelationName },
): Promise<StatementWork> {
  const name = quoteRelation(copy);
  const oid = `${quoteLiteral(name)}::pg_catalog.regclass`;
  const files = `(select pg_catalog.concat_ws(' ', pg_catalog.pg_relation_filenode(${oid}),
      (select pg_catalog.string_agg(pg_catalog.pg_relation_filenode(i.indexrelid)::pg_catalog.text, ' '
                                    order by pg_catalog.pg_relation_filenode(i.indexrelid))
         from pg_catalog.pg_index i where i.indrelid operator(pg_catalog.=) ${oid}::pg_catalog.oid)))`;
  const { row, fault } = await rolledBack(session, [
    ...settings,
    ...questionLimits({ statement: 10_000, lock: 1_000 }),
    `${create} (like ${quoteRelation(table)} including indexes)`,
    `select pg_catalog.set_config('${FILES_BEFORE}', ${files}, true)`,
    `alter table ${name} ${command}`,
    OWN_PATH,
    // Postgres checks a constraint of the column again, row by row.
    `select case when pg_catalog.split_part(before, ' ', 1) <> pg_catalog.split_part(after, ' ', 1) then 'rewrite'
            when before <> after then 'build'
            when exists (select from pg_catalog.pg_constraint c
                           join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
                          where c.conrelid = ${quoteLiteral(quoteRelation(table))}::pg_catalog.regclass
                            and c.contype = 'c' and a.attname = ${quoteLiteral(column)}) then 'scan'
            else 'nothing' end as work
       from (select pg_catalog.current_setting('${FILES_BEFORE}') as before, ${files} as after) as compared`,
  ]);
  if (fault !== undefined) {
    return { kind: 'unknown', because: wordsOf(fault.fault) };
  }
  return { kind: v.parse(works, row?.work) };
}
