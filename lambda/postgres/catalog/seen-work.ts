import * as v from 'valibot';
import { byteSize } from '../../migration/amounts.ts';
import type { Build } from '../../work/build.ts';
import type { SeenIndex } from '../../work/decide.ts';
import { asLoginRole } from '../session/as-login-role.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { type Blocker, blockerColumn, sessionAsBlocker } from './blockers.ts';
import { builderNames, hasLedger, type SeenBuilder } from './builder-names.ts';
import { relationOid } from './relation-oid.ts';

/**
 * What the catalog says about work that is not an index build. A constraint is validated, or a partition detached, if
 * Postgres says so, whoever did it; for all other work only the outcome of the attempt tells.
 */
export async function seeWork(session: Session, work: Build): Promise<SeenIndex> {
  switch (work.operation) {
    case 'validate':
      return seeConstraints(
        session,
        work,
        `k.conrelid = ${relationOid(quoteLiteral(work.schema), quoteLiteral(work.table))}`,
      );
    case 'validate-domain':
      return seeConstraints(
        session,
        work,
        `k.contypid = (select t.oid from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
          where n.nspname = ${quoteLiteral(work.schema)} and t.typname = ${quoteLiteral(work.table)})`,
      );
    case 'detach':
      return seePartition(session, work);
    default:
      return byOutcome(work);
  }
}

function byOutcome({ attemptOutcome }: Build): SeenIndex {
  return attemptOutcome?.kind === 'succeeded' ? { kind: 'valid' } : { kind: 'absent' };
}

/** For a missing constraint, Postgres's own error is better than ours. */
async function seeConstraints(session: Session, { index }: Build, of: string): Promise<SeenIndex> {
  const names = index.split(', ');
  const [row] = await session.query(
    `select pg_catalog.count(*)::int as validated from pg_catalog.pg_constraint k
      where ${of} and k.convalidated and k.conname = any ($1::pg_catalog.name[])`,
    [names],
  );
  return row?.validated === names.length ? { kind: 'valid' } : { kind: 'absent' };
}

async function seePartition(session: Session, work: Build): Promise<SeenIndex> {
  // By hand, where the script of export has noted it.
  if (work.attempts === 0) return byOutcome(work);
  const parent = relationOid(quoteLiteral(work.schema), quoteLiteral(work.table));
  // One that an attempt has not found is not detached, but renamed or dropped.
  const missing = work.attemptOutcome?.kind === 'failed' ? 'c.oid is not null' : 'true';
  const [row] = await session.query(
    `select pg_catalog.bool_or(i.inhparent is not null) is not true and pg_catalog.bool_or(${missing}) as detached
       from (values ($1::pg_catalog.name)) as named (name)
       left join pg_catalog.pg_class c on c.relname = named.name and c.relkind in ('r', 'p', 'f')
       left join pg_catalog.pg_inherits i on i.inhrelid = c.oid and i.inhparent = ${parent}`,
    [work.index],
  );
  return row?.detached === true ? { kind: 'valid' } : { kind: 'absent' };
}

/** Whether DETACH PARTITION CONCURRENTLY was interrupted after its first half, so that FINALIZE has to finish it. */
export async function isHalfDetached(session: Session, work: Build): Promise<boolean> {
  const parent = relationOid(quoteLiteral(work.schema), quoteLiteral(work.table));
  const [row] = await session.query(
    `select pg_catalog.bool_or(i.inhdetachpending) as pending
       from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
      where i.inhparent = ${parent} and c.relname = $1`,
    [work.index],
  );
  return row?.pending === true;
}

const workerRow = v.object({
  pid: v.number(),
  phase: v.nullable(v.string()),
  blocks_total: v.nullable(v.number()),
  blocks_done: v.nullable(v.number()),
  blocker: v.nullable(blockerColumn),
});

/** Our own sessions that do the work, by their name, until the outcome is recorded. */
export async function seeWorker(session: Session, work: Build): Promise<SeenBuilder> {
  const nobody = { alive: false, pid: undefined, progress: undefined, blocker: undefined };
  if (work.attemptOutcome !== undefined) return nobody;
  const [supervisor, worker] = builderNames(work);
  const rows = await asLoginRole(
    session,
    `select a.pid, coalesce(vacuum.phase, cluster.phase, analyzing.phase) as phase,
            coalesce(vacuum.heap_blks_total, cluster.heap_blks_total, analyzing.sample_blks_total) as blocks_total,
            coalesce(vacuum.heap_blks_scanned, cluster.heap_blks_scanned, analyzing.sample_blks_scanned) as blocks_done,
            blocked.blocker
       from pg_catalog.pg_stat_activity a
       left join pg_catalog.pg_stat_progress_vacuum vacuum on vacuum.pid = a.pid
       left join pg_catalog.pg_stat_progress_cluster cluster on cluster.pid = a.pid
       left join pg_catalog.pg_stat_progress_analyze analyzing on analyzing.pid = a.pid
       left join lateral (
         select ${sessionAsBlocker('b', `'its transaction'`, `${quoteLiteral(work.table)}::pg_catalog.text`)} as blocker
           from pg_catalog.pg_stat_activity b
          where b.pid = any (pg_catalog.pg_blocking_pids(a.pid)) and b.pid <> a.pid
          order by b.xact_start
          limit 1) as blocked on true
      where a.application_name in (${quoteLiteral(supervisor)}, ${quoteLiteral(worker)})
        and a.state is distinct from 'idle' and a.datname = pg_catalog.current_database()
        and ${hasLedger('a', work.ledger)}
        and a.pid <> pg_catalog.pg_backend_pid()
      order by a.application_name <> ${quoteLiteral(worker)}`,
  );
  const [first] = rows.map((row) => v.parse(workerRow, row));
  if (first === undefined) return nobody;
  const { pid, phase, blocker } = first;
  const none = { tuplesTotal: 0, tuplesDone: 0, lockersTotal: 0, lockersDone: 0 };
  return {
    alive: true,
    pid,
    blocker: (blocker satisfies Blocker | null) ?? undefined,
    progress: {
      phase: phase ?? `${work.operation.replaceAll('-', ' ')}${await sizeOf(session, work)} is under way`,
      blocksTotal: first.blocks_total ?? 0,
      blocksDone: first.blocks_done ?? 0,
      ...none,
    },
  };
}

/**
 * ` of 12 GB`: how much it reads, as of the hand-off. Asked as our own role, since the login role may have no right on
 * the ledger.
 */
async function sizeOf(session: Session, { ledger, id }: Build): Promise<string> {
  const [row] = await session.query(
    `select table_bytes::float8 as bytes from ${quoteIdentifier(ledger)}.work where id = $1`,
    [id],
  );
  return typeof row?.bytes === 'number' && row.bytes > 0 ? ` of ${byteSize(row.bytes)}` : '';
}
