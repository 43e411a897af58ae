import * as v from 'valibot';
import type { LayoutName } from '../migration/layout.ts';
import { type CompiledMigrations, statementsOf } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { MigrationOptions } from '../migration/options.ts';
import {
  mayBeSame,
  type RelationName,
  readRelationName,
  writeRelationName,
} from '../migration/relation-name.ts';
import { isOlder, type LedgerRead, ledgerQuery, parseLedger, readLedger } from '../postgres/ledger/ledger.ts';
import { isStranger } from '../postgres/ledger/ledger-rights.ts';
import { OWN_PATH, ROLE_PATH } from '../postgres/session/own-path.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/session/quote.ts';
import type { Session } from '../postgres/session/session.ts';
import { HISTORY_TABLES, type HistoryTable, toolsOf } from './history-tables.ts';

/** What another tool's table says. */
export interface History {
  readonly tool: LayoutName;
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly rows: readonly HistoryRow[];
  /** A table that may be the tool's by its columns, under another name than expected. */
  readonly renamed?: boolean;
  /** Of golang-migrate, which keeps no list: versions below its mark none of whose tables is there. */
  readonly absent?: readonly string[];
}

const historyRow = v.object({
  id: v.nullish(v.string()),
  state: v.string(),
  checksum: v.nullish(v.string()),
  at: v.nullish(v.number()),
  description: v.nullish(v.string()),
  success: v.nullish(v.boolean()),
});
export type HistoryRow = v.InferOutput<typeof historyRow>;

const found = v.object({
  schema: v.string(),
  table: v.string(),
  columns: v.array(v.string()),
  rows: v.nullish(v.array(historyRow)),
  unreadable: v.nullish(v.string()),
  stranger: v.nullish(v.string()),
  renamed: v.nullish(v.boolean()),
});

export interface LedgerAndHistory extends LedgerRead {
  /** Undefined if the layout's tool has no table here. */
  readonly history: History | undefined;
}

/** The ledger and the tool's table, in one round trip; writes nothing, and needs neither to exist. */
export async function readLedgerAndHistory(
  session: Session,
  { migrations, options }: { readonly migrations: CompiledMigrations; readonly options: MigrationOptions },
): Promise<LedgerAndHistory> {
  const { ledgerSchema } = options;
  const named =
    options.historyTable === undefined ? migrations.historyTable : readRelationName(options.historyTable);
  const tables =
    options.history === 'ignore'
      ? []
      : toolsOf(migrations.layout ?? 'plain').flatMap((tool) => {
          const table = HISTORY_TABLES[tool];
          return table === undefined ? [] : [{ tool, query: historyQuery(table, named) }];
        });
  const before = tables.length === 0 ? [] : SCHEMAS_OF_ROLE;
  const text = [...before, ...tables.map(({ query }) => query), ledgerQuery(ledgerSchema)].join(';\n');
  const outcome = await session.script(text);
  const parsed = parseLedger(outcome, ledgerSchema, before.length + 2 * tables.length);
  const read = isOlder(parsed) ? await readLedger(session, ledgerSchema) : parsed;
  const histories = tables.flatMap(({ tool }, at) => {
    const found = outcome.rows[before.length + 2 * at + 1]?.[0]?.history;
    return found ? [parseHistory(tool, found)] : [];
  });
  const history = histories.find(({ renamed }) => !renamed);
  const [other] = histories;
  // With a ledger, that one tells what is applied.
  if (history === undefined && other !== undefined && read.ledger.steps.length === 0) throw renamed(other);
  const first = history?.tool === 'golang-migrate' && read.ledger.steps.length === 0;
  return { ...read, history: first ? await withAbsent(session, history, migrations) : history };
}

/** Looks for the tables that files below the mark create and that none drops or renames: one more round trip, once. */
async function withAbsent(
  session: Session,
  history: History,
  { migrations }: CompiledMigrations,
): Promise<History> {
  const last = migrations.findIndex(({ version }) => version === history.rows[0]?.id);
  const below = migrations.slice(0, Math.max(0, last)).map(({ version, steps }) => ({
    version,
    statements: steps.flatMap(statementsOf),
  }));
  const gone = below
    .flatMap(({ statements }) => statements)
    .filter(({ kind }) => ['DropStmt', 'RenameStmt'].includes(kind))
    .flatMap(({ touches }) => touches.changes);
  const made = below.map(({ version, statements }) => ({
    version,
    tables: statements
      .flatMap(({ touches }) => touches.creates)
      .filter((table) => table.schema !== 'pg_temp' && !gone.some((other) => mayBeSame(table, other)))
      .map(({ name }) => name),
  }));
  const [row] = await session.query(
    `select coalesce(pg_catalog.json_agg(name), '[]') as present from pg_catalog.unnest($1::pg_catalog.text[]) as name
      where exists (select from pg_catalog.pg_class where relname::pg_catalog.text operator(pg_catalog.=) name)`,
    [made.flatMap(({ tables }) => tables)],
  );
  const present = v.parse(v.array(v.string()), row?.present);
  return {
    ...history,
    absent: made
      .filter(({ tables }) => tables.length > 0 && !tables.some((table) => present.includes(table)))
      .map(({ version }) => version),
  };
}

/** Of several tables by the name, the one that our role's search path finds is the tool's. */
const SCHEMAS_OF_ROLE = [
  ROLE_PATH,
  `select pg_catalog.set_config('migrations.schemas', pg_catalog.current_schemas(false)::pg_catalog.text, true)`,
  OWN_PATH,
];

/**
 * Two statements. A table that may be missing can't be named in a query, so a block looks for it first, and leaves what
 * it found in a setting that ends with the message.
 */
function historyQuery(
  { table, schema: own, columns, rows, others }: HistoryTable,
  { schema = own, name = table }: Partial<RelationName> = {},
): string {
  const named = names(columns);
  // As it is written, or as Postgres folds it where the tool does not quote it.
  const [tables, schemas] = [name, schema].map((each = '') =>
    names([...new Set([each, each.toLowerCase()])]),
  );
  const isNamed = `(c.relname = any (${tables})${schema === undefined ? '' : ` and n.nspname = any (${schemas})`})`;
  const body = `declare
  found record;
  content pg_catalog.json;
  problem text;
begin
  perform pg_catalog.set_config('migrations.history', '', true);
  select n.nspname, c.relname,
         (select pg_catalog.json_agg(a.attname) from pg_catalog.pg_attribute as a
           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
         case when ${isStranger('c.relowner')} then pg_catalog.pg_get_userbyid(c.relowner) end as stranger,
         not ${isNamed} as renamed
    into found
    from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p')
     and (${isNamed}${others === undefined ? '' : ` or c.relnatts <= ${columns.length + others}`})
     and n.nspname not in ('pg_catalog', 'information_schema') and not pg_catalog.starts_with(n.nspname::text, 'pg_temp')
     and (select pg_catalog.count(*) from pg_catalog.pg_attribute as a
           where a.attrelid = c.oid and a.attname = any (${named}) and not a.attisdropped) = ${columns.length}
   order by renamed, pg_catalog.array_position(${tables}, c.relname), pg_catalog.array_position(pg_catalog.current_setting('migrations.schemas')::name[], n.nspname), n.nspname <> 'public', n.nspname
   limit 1;
  if found.nspname is null then
    return;
  end if;
  if not found.renamed then
  begin
    if found.stranger is not null then
      raise insufficient_privilege;
    end if;
    execute pg_catalog.format(${quoteLiteral(
      `select pg_catalog.json_agg(r) from (select ${rows('%1$I.%2$I').replaceAll('%', '%%').replaceAll('%%1$I.%%2$I', '%1$I.%2$I')}) as r`,
    )}, found.nspname, found.relname) into content;
  exception when insufficient_privilege then
    problem := sqlerrm;
  end;
  end if;
  perform pg_catalog.set_config('migrations.history', pg_catalog.json_build_object('schema', found.nspname,
    'table', found.relname, 'columns', found.columns, 'rows', content, 'unreadable', problem, 'stranger', found.stranger, 'renamed', found.renamed)::text, true);
end`;
  return `do ${quoteLiteral(body)};
select pg_catalog.current_setting('migrations.history', true) as history`;
}

function names(list: readonly string[]): string {
  return `array[${list.map(quoteLiteral).join(', ')}]::pg_catalog.name[]`;
}

/** Otherwise the run would apply migrations again. */
function renamed({ tool, schema, table }: History): MigrationError {
  const name = writeRelationName({ schema, name: table });
  return new MigrationError({
    code: 'history-renamed',
    what: `${tool}'s table is not here by its name, but ${name} has its columns.`,
    applied: 'nothing by this run.',
    next: `if that is ${tool}'s history of this folder, name it: historyTable: '${name}' (on the command line --history-table '${name}'); if not: history: 'ignore' (--history ignore).`,
  });
}

function parseHistory(tool: LayoutName, text: string): History {
  const { schema, table, columns, rows, unreadable, stranger, renamed } = v.parse(found, JSON.parse(text));
  if (renamed) return { tool, schema, table, columns, rows: [], renamed };
  if (stranger != null) {
    throw new MigrationError({
      code: 'history-of-stranger',
      what: `The history of ${tool} is in ${schema}.${table}, which belongs to ${stranger}, and our role is not a member of that role: by a trigger or a policy its owner could have us execute anything.`,
      applied: 'nothing by this run.',
      next: `if ${stranger} may, make our role a member of it (grant ${quoteIdentifier(stranger)} to …), or give the table to our role (alter table ${writeRelationName({ schema, name: table })} owner to …); or leave it alone: history: 'ignore' (on the command line --history ignore), after baseline.`,
    });
  }
  if (unreadable != null) {
    throw new MigrationError({
      code: 'history-unreadable',
      what: (values) =>
        `The history of ${tool} is in ${schema}.${table}, and can't be read${values === 'shown' ? `: ${unreadable}` : ''}.`,
      applied: 'nothing by this run.',
      next: `let the role of the secret read and write it (grant select, insert, update, delete on ${writeRelationName({ schema, name: table })} to …); or leave it alone: history: 'ignore' (on the command line --history ignore), after baseline.`,
    });
  }
  return { tool, schema, table, columns, rows: rows ?? [] };
}
