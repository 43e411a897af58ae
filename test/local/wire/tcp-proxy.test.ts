import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { InjectedFault } from '../../../local/wire/message-faults.ts';
import { startTcpProxy, type TcpProxy } from '../../../local/wire/tcp-proxy.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';

let database: FreshDatabase;
beforeEach(async () => {
  database = await freshDatabase();
  await database.query('create table done (what text)');
});

async function proxyWith(...faults: InjectedFault[]): Promise<TcpProxy> {
  const proxy = await startTcpProxy({ target: database.url, faults });
  onTestFinished(() => proxy.stop());
  return proxy;
}

async function connected(proxy: TcpProxy): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: proxy.url });
  client.on('error', () => {});
  await client.connect();
  onTestFinished(() => client.end().catch(() => {}));
  return client;
}

const done = async () =>
  (await database.query<{ what: string }>('select what from done')).map(({ what }) => what);
const sessions = () =>
  database.query(
    `select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
  );

describe('a TCP proxy', () => {
  it('counts connections, messages and bytes both ways', async () => {
    const proxy = await proxyWith();
    const client = await connected(proxy);
    proxy.traffic.reset();
    await client.query('select 1 as x');
    expect(proxy.traffic).toMatchObject({
      roundTrips: 1,
      // RowDescription, DataRow, CommandComplete, ReadyForQuery
      messages: { 'to-server': 1, 'to-client': 4 },
      bytes: { 'to-server': 1 + 4 + 'select 1 as x'.length + 1 },
    });
  });

  it('counts the answer to a request for encryption as a round trip', async () => {
    const proxy = await proxyWith();
    const client = new pg.Client({ connectionString: proxy.url, ssl: true });
    client.on('error', () => {});
    await expect(client.connect()).rejects.toThrow('does not support SSL');
    expect(proxy.traffic).toMatchObject({ roundTrips: 1, messages: { 'to-server': 1, 'to-client': 1 } });
  });

  it('cuts before a statement: the server never sees it', async () => {
    const proxy = await proxyWith({ direction: 'to-server', type: 'Q', message: 2, action: 'cut-before' });
    const client = await connected(proxy);
    await client.query(`insert into done values ('first')`);
    await expect(client.query(`insert into done values ('second')`)).rejects.toThrow();
    await expectEventually(async () => (await sessions()).length === 0);
    expect(await done()).toEqual(['first']);
  });

  it('cuts after a statement: it is done and its client does not know', async () => {
    const proxy = await proxyWith({ direction: 'to-server', type: 'Q', message: 2, action: 'cut-after' });
    const client = await connected(proxy);
    await client.query(`insert into done values ('first')`);
    await expect(client.query(`insert into done values ('second')`)).rejects.toThrow();
    await expectEventually(async () => (await done()).length === 2);
  });

  it('cuts before an answer, after an answer', async () => {
    const proxy = await proxyWith(
      { connection: 1, direction: 'to-client', type: 'C', action: 'cut-before' },
      { connection: 2, direction: 'to-client', type: 'Z', message: 2, action: 'cut-after' },
    );
    await expect((await connected(proxy)).query(`insert into done values ('one')`)).rejects.toThrow();
    const second = await connected(proxy);
    const lost = new Promise((resolve) => second.once('end', resolve));
    await second.query(`insert into done values ('two')`);
    await lost;
    expect(await done()).toEqual(['one', 'two']);
    expect(proxy.firedFaults).toHaveLength(2);
  });

  it('finds the message by its text, regardless of earlier ones', async () => {
    const proxy = await proxyWith({
      direction: 'to-server',
      containing: 'secret word',
      action: 'cut-before',
    });
    const client = await connected(proxy);
    await client.query('select 1');
    await expect(client.query(`select 'the secret word'`)).rejects.toThrow();
  });

  it('can cut at every message of a connection, the startup included', async () => {
    const proxy = await proxyWith();
    const story = async () => {
      const client = await connected(proxy);
      await client.query('select $1::int', [1]);
      await client.end();
    };
    await story();
    const { messages } = structuredClone({ messages: proxy.traffic.messages });
    expect(messages['to-server']).toBeGreaterThan(7);
    for (const direction of ['to-server', 'to-client'] as const) {
      for (let message = 1; message <= messages[direction]; message++) {
        const fired = proxy.inject({ direction, message, action: 'cut-before' });
        await story().catch(() => {});
        await fired;
      }
    }
    await expectEventually(() => proxy.openConnections() === 0);
    await story();
  });

  it('holds a message, and all after it, until it is released', async () => {
    const proxy = await proxyWith();
    const client = await connected(proxy);
    const held = proxy.inject({ direction: 'to-server', containing: 'insert', action: 'stall' });
    const answer = client.query(`insert into done values ('held')`);
    await held;
    expect(await done()).toEqual([]);
    proxy.release();
    await answer;
    expect(await done()).toEqual(['held']);
  });

  it('delays one message', async () => {
    const proxy = await proxyWith({ direction: 'to-client', type: 'D', action: { delayMilliseconds: 120 } });
    const client = await connected(proxy);
    const begun = performance.now();
    await client.query('select 1');
    expect(performance.now() - begun).toBeGreaterThan(115);
  });

  it('sends a message twice', async () => {
    const proxy = await proxyWith({ direction: 'to-server', containing: 'twice', action: 'duplicate' });
    const client = await connected(proxy);
    await client.query(`insert into done values ('twice')`);
    await expectEventually(async () => (await done()).length === 2);
  });

  it('leaves a statement running whose client has gone, as stock Postgres does', async () => {
    const proxy = await proxyWith();
    const client = await connected(proxy);
    client.query(`select pg_sleep(0.5); insert into done values ('alone')`).catch(() => {});
    await expectEventually(async () => (await sessions()).length === 1);
    await proxy.cutAll();
    await expectEventually(async () => (await done()).includes('alone'));
  });
});
