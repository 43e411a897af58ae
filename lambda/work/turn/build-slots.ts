import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { hasLedger, isBuilderOf } from '../../postgres/catalog/builder-names.ts';
import { workTableNow } from '../../postgres/ledger/ledger.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { BuildTable } from '../loop-task.ts';

/**
 * How many tables are building in this database, of any loop and any ledger, without `except`. Builders of other
 * ledgers are recognized by their sessions' names.
 */
export async function tablesBuilding(
  session: Session,
  ledgerSchema: string,
  except: BuildTable = { schema: '', table: '' },
): Promise<number> {
  const rows = await session.query(
    `select (select pg_catalog.count(distinct (schema_name, table_name)) from ${await workTableNow(session, ledgerSchema)}
              where state = 'building' and not partitioned and (schema_name <> $1 or table_name <> $2))::int as own,
            array(select application_name from pg_catalog.pg_stat_activity a where datname = pg_catalog.current_database()
                      and application_name ~ ' build [0-9]+$' and ${hasLedger('a')}) as others`,
    [except.schema, except.table],
  );
  const [row] = v.parse(v.array(buildingRow), rows);
  const others = row?.others.filter((name) => !isBuilderOf(name, ledgerSchema)) ?? [];
  return (row?.own ?? 0) + others.length;
}

const buildingRow = v.object({ own: v.number(), others: v.array(v.string()) });

/** Serializes starts in a database, so that each sees the ones before it. It is only tried, like all our locks. */
const START_LOCK = 1_836_279_413;
const START_PAUSE_MILLISECONDS = 50;
const START_TRIES = 100;

/** Starts a build if fewer than `most` other tables are building; undefined without a free slot. */
export async function withSlot<T>(
  session: Session,
  { ledgerSchema, table, most }: { ledgerSchema: string; table: BuildTable; most: number },
  begin: () => Promise<T>,
): Promise<T | undefined> {
  for (let tried = 1; ; tried += 1) {
    const [row] = await session.query(`select pg_catalog.pg_try_advisory_lock(${START_LOCK}, 0) as locked`);
    if (row?.locked === true) break;
    if (tried >= START_TRIES) return undefined;
    await sleep(START_PAUSE_MILLISECONDS);
  }
  try {
    return (await tablesBuilding(session, ledgerSchema, table)) < most ? await begin() : undefined;
  } finally {
    await session.query(`select pg_catalog.pg_advisory_unlock(${START_LOCK}, 0)`);
  }
}
