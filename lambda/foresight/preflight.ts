import { setTimeout as sleep } from 'node:timers/promises';
import { adopt, doubtful, withAdopted } from '../history/adopt.ts';
import { readLedgerAndHistory } from '../history/read-history.ts';
import { folderFaults } from '../migration/folder-policy.ts';
import type { Ledger } from '../migration/ledger.ts';
import { type LockMode, modeOfLock, modesConflict } from '../migration/lock-modes.ts';
import type { CompiledMigrations, Migration } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { MigrationOptions } from '../migration/options.ts';
import { DriftError, type PendingStep, type Plan, plan } from '../migration/plan.ts';
import type { RelationName } from '../migration/relation-name.ts';
import { waitOf } from '../migration/waiting.ts';
import { type Blocker, describeBlocker, type LockHolder, lockHolders } from '../postgres/catalog/blockers.ts';
import { exposureOf, unwritableError } from '../postgres/ledger/ledger.ts';
import { APPLICATION_NAME, withSession } from '../postgres/session/connect.ts';
import type { ConnectionTarget } from '../postgres/session/connection-target.ts';
import { textOfError } from '../postgres/session/fault.ts';
import type { Session } from '../postgres/session/session.ts';
import { describeFinding } from './deploy-finding.ts';
import { lintAtDeploy } from './deploy-lint.ts';
import { locksOf } from './planned-locks.ts';
import { TableKnowledge } from './table-knowledge.ts';

export interface PreflightRequest {
  readonly target: ConnectionTarget;
  readonly options: MigrationOptions;
  /** The migrations that the deploy brings. */
  readonly migrations: CompiledMigrations;
  /** Seconds after which connecting is given up. @default 10: a database that sleeps is awake by then */
  readonly patienceSeconds?: number;
}

/** A hook has 30 seconds in all. */
const PATIENCE_SECONDS = 10;
/** A Neon compute that takes longer to wake counts as unreachable here; the deploy itself waits for it. */
const ANSWER_SECONDS = 12;
const STATEMENT_SECONDS = 8;
const DATA_CHECK_SECONDS = 1;

/** A session that has held a lock for this long will probably hold it for longer than a step waits. */
const OLD_SECONDS = 60;
/** The same where Postgres hides the transaction's age: as long as a hook may wait. */
const HIDDEN_SECONDS = 5;

/** What a look at the database before a deploy finds, as texts for a person. */
export interface PreflightResult {
  /** What would make the deploy fail. */
  readonly findings: readonly string[];
  /** What does not refuse the deploy, but should be fixed. */
  readonly warnings: readonly string[];
  /** What could not be checked. It refuses nothing: this very deploy may restore access. */
  readonly unseen: readonly string[];
}

/** Everything that would make a deploy fail, found without touching anything. */
export async function preflight({
  target,
  options,
  migrations,
  patienceSeconds = PATIENCE_SECONDS,
}: PreflightRequest): Promise<PreflightResult> {
  try {
    return await withSession(target, (session) => look(session, { target, options, migrations }), {
      patienceSeconds,
      answerSeconds: ANSWER_SECONDS,
    });
  } catch (error) {
    return { findings: [], warnings: [], unseen: [textOf(error, options)] };
  }
}

async function look(
  session: Session,
  { target, options, migrations: compiled }: PreflightRequest,
): Promise<PreflightResult> {
  await session.script(
    `set default_transaction_read_only = on; set statement_timeout = '${STATEMENT_SECONDS}s'; set lock_timeout = '2s'`,
  );
  const { migrations, order } = compiled;
  const { history, ...read } = await readLedgerAndHistory(session, { migrations: compiled, options });
  const adoption = adopt(history, compiled, read);
  const ledger = withAdopted(read.ledger, adoption);
  const doubt = doubtful(history, adoption);
  const changed = migrations.flatMap((migration) => driftOf(migration, ledger));
  const planned = plan(
    migrations.filter(({ version }) => !changed.some((each) => each.version === version)),
    ledger,
    order,
  );
  const unseen: string[] = [];
  const seen = async (asking: Promise<string[]>): Promise<string[]> => {
    try {
      return await asking;
    } catch (error) {
      unseen.push(textOf(error, options));
      return [];
    }
  };
  const findings = [
    ...(read.unwritable === undefined
      ? []
      : [textOf(unwritableError(read.unwritable, options.ledgerSchema, target.user), options)]),
    ...(doubt === undefined ? [] : [textOf(doubt, options)]),
    ...changed.map(({ drift }) => textOf(drift, options)),
    ...folderFaults(planned, options).map((fault) => textOf(fault, options)),
    ...(await seen(lint(session, planned, options))),
    ...waitsFor(planned, options),
    ...(await seen(blockers(session, planned.pending))),
  ];
  const exposure = exposureOf(read, options.ledgerSchema);
  return { findings, warnings: exposure === undefined ? [] : [exposure], unseen };
}

/** An error in the words of one who has written nothing, so that the ledger has none of it. */
function textOf(error: unknown, { rowValuesInLogs }: MigrationOptions): string {
  if (error instanceof MigrationError) error.recorded = false;
  return textOfError(error, rowValuesInLogs);
}

function driftOf(migration: Migration, ledger: Ledger): { version: string; drift: DriftError }[] {
  try {
    plan([migration], ledger);
    return [];
  } catch (error) {
    if (error instanceof DriftError) return [{ version: migration.version, drift: error }];
    throw error;
  }
}

/** What the linter would refuse in the real database, including duplicates under an index that is to be built. */
async function lint(
  session: Session,
  { pending, builds }: Plan,
  options: MigrationOptions,
): Promise<string[]> {
  const knowledge = new TableKnowledge(session, options.smallTableRows);
  await knowledge.measureFirst(pending.map(({ step }) => step));
  const dataCheckSeconds = Math.min(options.dataCheckSeconds, DATA_CHECK_SECONDS);
  const findings = await lintAtDeploy(session, pending, {
    knowledge,
    options: { ...options, dataCheckSeconds },
    builds,
    largeIndexes: 'included',
  });
  return findings
    .filter(({ verdict }) => verdict !== 'show')
    .map((finding) => describeFinding(finding, options.rowValuesInLogs));
}

/** What the deploy would wait for; nothing where it does not wait. */
function waitsFor({ pending, builds }: Plan, { waitFor }: MigrationOptions): string[] {
  if (waitFor === 'nothing') return [];
  for (const next of pending) {
    const wait = waitOf(next, builds);
    if (wait === undefined) continue;
    const { index, table, state } = wait.build;
    const name = index || table;
    const next_ =
      state === 'cancelled'
        ? `build it: {"action": "retry", "index": "${name}"}`
        : 'follow it with the action status, and deploy when it is valid; or choose waitFor: "nothing"';
    return [
      `${next.migration.file} would wait for the build of ${name} on ${table}, which is ${state}: ${wait.because}.\nNext: ${next_}.`,
    ];
  }
  return [];
}

async function blockers(session: Session, pending: readonly PendingStep[]): Promise<string[]> {
  const needed = new Map<string, { relation: RelationName; mode: LockMode; file: string }>();
  for (const { migration, step } of pending) {
    // An index operation waits for its lock in the loop, for as long as it takes.
    if (step.kind === 'index-operation') continue;
    for (const { relation, mode = 'access exclusive' } of locksOf(step, false)) {
      const key = `${relation.schema ?? ''}.${relation.name}.${mode}`;
      if (!needed.has(key)) needed.set(key, { relation, mode, file: migration.file });
    }
  }
  const first = await holdersOf(session, needed.values());
  const old = first.filter(({ holder, mode }) => isInTheWay(holder, mode));
  // Where Postgres hides ages, only a second look tells a long transaction from a short one.
  const hidden = first.filter(
    ({ holder, mode }) => holder.hidden && isInTheWay({ ...holder, seconds: Infinity }, mode),
  );
  const stayed = hidden.length === 0 ? [] : await stillThere(session, hidden);
  const findings = new Map<string, string>();
  for (const { relation, mode, file, holder } of [...old, ...stayed]) {
    const key = `${holder.pid} ${holder.application}`;
    if (findings.has(key)) continue;
    const ends = holder.state === 'prepared' ? '' : `, or end it: select pg_terminate_backend(${holder.pid})`;
    const age = holder.hidden ? `${AGE_HIDDEN}${ends}` : ends;
    findings.set(
      key,
      `${file} needs the ${mode} lock on ${relation.name}, which ${describeBlocker(holder)} blocks.\nNext: let that transaction end${age}.`,
    );
  }
  return [...findings.values()];
}

const AGE_HIDDEN =
  ' (how old it is, Postgres tells roles with pg_read_all_stats only: it was there for as long as this looked)';

interface Needed {
  readonly relation: RelationName;
  readonly mode: LockMode;
  readonly file: string;
}

interface Held extends Needed {
  readonly holder: LockHolder;
}

async function holdersOf(session: Session, needed: Iterable<Needed>): Promise<Held[]> {
  const held: Held[] = [];
  for (const need of needed) {
    for (const holder of await lockHolders(session, [need.relation])) {
      // Autovacuum gives way by itself.
      if (!holder.background) held.push({ ...need, holder });
    }
  }
  return held;
}

/** Those that hold their locks in the same transaction as before, after HIDDEN_SECONDS. */
async function stillThere(session: Session, before: readonly Held[]): Promise<Held[]> {
  const begun = Date.now();
  await sleep(HIDDEN_SECONDS * 1000);
  const now = await holdersOf(session, before);
  return before.flatMap((one) =>
    now.some(({ holder }) => holder.pid === one.holder.pid && holder.transaction === one.holder.transaction)
      ? [{ ...one, holder: { ...one.holder, seconds: (Date.now() - begun) / 1000 } }]
      : [],
  );
}

/** Our own builds do not count: the run waits for them. */
export function isInTheWay({ seconds, lock, application }: Blocker, mode: LockMode): boolean {
  if (
    seconds < OLD_SECONDS ||
    application === APPLICATION_NAME ||
    / (?:build|supervisor) \d+$/.test(application)
  )
    return false;
  return lock.split(', ').some((held) => modesConflict(mode, modeOfLock(held)));
}
