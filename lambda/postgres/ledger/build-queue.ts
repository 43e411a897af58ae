import * as v from 'valibot';
import type { IndexBuild } from '../../work/index-build.ts';
import type { BuildTable } from '../../work/loop-task.ts';
import { quoteIdentifier } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { stateIs } from './columns.ts';
import { buildColumns, parseBuild } from './index-build-rows.ts';
import { workTableNow } from './ledger.ts';
import { workTable } from './ledger-format.ts';

/**
 * The first build of each table that is not over, unless it is a partitioned table's that waits for its partitions:
 * those are builds of other tables, and it has its turn when they are over.
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

/** Tables that have a build whose turn it is, in the order in which the builds were handed off. */
export async function tablesWithBuilds(session: Session, ledgerSchema: string): Promise<BuildTable[]> {
  const rows = await session.query(
    `select schema_name as schema, table_name as table from (${firstBuilds(await workTableNow(session, ledgerSchema))}) as first order by id`,
  );
  return v.parse(v.array(v.object({ schema: v.string(), table: v.string() })), rows);
}

/**
 * The build whose turn it is: the first of its table that is not over. Counts the turn, unless the build is
 * among the `counted`: a turn looks at a build as often as there is something to do, and is one turn all the same.
 */
export async function nextBuild(
  session: Session,
  ledgerSchema: string,
  { schema, table }: BuildTable,
  counted: ReadonlySet<string>,
): Promise<IndexBuild | undefined> {
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

/** Tables that have builds to do: so many may soon build side by side, and share the server's memory. */
export async function tablesToBuild(session: Session, ledgerSchema: string): Promise<number> {
  const [row] = await session.query(
    `select pg_catalog.count(distinct (schema_name, table_name))::int as tables
       from ${quoteIdentifier(ledgerSchema)}.work where ${stateIs('open')}`,
  );
  return Number(row?.tables ?? 1);
}
