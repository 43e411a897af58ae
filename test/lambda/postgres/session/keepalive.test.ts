import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { withSession } from '../../../../lambda/postgres/session/connect.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { freshDatabase } from '../../../support/fresh-database.ts';

const KEEPALIVE_TIMER = '02';
/** The kernel counts timers so, whatever its own clock does. */
const TICKS_PER_SECOND = 100;

/** Seconds to the next keepalive probe of our connection from this port, as the kernel has it. */
async function secondsToProbe(localPort: number): Promise<number | undefined> {
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
  const port = localPort.toString(16).toUpperCase().padStart(4, '0');
  const [timer, ticks = ''] = lines.find(([, local]) => local?.endsWith(`:${port}`))?.[5]?.split(':') ?? [];
  return timer === KEEPALIVE_TIMER ? Number.parseInt(ticks, 16) / TICKS_PER_SECOND : undefined;
}

it.runIf(process.platform === 'linux')('a silent connection is probed after half a minute', async () => {
  const database = await freshDatabase();
  await withSession(parseConnectionUrl(database.url, 'The URL'), async (session) => {
    const [row] = await session.query('select pg_catalog.inet_client_port() as port');
    const seconds = await secondsToProbe(Number(row?.port));
    expect(seconds).toBeGreaterThan(20);
    expect(seconds).toBeLessThanOrEqual(31);
  });
});
