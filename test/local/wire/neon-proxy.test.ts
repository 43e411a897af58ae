import { Client as NeonClient, neonConfig } from '@neondatabase/serverless';
import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { type NeonProxy, type NeonProxyOptions, startNeonProxy } from '../../../local/wire/neon-proxy.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';

neonConfig.webSocketConstructor = WebSocket;
neonConfig.useSecureWebSocket = false;

let database: FreshDatabase;
beforeEach(async () => {
  database = await freshDatabase();
});

async function proxyTo(options: Partial<NeonProxyOptions> = {}): Promise<NeonProxy> {
  const proxy = await startNeonProxy({ target: database.url, ...options });
  onTestFinished(() => proxy.stop());
  return proxy;
}

/** The same client over either way; what it loses at its end is no error of the test. */
function clientOf(proxy: NeonProxy, way: 'WebSocket' | 'TCP'): pg.Client {
  const client = way === 'TCP' ? new pg.Client({ connectionString: proxy.tcpUrl }) : neonClient(proxy);
  client.on('error', () => {});
  onTestFinished(() => breakOff(client));
  return client;
}

function neonClient(proxy: NeonProxy): pg.Client {
  const client = new NeonClient(database.url);
  client.neonConfig.wsProxy = () => proxy.wsProxy;
  return client as unknown as pg.Client;
}

/** Neon's driver, as it comes, counts a connection as made before the server has answered: so the first question tells. */
async function asked(client: pg.Client): Promise<void> {
  await client.connect();
  await client.query('select 1');
}

/** Drops the connection without a word, as a Lambda that is frozen and thrown away. */
function breakOff(client: pg.Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}

describe.each(['WebSocket', 'TCP'] as const)('Neon’s proxy over %s', (way) => {
  it('forwards questions and answers of any size', async () => {
    const proxy = await proxyTo();
    const client = clientOf(proxy, way);
    await client.connect();
    const { rows } = await client.query('select repeat($1, 3000000) as long, $2::int + 1 as sum', ['ab', 41]);
    expect(rows[0]?.long).toHaveLength(6_000_000);
    expect(rows[0]?.sum).toBe(42);
    const sent = await client.query('select length($1) as length', ['x'.repeat(5_000_000)]);
    expect(sent.rows).toEqual([{ length: 5_000_000 }]);
    await client.end();
    await expectEventually(() => proxy.openConnections() === 0);
  });

  it('cancels a build whose client goes away, and an INVALID index is left', async () => {
    await database.query('create table big as select g as x from generate_series(1, 200000) g');
    // The build waits for this transaction, which began before it: so it lasts as long as the test wants.
    const idle = new pg.Client({ connectionString: database.url });
    onTestFinished(() => idle.end());
    await idle.connect();
    await idle.query('begin isolation level repeatable read');
    await idle.query('select count(*) from big');

    const proxy = await proxyTo();
    const client = clientOf(proxy, way);
    await client.connect();
    client.query('create index concurrently big_x on big (x)').catch(() => {});
    const building = `select 1 from pg_stat_activity where query like 'create index%' and datname = '${database.name}' and state = 'active'`;
    await expectEventually(
      async () => (await database.query(`select 1 from pg_index where not indisvalid`)).length > 0,
    );
    expect(await database.query(building)).toHaveLength(1);

    breakOff(client);
    await expectEventually(async () => (await database.query(building)).length === 0);
    expect(
      await database.query(`select indisvalid from pg_index where indexrelid = 'big_x'::regclass`),
    ).toEqual([{ indisvalid: false }]);
    expect(proxy.cancels()).toBe(1);
  });

  it('cancels nothing of a session that another client holds', async () => {
    const proxy = await proxyTo();
    const [staying, leaving] = [clientOf(proxy, way), clientOf(proxy, way)];
    await Promise.all([asked(staying), asked(leaving)]);
    const answer = staying.query(`select pg_sleep(0.3), 'stayed' as what`);
    breakOff(leaving);
    await expectEventually(() => proxy.cancels() === 1);
    expect((await answer).rows).toMatchObject([{ what: 'stayed' }]);
  });

  it('counts a round trip for each question that a client waits for', async () => {
    const proxy = await proxyTo();
    const client = clientOf(proxy, way);
    if (client instanceof NeonClient) client.neonConfig.pipelineConnect = false;
    await client.connect();
    // Startup and two messages of SCRAM, or the password.
    expect(proxy.traffic.roundTrips).toBe(way === 'TCP' ? 3 : 2);
    proxy.traffic.reset();
    await client.query('select 1');
    await client.query('select 1; select 2; select 3');
    await client.query('select $1::text, repeat($2, 1000000)', ['x'.repeat(1_000_000), 'ab']);
    await client.end();
    expect(proxy.traffic.roundTrips).toBe(3);
  });

  it('makes each round trip longer by the latency of both ways', async () => {
    const proxy = await proxyTo({ latencyMilliseconds: 25 });
    const client = clientOf(proxy, way);
    await client.connect();
    const begun = performance.now();
    for (let i = 0; i < 4; i++) await client.query('select 1');
    const took = performance.now() - begun;
    expect(took).toBeGreaterThanOrEqual(4 * 50 - 8);
    await client.end();
  });

  it('tells a refused client why, and lets the next one in', async () => {
    const proxy = await proxyTo({
      refuse: (connection) => (connection === 1 ? 'sorry, too many clients already' : undefined),
    });
    await expect(asked(clientOf(proxy, way))).rejects.toMatchObject({
      code: 'XX000',
      message: 'sorry, too many clients already',
    });
    await asked(clientOf(proxy, way));
  });

  it('lets the first connection wait until the compute is awake, and again after it was suspended', async () => {
    const proxy = await proxyTo({ wakeMilliseconds: 400 });
    const timed = async (): Promise<[pg.Client, number]> => {
      const client = clientOf(proxy, way);
      const begun = performance.now();
      await asked(client);
      return [client, performance.now() - begun];
    };
    const [first, firstTook] = await timed();
    expect(firstTook).toBeGreaterThan(395);
    // On a busy machine one connection may be as slow as a compute that wakes, but not every one.
    const awake = [await timed(), await timed(), await timed()].map(([, took]) => took);
    expect(Math.min(...awake)).toBeLessThan(395);
    const lost = new Promise((resolve) => first.once('end', resolve));
    await proxy.suspend();
    await lost;
    expect((await timed())[1]).toBeGreaterThan(395);
  });

  it('says so where there is no compute', async () => {
    const proxy = await proxyTo({ target: 'postgresql://127.0.0.1:1/x' });
    await expect(asked(clientOf(proxy, way))).rejects.toThrow("Couldn't connect to compute node");
  });
});
