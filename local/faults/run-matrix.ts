import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddedPostgres } from '../postgres/embedded-postgres.ts';
import { startTcpProxy } from '../wire/tcp-proxy.ts';
import { deployAndLoop } from './deploy-and-loop.ts';
import { FaultServer, type Profile, type TriedSession } from './fault-server.ts';
import { bundleHandler } from './handler-process.ts';
import { allFaults, type FaultCase, type MessageCounts, nameOf, sample } from './matrix.ts';
import { type Outcome, tryFault } from './try-fault.ts';

export interface MatrixOptions {
  /** How many faults, in turn from each kind. @default all that there are */
  readonly count?: number;
  /** The same seed gives the same faults. @default 1 */
  readonly seed?: number;
  /** Only faults whose name begins so. */
  readonly only?: string;
  /** Faults at the same time. @default 6 */
  readonly parallel?: number;
  /** What databases are like. @default 'open': their owner may do all in them */
  readonly profile?: Profile;
  readonly report?: (fault: string, outcome: Outcome, milliseconds: number) => void;
}

export interface MatrixResult {
  /** All faults that there are. */
  readonly all: number;
  readonly tried: number;
  readonly survived: number;
  /** Faults whose moment never came: the deploy ended before. */
  readonly notMet: number;
  readonly broken: readonly { readonly fault: string; readonly because: string }[];
}

/** This many restarts run last, on the same server: a server of their own would take longer to prepare. */
const FEW_RESTARTS = 2;

/** Tries faults side by side; those that restart the server have their own server, and run one after another. */
export async function runMatrix(options: MatrixOptions = {}): Promise<MatrixResult> {
  const handler = await bundleHandler();
  const server = await newServer(options.profile);
  try {
    const all = allFaults(await countMessages(server));
    const wanted = all.filter((fault) => nameOf(fault).startsWith(options.only ?? ''));
    const chosen = sample(wanted, options.count ?? wanted.length, options.seed ?? 1);
    const outcomes: { fault: string; outcome: Outcome }[] = [];
    const attempt = async (at: FaultServer, fault: FaultCase) => {
      const begun = Date.now();
      const outcome = await tryFault(at, fault, handler.file);
      outcomes.push({ fault: nameOf(fault), outcome });
      options.report?.(nameOf(fault), outcome, Date.now() - begun);
    };
    const queue = chosen.filter(({ kind }) => kind !== 'restart');
    const worker = async () => {
      for (let fault = queue.shift(); fault !== undefined; fault = queue.shift())
        await attempt(server, fault);
    };
    const restarts = chosen.filter(({ kind }) => kind === 'restart');
    const restarter = async () => {
      if (restarts.length <= FEW_RESTARTS) return;
      const own = await newServer(options.profile);
      try {
        for (const fault of restarts) await attempt(own, fault);
      } finally {
        await own.strike();
      }
    };
    await Promise.all([restarter(), ...Array.from({ length: options.parallel ?? 6 }, worker)]);
    if (restarts.length <= FEW_RESTARTS) for (const fault of restarts) await attempt(server, fault);
    return {
      all: all.length,
      tried: outcomes.filter(({ outcome }) => outcome.kind !== 'not-met').length,
      survived: outcomes.filter(({ outcome }) => outcome.kind === 'survived').length,
      notMet: outcomes.filter(({ outcome }) => outcome.kind === 'not-met').length,
      broken: outcomes.flatMap(({ fault, outcome }) =>
        outcome.kind === 'broken' ? [{ fault, because: outcome.because }] : [],
      ),
    };
  } finally {
    await server.strike();
    await handler.remove();
  }
}

async function newServer(profile: Profile = 'open'): Promise<FaultServer> {
  const server = await startEmbeddedPostgres({
    durability: 'none',
    settings: { max_connections: 300, deadlock_timeout: '200ms', autovacuum: false },
  });
  return FaultServer.prepare(server, profile).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
}

/** How many messages an undisturbed deploy sends and receives: as many moments to inject a fault. */
async function countMessages(server: FaultServer): Promise<MessageCounts> {
  const count = (kind: TriedSession) =>
    server.withDatabase(kind, async ({ url }) => {
      const proxy = await startTcpProxy({ target: url });
      try {
        await deployAndLoop({ url: proxy.url, migrations: server.releases.second });
        await sleep(0);
        return { ...proxy.traffic.messages };
      } finally {
        await proxy.stop();
      }
    });
  const [loopback, orphan] = await Promise.all([count('loopback'), count('orphan')]);
  return { loopback, orphan };
}
