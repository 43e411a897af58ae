import { createSocket } from 'node:dgram';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { eventually, type LifeCycle, newLifeCycle } from './life-cycle.ts';

interface SentSegment {
  readonly name: string;
  readonly trace_id: string;
  readonly parent_id: string;
  readonly fault?: boolean;
  readonly cause?: { readonly exceptions: readonly { readonly message: string; readonly type: string }[] };
}

/** X-Ray's daemon, as Lambda has it beside each function: segments come by UDP, a header line before each. */
async function daemon(): Promise<{ readonly address: string; readonly segments: SentSegment[] }> {
  const segments: SentSegment[] = [];
  const socket = createSocket('udp4', (datagram) => {
    const [header, segment = ''] = datagram.toString('utf8').split('\n');
    expect(JSON.parse(header ?? '')).toEqual({ format: 'json', version: 1 });
    segments.push(JSON.parse(segment));
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  onTestFinished(() => void socket.close());
  return { address: `127.0.0.1:${socket.address().port}`, segments };
}

const ROOT = '1-67891233-abcdef012345678912345678';
const PARENT = '53995c3f42cd8ad8';
const sampled = `Root=${ROOT};Parent=${PARENT};Sampled=1`;

describe('an invocation that X-Ray follows', () => {
  let life: LifeCycle;
  beforeEach(async () => {
    life = await newLifeCycle();
  });
  /** What Lambda's runtime sets. */
  const environment = (address: string, trace: string) => ({
    AWS_XRAY_DAEMON_ADDRESS: address,
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    LAMBDA_TASK_ROOT: '/var/task',
    _X_AMZN_TRACE_ID: trace,
  });

  it('sends a subsegment of the part that worked, under the trace and parent that Lambda names', async () => {
    const { address, segments } = await daemon();
    await life.deploy({ '1_a.sql': 'create table a ();' }, { environment: environment(address, sampled) });
    const sent = await eventually(() => segments.find(({ name }) => name === '## migrator'));
    expect(sent).toMatchObject({ trace_id: ROOT, parent_id: PARENT });
    expect(sent.fault).toBeUndefined();
    await eventually(() => segments.find(({ name }) => name === '## is-complete'));
    const loop = life.cloudFormation.stack?.sandbox('MigrationsIndexBuild');
    await loop?.invoke({ task: 'settle', execution: 'any' });
    expect(await eventually(() => segments.find(({ name }) => name === '## settle'))).toMatchObject({
      trace_id: ROOT,
    });
  });

  it('sends a fault with the error’s words where it failed', async () => {
    const { address, segments } = await daemon();
    const { status } = await life.deploy(
      { '1_a.sql': 'alter table nobody add x int;' },
      { environment: environment(address, sampled) },
    );
    expect(status).toBe('ROLLBACK_COMPLETE');
    const sent = await eventually(() => segments.find(({ fault }) => fault === true));
    expect(sent).toMatchObject({ name: '## migrator', trace_id: ROOT });
    expect(sent.cause?.exceptions[0]?.message).toMatch(/^1_a\.sql:1:1: This statement failed\./);
  });

  it('sends nothing where X-Ray took no sample', async () => {
    const { address, segments } = await daemon();
    const unsampled = sampled.replace('Sampled=1', 'Sampled=0');
    await life.deploy({ '1_a.sql': 'create table a ();' }, { environment: environment(address, unsampled) });
    expect(segments).toEqual([]);
  });
});
