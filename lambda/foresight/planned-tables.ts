import {
  type Blocked,
  blockedBy,
  type LockMode,
  type LockWork,
  longerWork,
  strongerMode,
} from '../migration/lock-modes.ts';
import { partsOf, type Step } from '../migration/migration.ts';
import { workSeconds } from '../migration/work-seconds.ts';
import { locksOf } from './planned-locks.ts';
import type { TableKnowledge } from './table-knowledge.ts';

/** What a step does to one table. */
export interface TablePlan {
  readonly table: string;
  /** It does not exist yet. */
  readonly isNew: boolean;
  /** Exact up to the threshold of a small table; absent where the table is new, or was not counted. */
  readonly rows: number | undefined;
  readonly moreRows: boolean;
  /** Why its rows could not be counted: it then counts as large. */
  readonly uncounted: string | undefined;
  readonly bytes: number | undefined;
  /** Strongest lock that the step takes on it; absent for statements that can't be analysed. */
  readonly lock: LockMode | undefined;
  /** Whom that lock keeps waiting. */
  readonly blocks: Blocked | undefined;
  /** What the step does while it holds the lock. */
  readonly work: LockWork | undefined;
  /** How long the lock is held, by the table's size; absent if for a moment, or unknown. */
  readonly seconds: number | undefined;
}

export interface TableContext {
  readonly knowledge: TableKnowledge;
  readonly smallTableRows: number;
  /** Bytes of table per second, from this database's own builds. */
  readonly rate: number | undefined;
}

/** The tables of a step, each once, in the order in which it locks them. `inline`: it runs in its plain form. */
export function tablePlans(step: Step, inline: boolean, context: TableContext): TablePlan[] {
  const { knowledge, smallTableRows } = context;
  const tables = new Map<string, TablePlan>();
  const locks = partsOf(step).flatMap((part) =>
    locksOf(part, inline, (statement) => knowledge.workOf(statement)).map((lock) => ({
      ...lock,
      facts: knowledge.of(lock.relation, part.settings),
    })),
  );
  for (const { relation, mode, work, facts } of locks) {
    const present = facts?.kind === 'present' ? facts : undefined;
    const table =
      present === undefined
        ? [relation.schema, relation.name].filter((part) => part !== undefined).join('.')
        : `${present.schema}.${present.table}`;
    // An index stands for its table.
    const before = tables.get(table);
    const lock = before?.lock === undefined || mode === undefined ? mode : strongerMode(before.lock, mode);
    const longest = before?.work === undefined || work === undefined ? work : longerWork(before.work, work);
    tables.set(table, {
      table,
      isNew: facts?.kind === 'absent',
      rows: present === undefined ? undefined : Math.min(present.rows, smallTableRows),
      uncounted: present?.uncounted,
      moreRows: present !== undefined && present.rows > smallTableRows,
      bytes: present?.bytes,
      lock,
      blocks: lock === undefined ? undefined : blockedBy(lock),
      work: longest,
      seconds: secondsOf(longest, present?.bytes, context.rate),
    });
  }
  return [...tables.values()];
}

function secondsOf(
  work: LockWork | undefined,
  bytes: number | undefined,
  rate: number | undefined,
): number | undefined {
  if (work === undefined || work === 'moment' || bytes === undefined || bytes === 0) return undefined;
  return work === 'build' && rate !== undefined ? bytes / rate : workSeconds(work, bytes);
}
