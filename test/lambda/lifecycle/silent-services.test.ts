import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { sendEvents } from '../../../lambda/aws/events.ts';
import { readSecret } from '../../../lambda/aws/secret.ts';
import { environment as environmentNames } from '../../../lambda/environment.ts';
import { closeServer, listen } from '../../../local/aws/listen.ts';
import { type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

interface SilentService {
  readonly url: string;
  /** How often it was asked. */
  asked(): number;
}

/** Takes every connection and never says a word, as what stands behind a network without a way to the service. */
async function silentService(): Promise<SilentService> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on('error', () => {})));
  const port = await listen(server);
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    return closeServer(server);
  });
  return { url: `http://127.0.0.1:${port}`, asked: () => sockets.size };
}

/** Nothing listens there. */
const REFUSED = 'http://127.0.0.1:1';

describe('without a way to Secrets Manager', () => {
  it.each([
    ['that is silent', async () => (await silentService()).url],
    ['that is refused', async () => REFUSED],
  ])('%s, a deploy says so by its name', async (_, service) => {
    const environment = { AWS_ENDPOINT_URL_SECRETS_MANAGER: await service() };
    const { status, exchanges } = await life.deploy({ '1_a.sql': 'create table a ();' }, { environment });
    expect(status).toBe('ROLLBACK_COMPLETE');
    const reason = exchanges[0]?.reason.split('\n') ?? [];
    expect(reason[0]).toMatch(
      /^(Error: )?Secrets Manager does not answer, so the secret .*database.* can't be read: /,
    );
    expect(reason[2]).toBe(
      'Next: the functions have no way to it: in a VPC, give their subnets a NAT gateway, or an interface endpoint com.amazonaws.REGION.secretsmanager with private DNS, whose security group lets the functions in on port 443; then run again.',
    );
  });
});

describe('without a way to EventBridge', () => {
  it('a deploy succeeds, and what could not be told is in the log', async () => {
    const { url } = await silentService();
    const environment = { AWS_ENDPOINT_URL_EVENTBRIDGE: url };
    const { status } = await life.deploy({ '1_a.sql': 'create table a ();' }, { environment });
    expect(status).toBe('CREATE_COMPLETE');
    const line = life.cloudFormation.log.find((text) => text.includes('events could not be sent')) ?? '{}';
    expect(JSON.parse(line)).toMatchObject({ level: 'WARN', events: [{ type: 'Run Ended' }] });
  });

  it('telemetry takes no longer than the function has left', async () => {
    const { url, asked } = await silentService();
    await life.deploy({}, { environment: { AWS_ENDPOINT_URL_EVENTBRIDGE: url }, timeoutSeconds: 6 });
    const before = asked();
    expect(await life.invoke({ action: 'run' })).toMatchObject({ outcome: 'done' });
    // Each attempt takes four seconds; there would be three of them.
    expect(asked() - before).toBeLessThan(3);
  });
});

describe('without a way to Step Functions', () => {
  it('a deploy fails, the builds are pending, and it says what to do', async () => {
    const tables = { '1_large.sql': largeTable('large') };
    await life.deploy(tables);
    const { exchanges } = await life.deploy(
      { ...tables, '2_index.sql': 'create index concurrently i on large (x);' },
      { environment: { AWS_ENDPOINT_URL_SFN: REFUSED } },
    );
    const reason = exchanges[0]?.reason ?? '';
    expect(reason).toMatch(
      /The index-build loop could not be started, since Step Functions does not answer: /,
    );
    expect(reason).toContain('com.amazonaws.REGION.states');
  });
});

describe('the time that is spent on a service that is silent', () => {
  const account = { AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' };
  const underEnvironment = (environment: Record<string, string>) => {
    for (const [name, value] of Object.entries({ ...account, ...environment })) vi.stubEnv(name, value);
    onTestFinished(() => void vi.unstubAllEnvs());
  };

  it('is that of three attempts for the secret', async () => {
    const { url, asked } = await silentService();
    underEnvironment({ AWS_ENDPOINT_URL_SECRETS_MANAGER: url });
    await expect(readSecret('database')).rejects.toMatchObject({ code: 'secret-unreadable' });
    expect(asked()).toBeLessThanOrEqual(3);
  });

  it('is what is left for events', async () => {
    const { url, asked } = await silentService();
    underEnvironment({
      AWS_ENDPOINT_URL_EVENTBRIDGE: url,
      [environmentNames.eventBus]: 'default',
    });
    const events = Array.from({ length: 25 }, () => ({ type: 'Run Ended' as const, detail: {} }));
    await expect(sendEvents(events, 1_500)).rejects.toMatchObject({ name: 'UnsentEvents', events });
    // Once for each ten of them: an attempt takes four seconds, so that there is no second one.
    expect(asked()).toBeLessThanOrEqual(3);
  });
});

it('no client of ours is without limits', () => {
  const root = join(import.meta.dirname, '../../../lambda');
  const clients = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => readFileSync(join(root, file), 'utf8').match(/new \w+Client\([^)]*\)/g) ?? [])
    .filter((made) => !made.startsWith('new PgClient'));
  expect(clients.length).toBeGreaterThan(3);
  expect(clients.filter((made) => !made.includes('clientLimits'))).toEqual([]);
});
