import * as v from 'valibot';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import { quoteIdentifier } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { faultColumn, parseRow, toFault } from './columns.ts';

export interface PartitionBuild {
  readonly index: string;
  /** Whether the index exists; it is dropped together with its parent's, to which it was attached. */
  readonly present: boolean;
  readonly fault: PostgresFault | undefined;
}

/** The outcome of the builds of a partitioned table's partitions, by `schema.table`. */
export async function partitionBuilds(
  session: Session,
  ledgerSchema: string,
  parent: string,
): Promise<Map<string, PartitionBuild>> {
  const rows = await session.query(
    `select schema_name as schema, table_name as table, index_name as index, state, fault,
            exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = schema_name::pg_catalog.name and c.relname = index_name::pg_catalog.name) as present
       from ${quoteIdentifier(ledgerSchema)}.work where parent_build = $1 order by id`,
    [parent],
  );
  const columns = v.object({
    schema: v.string(),
    table: v.string(),
    index: v.string(),
    state: v.string(),
    fault: v.nullable(faultColumn),
    present: v.boolean(),
  });
  return new Map(
    rows.map((row) => {
      const { schema, table, index, state, fault, present } = parseRow(columns, row);
      const cancelled =
        state === 'cancelled'
          ? { sqlstate: sqlstate.queryCanceled, message: 'the build was cancelled' }
          : undefined;
      return [`${schema}.${table}`, { index, present, fault: fault === null ? cancelled : toFault(fault) }];
    }),
  );
}
