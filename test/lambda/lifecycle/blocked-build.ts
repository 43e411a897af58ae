import { eventually, type LifeCycle, largeTable } from './life-cycle.ts';

export const tables = { '1_large.sql': largeTable('large') };
export const withIndex = { ...tables, '2_index.sql': 'create index concurrently i on large (x);' };
export const withWaiting = { ...withIndex, '3_waits.sql': 'alter table large add column y int;' };

/** A transaction that every concurrent build on the table waits for, until it is ended. */
export async function blockerIn(life: LifeCycle): Promise<{ end(): Promise<void> }> {
  const session = await life.session();
  await session.query('begin; insert into large values (501, 501)');
  return session;
}

/** Waits until the build is in the state. */
export function buildIn(life: LifeCycle, state: string): Promise<true> {
  return eventually(async () => {
    const [build] = await life.database.query<{ state: string }>('select state from migrations.index_build');
    return build?.state === state;
  });
}
