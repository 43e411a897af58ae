import { createHash } from 'node:crypto';
import type { Build } from '../../work/build.ts';
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
}: Pick<Build, 'ledger' | 'id'>): [supervisor: string, builder: string] {
  return [`${short(ledger)} supervisor ${id}`, `${short(ledger)} build ${id}`];
}

/** Whether a session of this application name builds for the ledger. */
export function isBuilderOf(applicationName: string, ledger: string): boolean {
  const name = `${short(ledger)} build `;
  return applicationName.startsWith(name) && /^\d+$/.test(applicationName.slice(name.length));
}

const MOST_CHARACTERS = 30;
const HASH_CHARACTERS = 8;

/**
 * Postgres cuts an application name to 63 bytes, and replaces what is not ASCII. Two ledgers that would look alike then
 * are told apart by a hash: builds of both begin at number 1, and one must not be taken for the other's.
 */
function short(ledger: string): string {
  const plain = ledger.replace(/[^\x20-\x7e]/g, '?');
  if (plain === ledger && ledger.length <= MOST_CHARACTERS) return ledger;
  const hash = createHash('sha256').update(ledger).digest('hex').slice(0, HASH_CHARACTERS);
  return `${plain.slice(0, MOST_CHARACTERS - HASH_CHARACTERS - 1)}~${hash}`;
}
