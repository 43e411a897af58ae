import { beforeEach, describe, expect, it } from 'vitest';
import { metric } from '../../../lambda/aws/metric-names.ts';
import { type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';
import { linesOf, metricsOf, SERVICE } from './logged.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const tables = { '1_large.sql': largeTable('large') };
const withIndex = { ...tables, '2_index.sql': 'create index concurrently i on large (x);' };
describe('events', () => {
  it('tell of a run that the loop continued, and that failed there, as of any other', async () => {
    await life.deploy(tables);
    const blocker = await life.session();
    await blocker.query('begin; insert into large values (501, 501)');
    const waiting = { ...withIndex, '3_waits.sql': 'alter table large add column x int;' };
    await life.deploy(waiting, { props: { waitFor: 'nothing' } });
    await blocker.query('rollback');
    await life.aws.stepFunctions.settled();
    expect(life.aws.events.events.at(-1)).toMatchObject({
      detailType: 'Run Ended',
      detail: {
        outcome: 'failed',
        kind: 'loop',
        error: expect.stringMatching(/^3_waits\.sql:1:1: This statement failed\.\nPostgres: column "x"/),
      },
    });
    expect(metricsOf(life)).toContain(`${metric.runFailed}{service=${SERVICE}}: 1`);
  });

  it('tell of an Update back to earlier code that it kept the database as it was', async () => {
    await life.deploy(tables);
    await life.deploy({
      ...tables,
      '2_t.sql': 'create table t ();',
      '3_bad.sql': 'alter table nobody add x int;',
    });
    expect(life.aws.events.events.map(({ detail }) => (detail as { outcome: string }).outcome)).toEqual([
      'done',
      'failed',
      'kept',
    ]);
  });

  it('that the bus refuses are sent again', async () => {
    life.aws.events.refuseNext(2);
    await life.deploy(tables);
    expect(life.aws.events.events.map(({ detailType }) => detailType)).toEqual(['Run Ended']);
  });

  it('that it keeps refusing are in the log, and fail no deploy', async () => {
    life.aws.events.refuseNext(100);
    expect(await life.deploy(tables)).toMatchObject({ status: 'CREATE_COMPLETE' });
    expect(linesOf(life).find(({ message }) => message === 'events could not be sent')).toMatchObject({
      level: 'WARN',
      service: SERVICE,
      error: 'InternalFailure: The request processing has failed.',
      events: [{ type: 'Run Ended', detail: { outcome: 'done', steps: 1 } }],
    });
  });
});
