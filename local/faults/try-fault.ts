import { setTimeout as sleep } from 'node:timers/promises';
import { tablesWithBuilds } from '../../lambda/postgres/ledger/build-queue.ts';
import { withSession } from '../../lambda/postgres/session/connect.ts';
import { resume } from '../../lambda/run/resume.ts';
import { runMigrations } from '../../lambda/run/run-migrations.ts';
import { settle } from '../../lambda/work/turn/settle.ts';
import { takeTurn } from '../../lambda/work/turn/turn.ts';
import { startTcpProxy, type TcpProxy } from '../wire/tcp-proxy.ts';
import { keepInPhase } from './build-phase.ts';
import { deployAndLoop, type FaultDeploy, requestOf } from './deploy-and-loop.ts';
import { type FaultServer, queryOnce } from './fault-server.ts';
import { startHandler } from './handler-process.ts';
import { type FaultCase, nameOf, type Phase, type Strike } from './matrix.ts';

/** `not-met`: the deploy ended before the fault's moment came; it counts as not tried. */
export type Outcome =
  | { readonly kind: 'survived' }
  | { readonly kind: 'not-met' }
  | { readonly kind: 'broken'; readonly because: string };

const DELAY_MILLISECONDS = 150;
const HANG_MILLISECONDS = 120_000;
/** Seconds that the disturbed deploy waits for a server that is gone. */
const PATIENCE_SECONDS = 10;

/** Injects one fault into a copy of the server, deploys again to the end, and compares. */
export async function tryFault(server: FaultServer, fault: FaultCase, handlerFile: string): Promise<Outcome> {
  const slow = fault.kind === 'phase' || fault.kind === 'restart';
  const migrations = slow ? server.releases.slow : server.releases.second;
  try {
    return await server.withDatabase(fault.session, async ({ url, adminUrl }) => {
      const disturb = disturbance(server, fault, { url, adminUrl, migrations, handlerFile });
      const met = await beforeHanging(nameOf(fault), disturb);
      await beforeHanging('the deploy after it', server.expectHealed({ url, migrations }));
      return { kind: met ? 'survived' : 'not-met' } as const;
    });
  } catch (error) {
    return { kind: 'broken', because: error instanceof Error ? error.message : String(error) };
  }
}

interface Place extends FaultDeploy {
  readonly adminUrl: string;
  readonly handlerFile: string;
}

/** Resolves when the disturbed deploy has ended, in success or not, with whether the fault was met. */
async function disturbance(server: FaultServer, fault: FaultCase, place: Place): Promise<boolean> {
  const { url, migrations, adminUrl, handlerFile } = place;
  switch (fault.kind) {
    case 'message':
      return throughProxy(url, async (proxy) => {
        const { direction, message } = fault;
        const action = fault.action === 'delay' ? { delayMilliseconds: DELAY_MILLISECONDS } : fault.action;
        void proxy.inject({ direction, message, action });
        await ending(deployAndLoop({ url: proxy.url, migrations, patienceSeconds: PATIENCE_SECONDS }));
        return proxy.firedFaults.length > 0;
      });
    case 'kill-handler':
      return throughProxy(url, async (proxy) => {
        const { direction, message } = fault;
        const met = proxy.inject({ direction, message, action: 'stall' });
        const handler = await startHandler(handlerFile, { url: proxy.url, migrations });
        const killed = met.then(async () => {
          await handler.kill();
          await proxy.cutAll();
        });
        await Promise.race([
          killed,
          handler.ended.then(() => (proxy.firedFaults.length > 0 ? killed : undefined)),
        ]);
        return proxy.firedFaults.length > 0;
      });
    case 'phase':
      return inPhase(place, fault.phase, (handler) => strikeAt(adminUrl, fault.strike, handler));
    case 'restart':
      return inPhase(place, fault.phase, () => server.server.restart('immediate'));
    case 'tasks-twice':
      await ending(deployTwice({ url, migrations }, fault.afterMilliseconds));
      return true;
    case 'two-loops':
      await Promise.all([
        ending(deployAndLoop({ url, migrations })),
        sleep(fault.afterMilliseconds).then(() => ending(deployAndLoop({ url, migrations }))),
      ]);
      return true;
    default:
      return fault satisfies never;
  }
}

async function throughProxy(url: string, work: (proxy: TcpProxy) => Promise<boolean>): Promise<boolean> {
  const proxy = await startTcpProxy({ target: url });
  try {
    return await work(proxy);
  } finally {
    await proxy.stop();
  }
}

async function inPhase(
  { url, adminUrl, migrations, handlerFile }: Place,
  phase: Phase,
  strike: (killHandler: () => Promise<void>) => Promise<void>,
): Promise<boolean> {
  const keeper = await keepInPhase(adminUrl, phase);
  const handler = await startHandler(handlerFile, { url, migrations });
  try {
    await keeper.reached();
    await strike(() => handler.kill());
  } catch (error) {
    await handler.kill();
    throw error;
  } finally {
    await keeper.release();
  }
  await handler.ended;
  return true;
}

const NAMES = {
  builder: 'migrations build %',
  supervisor: 'migrations supervisor %',
  turn: 'cdk-postgres-%',
};

async function strikeAt(adminUrl: string, strike: Strike, killHandler: () => Promise<void>): Promise<void> {
  const end = async (how: 'cancel' | 'terminate', whom: readonly (keyof typeof NAMES)[]) => {
    const names = whom.map((name) => `'${NAMES[name]}'`).join(', ');
    const { rowCount } = await queryOnce(
      adminUrl,
      `select pg_${how}_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name like any (array[${names}])`,
    );
    if (rowCount === 0) throw new Error(`nobody was there to ${how}`);
  };
  switch (strike) {
    case 'cancel builder':
      return end('cancel', ['builder']);
    case 'terminate builder':
      return end('terminate', ['builder']);
    case 'cancel supervisor':
      return end('cancel', ['supervisor']);
    case 'terminate supervisor':
      return end('terminate', ['supervisor']);
    case 'terminate turn':
      return end('terminate', ['turn']);
    case 'terminate all':
      return end('terminate', ['builder', 'supervisor', 'turn']);
    case 'kill handler':
      return killHandler();
    default:
      return strike satisfies never;
  }
}

/** Delivers the deploy and every task of the loop a second time while the first delivery is under way. */
async function deployTwice(given: FaultDeploy, afterMilliseconds: number): Promise<void> {
  const request = requestOf(given);
  const { target, options } = request;
  const startedAt = new Date();
  const twice = async <T>(task: () => Promise<T>): Promise<T> => {
    const [first, second] = await Promise.allSettled([task(), sleep(afterMilliseconds).then(task)]);
    if (second.status === 'fulfilled') return second.value;
    if (first.status === 'fulfilled') return first.value;
    throw second.reason;
  };
  await twice(() => runMigrations(request));
  for (;;) {
    const tables = await twice(() =>
      withSession(target, (session) => tablesWithBuilds(session, options.ledgerSchema)),
    );
    const branch = async (table: (typeof tables)[number]) => {
      for (let turn = 1; ; turn += 1) {
        const { outcome, waitSeconds } = await twice(() =>
          takeTurn({
            table,
            turn,
            migrations: request.migrations,
            target,
            options,
            deadline: undefined,
            report: () => {},
            pauseSeconds: () => 0,
          }),
        );
        if (outcome === 'done') return;
        await sleep(waitSeconds * 1000);
      }
    };
    await Promise.all(tables.map(branch));
    const { outcome } = await twice(() => resume({ ...request, cause: { kind: 'loop', actor: 'twice' } }));
    if (outcome === 'settled') break;
  }
  await twice(() =>
    withSession(target, (session) => settle(session, options.ledgerSchema, { startedAt, rows: 'shown' })),
  );
}

/** A disturbed deploy may fail: what counts is what the next one makes of it. */
async function ending(work: Promise<unknown>): Promise<void> {
  await work.catch(() => undefined);
}

async function beforeHanging<T>(what: string, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const hang = sleep(HANG_MILLISECONDS, undefined, { signal: over.signal }).then(() => {
    throw new Error(`${what} hangs`);
  });
  hang.catch(() => undefined);
  try {
    return await Promise.race([work, hang]);
  } finally {
    over.abort();
  }
}
