import { expect, it, onTestFinished } from 'vitest';
import { BLOWS, makeChaos } from '../../../local/faults/chaos.ts';
import { FaultServer } from '../../../local/faults/fault-server.ts';
import { bundleHandler, startHandler } from '../../../local/faults/handler-process.ts';
import { startEmbeddedPostgres } from '../../../local/postgres/embedded-postgres.ts';

it('a build survives a killed handler, a terminated builder and a restarted server, one after the other', async () => {
  const server = await FaultServer.prepare(await startEmbeddedPostgres({ durability: 'none' }));
  onTestFinished(() => server.strike());
  const bundle = await bundleHandler();
  onTestFinished(bundle.remove);
  const migrations = server.releases.slow;
  await server.withDatabase('loopback', async ({ url, adminUrl }) => {
    let handler = Promise.resolve(await startHandler(bundle.file, { url, migrations }));
    const chaos = makeChaos({
      server: server.server,
      adminUrl,
      killHandler: async () => {
        await (await handler).kill();
        handler = startHandler(bundle.file, { url, migrations });
      },
      report: () => {},
      signal: AbortSignal.timeout(40_000),
    });
    const struck = await chaos;
    expect(struck.map(({ blow }) => blow)).toEqual(BLOWS);
    for (const { index, phase } of struck) {
      expect(index).toBe('orders_slow');
      expect(phase).toContain('building index');
    }
    await (await handler).ended;
    await server.expectHealed({ url, migrations });
  });
}, 60_000);
