import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import type { Build } from '../../work/build.ts';
import { builderNames } from '../catalog/builder-names.ts';
import { connect } from '../session/connect.ts';
import type { ConnectionTarget } from '../session/connection-target.ts';
import { SessionLost, StatementFault } from '../session/fault.ts';
import { type NoticeEvent, Notices } from '../session/notices.ts';
import { quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { watched } from '../session/watchdog.ts';
import { LIFT_LIMITS, settingOfFile } from './build-settings.ts';
import { lockLimit, textOf } from './work-statement.ts';

/** A build whose statement runs in a session of this process: it ends when the session does. */
export interface AttachedBuild {
  /** Pid of its server process. */
  readonly pid: number;
  /**
   * Resolves when the statement has ended, with a fault if Postgres refused it or the session was lost. Never rejects.
   */
  readonly ended: Promise<PostgresFault | undefined>;
  /** Drops the connection; whether the statement continues is up to the server and its proxy. */
  letGo(): void;
}

export interface AttachedStart {
  readonly target: ConnectionTarget;
  readonly build: Build;
  /** The attempt that was just recorded, from 1. */
  readonly attempt: number;
  readonly lockTimeoutSeconds: number;
  /** Our settings for memory and workers; those of the file follow them. */
  readonly settings: Readonly<Record<string, string>>;
  readonly report: (event: NoticeEvent) => void;
  /** Called before the statement is sent; if it throws, nothing is sent. */
  readonly connected: (pid: number) => Promise<void>;
}

/** `connected` must prove that we still hold the table lock, or another turn's builder may be at work. */
export async function startAttached(start: AttachedStart): Promise<AttachedBuild> {
  const { target, build, connected } = start;
  const session = await connect(target, { applicationName: builderNames(build)[1] });
  try {
    const [row] = await session.query('select pg_catalog.pg_backend_pid() as pid');
    const pid = Number(row?.pid);
    await connected(pid);
    return {
      pid,
      ended: watched(session, { target, backend: pid }, () => run(session, start)),
      letGo: () => session.abandon(),
    };
  } catch (error) {
    session.abandon();
    throw error;
  }
}

/**
 * A session that we leave ends at the first message that it can't send. What is said is heard in the first attempt; one
 * that was lost with its session is not to be lost again.
 */
const SILENT = 'set client_min_messages = error';

async function run(
  session: Session,
  { build, attempt, settings, lockTimeoutSeconds, report }: AttachedStart,
): Promise<PostgresFault | undefined> {
  try {
    const ours = Object.entries(settings).map(([name, value]) => `set ${name} = ${quoteLiteral(value)}`);
    const before = [...ours, ...build.settings];
    const prepared = await session.execute(
      [
        ...before,
        ...LIFT_LIMITS,
        ...lockLimit(build, lockTimeoutSeconds),
        "set client_encoding = 'UTF8'",
        ...(attempt > 1 ? [SILENT] : []),
      ].join('\n;\n'),
    );
    if (prepared.fault !== undefined) {
      const { fault } = prepared.fault;
      const setting = before[prepared.completed];
      return setting === undefined ? fault : { ...fault, detail: fault.detail ?? settingOfFile(setting) };
    }
    const heard = new Notices(report).heard(() => build);
    return (await session.execute(textOf(build, attempt), heard)).fault?.fault;
  } catch (error) {
    if (error instanceof StatementFault) return error.fault;
    const message = error instanceof SessionLost ? error.message : String(error);
    return { sqlstate: sqlstate.connectionFailure, message };
  } finally {
    await session.close();
  }
}
