import { adopt, withAdopted } from '../history/adopt.ts';
import { readLedgerAndHistory } from '../history/read-history.ts';
import { withToolNames } from '../migration/identity.ts';
import type { Ledger } from '../migration/ledger.ts';
import type { CompiledMigrations, Migration } from '../migration/migration.ts';
import type { MigrationOptions } from '../migration/options.ts';
import { abandonedBuilds, withoutCheckpoints } from '../migration/plan.ts';
import { type BuildRow, readAllBuilds } from '../postgres/ledger/build-rows.ts';
import { exposureOf } from '../postgres/ledger/ledger.ts';
import { withSession } from '../postgres/session/connect.ts';
import type { ConnectionTarget } from '../postgres/session/connection-target.ts';
import type { Session } from '../postgres/session/session.ts';
import { type ProgressSeen, seeProgress } from '../work/turn/build-progress.ts';
import { type RunStatus, recentRuns } from './recent-runs.ts';

/** The ledger and the builds, as they are now. */
export interface Status {
  readonly migrations: readonly MigrationStatus[];
  readonly builds: readonly BuildStatus[];
  /** The role from which Postgres hides the age of the transactions that builds wait for. */
  readonly blindRole?: string | undefined;
  /** Why other roles could change the ledger, and with it what is executed. */
  readonly exposure?: string | undefined;
  /** The latest runs and actions, the newest first. */
  readonly runs: readonly RunStatus[];
  /** The newest of them. */
  readonly lastRun: RunStatus | undefined;
}

export interface MigrationStatus {
  readonly version: string;
  readonly name: string;
  /** `partial`: some of its steps are applied. `unknown`: applied, but not in this folder. */
  readonly state:
    | 'applied'
    | 'baselined'
    | 'building'
    | 'failed'
    | 'partial'
    | 'changed'
    | 'pending'
    | 'unknown';
}

export interface BuildStatus extends BuildRow {
  readonly progress: ProgressSeen | undefined;
  /** Over without success, and its statement is no longer in this folder: it blocks nothing, and is not retried. */
  readonly abandoned: boolean;
}

interface StatusRequest {
  readonly options: MigrationOptions;
  readonly migrations: CompiledMigrations;
  /** Seconds after which connecting is given up. @default 30 */
  readonly patienceSeconds?: number;
}

/** Reads what an operator needs to know. Writes nothing, takes no lock, needs no ledger to exist. */
export async function readStatus(
  target: ConnectionTarget,
  { options, migrations, patienceSeconds }: StatusRequest,
): Promise<Status> {
  const read = async (session: Session): Promise<Status> => {
    const { history, exists, ...found } = await readLedgerAndHistory(session, { migrations, options });
    const ledger = withAdopted(found.ledger, adopt(history, migrations, found));
    if (!exists)
      return {
        migrations: migrationStates(migrations.migrations, ledger),
        builds: [],
        runs: [],
        lastRun: undefined,
      };
    const abandoned = new Set(abandonedBuilds(migrations.migrations, ledger).map(({ id }) => id));
    const builds: BuildStatus[] = [];
    for (const build of await readAllBuilds(session, options.ledgerSchema, found.format)) {
      const progress = await seeProgress(session, options.ledgerSchema, build);
      builds.push({ ...build, progress, abandoned: abandoned.has(build.id) });
    }
    const runs = await recentRuns(session, options.ledgerSchema);
    const blind = builds.some(({ progress }) => progress?.blocker?.state === 'unknown');
    return {
      migrations: migrationStates(migrations.migrations, ledger),
      builds,
      blindRole: blind ? await loginRole(session) : undefined,
      exposure: exposureOf({ exists, ...found }, options.ledgerSchema),
      runs,
      lastRun: runs[0],
    };
  };
  return withSession(target, read, { patienceSeconds });
}

async function loginRole(session: Session): Promise<string> {
  const [row] = await session.query('select session_user::text as role');
  return String(row?.role);
}

/** The state of each file: the folder's in order, then those that only the ledger has. */
export function migrationStates(migrations: readonly Migration[], recorded: Ledger): MigrationStatus[] {
  const ledger = withToolNames(migrations, recorded);
  const counted = new Set(withoutCheckpoints(migrations, ledger));
  const known = new Set(migrations.map(({ version }) => version));
  const unknown = new Map<string, string>();
  for (const { version, name } of ledger.steps) if (!known.has(version)) unknown.set(version, name);
  return [
    ...migrations.map((migration) => ({
      version: migration.version,
      name: migration.name,
      state: counted.has(migration) ? stateOf(migration, ledger) : ('baselined' as const),
    })),
    ...[...unknown].map(([version, name]) => ({ version, name, state: 'unknown' as const })),
  ];
}

function stateOf(migration: Migration, ledger: Ledger): MigrationStatus['state'] {
  const rows = ledger.steps.filter(({ version }) => version === migration.version);
  if (rows.length === 0) return 'pending';
  const changed = rows.some(
    (row) =>
      row.state !== 'baselined' &&
      row.state !== 'failed' &&
      row.checksum !== migration.checksum &&
      row.fingerprint !== migration.steps[row.step]?.fingerprint,
  );
  if (changed) return 'changed';
  if (rows.some(({ state }) => state === 'failed')) return 'failed';
  if (rows.every(({ state }) => state === 'baselined')) return 'baselined';
  if (rows.length < (rows[0]?.steps ?? 0) || rows.some(({ state }) => state === 'started')) return 'partial';
  return rows.some(({ state }) => state === 'pending') ? 'building' : 'applied';
}
