import { createHash } from 'node:crypto';
import type { Build } from '../../work/build.ts';
import type { BuildProgress } from '../../work/progress.ts';
import { quoteLiteral } from '../session/quote.ts';
import type { Blocker } from './blockers.ts';

/** What is seen of a possible builder on the table. */
export interface SeenBuilder {
  readonly alive: boolean;
  readonly pid: number | undefined;
  readonly progress: BuildProgress | undefined;
  /** The session that the build waits for; or the one that has the table before our build starts. */
  readonly blocker: Blocker | undefined;
}

/**
 * Application names of the sessions of one build, so that everybody can find them: with the default ledger `migrations
 * supervisor 7` and `migrations build 7`. Several ledgers may share a database, and one server several databases: look
 * for them in the current database only.
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

/**
 * As SQL, whether a session of pg_stat_activity belongs to a role that may use the ledger, or any ledger: every role may
 * call its sessions by our names, and must not pass for a builder, or hide as a supervisor.
 */
export function hasLedger(session: string, ledger?: string): string {
  const schema = ledger === undefined ? '' : `and n.nspname = ${quoteLiteral(ledger)}`;
  return `exists (select from pg_catalog.pg_class l join pg_catalog.pg_namespace n on n.oid = l.relnamespace
                   where l.relname = 'ledger' ${schema} and pg_catalog.pg_has_role(${session}.usesysid, l.relowner, 'member'))`;
}

const MOST_CHARACTERS = 30;
const HASH_CHARACTERS = 8;

/**
 * Postgres cuts an application name to 63 bytes, and replaces what is not ASCII. A hash distinguishes ledgers whose
 * names would become equal, since builds of both are numbered from 1.
 */
function short(ledger: string): string {
  const plain = ledger.replace(/[^\x20-\x7e]/g, '?');
  if (plain === ledger && ledger.length <= MOST_CHARACTERS) return ledger;
  const hash = createHash('sha256').update(ledger).digest('hex').slice(0, HASH_CHARACTERS);
  return `${plain.slice(0, MOST_CHARACTERS - HASH_CHARACTERS - 1)}~${hash}`;
}
