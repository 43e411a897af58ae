import type { IndexBuild } from '../../index-build/index-build.ts';
import type { PostgresFault } from '../../migration/migration-error.ts';
import { builderNames } from '../builder-names.ts';
import { connect } from '../connect.ts';
import type { ConnectionTarget } from '../connection-target.ts';
import { SessionLost, StatementFault } from '../fault.ts';
import { LIFT_LIMITS } from './build-settings.ts';

/** A build whose statement runs in a session of this process: it ends when the session does. */
export interface AttachedBuild {
  /** Resolves when the statement is over; a fault where Postgres refused it or the session was lost. Never rejects. */
  readonly ended: Promise<PostgresFault | undefined>;
  /** Drops the connection; whether the statement goes on is the server's and its proxy's affair. */
  letGo(): void;
}

export async function startAttached(
  target: ConnectionTarget,
  build: IndexBuild,
  settings: readonly string[],
): Promise<AttachedBuild> {
  const session = await connect(target, { applicationName: builderNames(build)[1] });
  const run = async (): Promise<PostgresFault | undefined> => {
    try {
      const prepared = await session.script([...build.settings, LIFT_LIMITS, ...settings].join(';\n'));
      if (prepared.fault !== undefined) return prepared.fault.fault;
      return (await session.script(build.statement)).fault?.fault;
    } catch (error) {
      if (error instanceof StatementFault) return error.fault;
      const message = error instanceof SessionLost ? error.message : String(error);
      return { sqlstate: '08006', message };
    } finally {
      await session.close();
    }
  };
  return { ended: run(), letGo: () => session.abandon() };
}
