import type { IndexBuild } from '../../work/index-build.ts';
import type { BuildProgress } from '../../work/progress.ts';
import type { Blocker } from './blockers.ts';

/** What is seen of whoever may be building on the table. */
export interface SeenBuilder {
  readonly alive: boolean;
  readonly pid: number | undefined;
  readonly progress: BuildProgress | undefined;
  /** Whom the build waits for, where it waits for somebody; or who has the table before any build of ours begins. */
  readonly blocker: Blocker | undefined;
}

/**
 * Application names of the sessions that carry one build, so that each can be found whoever looks: with the default
 * ledger `migrations supervisor 7` and `migrations build 7`. Several ledgers may share a database, and one server
 * several databases: look for them in the current database only.
 */
export function builderNames({
  ledger,
  id,
}: Pick<IndexBuild, 'ledger' | 'id'>): [supervisor: string, builder: string] {
  return [`${cut(ledger)} supervisor ${id}`, `${cut(ledger)} build ${id}`];
}

/** Postgres cuts an application name to 63 bytes, and replaces what is not ASCII. */
function cut(ledger: string): string {
  return ledger.replace(/[^\x20-\x7e]/g, '?').slice(0, 30);
}
