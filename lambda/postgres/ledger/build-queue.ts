import * as v from 'valibot';
import type { Build } from '../../work/build.ts';
import type { BuildTable } from '../../work/loop-task.ts';
import { quoteIdentifier } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { buildColumns, parseBuild } from './build-rows.ts';
import { stateIs } from './columns.ts';
import { workTableNow } from './ledger.ts';
import { workTable } from './ledger-format.ts';

/**
 * The first open build of each table, without those of partitioned tables that wait for their partitions' builds.
 */
function firstBuilds(table: string): string {
  return `select b.id, b.schema_name, b.table_name
            from (select distinct on (schema_name, table_name) id, schema_name, table_name
                    from ${table}
                   where ${stateIs('open')}
                   order by schema_name, table_name, id) as b
           where not exists (select from ${table} part
                              where part.parent_build = b.id and ${stateIs('open', 'part')})`;
}

/** Tables that have a build to attend to, in the order in which the builds were handed off. */
export async function tablesWithBuilds(session: Session, ledgerSchema: string): Promise<BuildTable[]> {
  const rows = await session.query(
    `select schema_name as schema, table_name as table from (${firstBuilds(await workTableNow(session, ledgerSchema))}) as first order by id`,
  );
  return v.parse(v.array(v.object({ schema: v.string(), table: v.string() })), rows);
}

/**
 * The next build of a table: its first open one. Counts the turn, unless the build is among the `counted`, since one
 * turn may look at a build several times.
 */
export async function nextBuild(
  session: Session,
  ledgerSchema: string,
  { schema, table }: BuildTable,
  counted: ReadonlySet<string>,
): Promise<Build | undefined> {
  const s = quoteIdentifier(ledgerSchema);
  const rows = await session.query(
    `update ${s}.work
        set turns = turns + case when id = any($3::bigint[]) then 0 else 1 end
      where id = (select id from (${firstBuilds(workTable(ledgerSchema))}) as first
                   where schema_name = $1 and table_name = $2)
  returning ${buildColumns}`,
    [schema, table, [...counted]],
  );
  return rows[0] === undefined ? undefined : parseBuild(rows[0]);
}

/** How many tables have open builds, which may soon run side by side and share the server's memory. */
export async function tablesToBuild(session: Session, ledgerSchema: string): Promise<number> {
  const [row] = await session.query(
    `select pg_catalog.count(distinct (schema_name, table_name))::int as tables
       from ${quoteIdentifier(ledgerSchema)}.work where ${stateIs('open')}`,
  );
  return Number(row?.tables ?? 1);
}

/** Id of the newest build; 0 if there is none. */
export async function newestBuild(session: Session, ledgerSchema: string): Promise<string> {
  const [row] = await session.query(
    `select coalesce(pg_catalog.max(id), 0::bigint)::text as newest from ${await workTableNow(session, ledgerSchema)}`,
  );
  return String(row?.newest ?? '0');
}

export interface UnattendedTable {
  readonly table: BuildTable;
  readonly needsSlot: boolean;
}

/**
 * Tables whose next build no branch attends to yet: pending ones handed off after `newest`, which need a slot; and
 * partitioned tables whose partitions are all over, which need none.
 */
export async function unattendedTables(
  session: Session,
  ledgerSchema: string,
  newest: string,
): Promise<UnattendedTable[]> {
  const work = await workTableNow(session, ledgerSchema);
  const rows = await session.query(
    `select b.schema_name as schema, b.table_name as table, not b.partitioned as needs_slot
       from (${firstBuilds(work)}) as first join ${work} b on b.id = first.id
      where (b.state = 'pending' and b.id > $1::bigint)
         or (b.partitioned and exists (select from ${work} part where part.parent_build = b.id))
      order by b.id`,
    [newest],
  );
  return v.parse(v.array(unattendedRow), rows);
}

const unattendedRow = v.pipe(
  v.object({ schema: v.string(), table: v.string(), needs_slot: v.boolean() }),
  v.transform(({ schema, table, needs_slot }) => ({ table: { schema, table }, needsSlot: needs_slot })),
);
