import { beforeEach, describe, expect, it } from 'vitest';
import { metric } from '../../../lambda/aws/metric-names.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { eventually, type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';
import { linesOf, metricsOf, SERVICE } from './logged.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const tables = { '1_large.sql': largeTable('large') };
const withIndex = { ...tables, '2_index.sql': 'create index concurrently i on large (x);' };
const withTwins = {
  '1_large.sql': `${largeTable('large')}\nupdate large set x = 1;`,
  '2_index.sql': 'create unique index concurrently u on large (x);',
};

describe('events', () => {
  it('tell of the end of each run and each build, with names and outcome, on the bus', async () => {
    await life.deploy(tables);
    await life.deploy(withIndex);
    await life.aws.stepFunctions.settled();
    expect(life.aws.events.events.map(({ source, bus }) => `${source} to ${bus}`)).toEqual(
      Array(4).fill('cdk-postgres-migrations to arn:aws:events:us-east-1:123456789012:event-bus/default'),
    );
    const run = { service: SERVICE, outcome: 'done', kind: 'cloudformation', runId: expect.any(String) };
    expect(life.aws.events.events.map(({ detailType, detail }) => [detailType, detail])).toEqual([
      ['Run Ended', { ...run, actor: 'Create of stack local', steps: 1, openBuilds: 0 }],
      ['Run Ended', { ...run, actor: 'Update of stack local', steps: 1, openBuilds: 1 }],
      [
        'Index Build Ended',
        {
          service: SERVICE,
          outcome: 'done',
          kind: 'index build',
          operation: 'create',
          table: 'public.large',
          index: 'i',
          file: '2_index.sql',
          seconds: expect.any(Number),
          attempts: 1,
        },
      ],
      ['Run Ended', { ...run, kind: 'loop', actor: 'index-build loop', steps: 0, openBuilds: 0 }],
    ]);
  });

  exhaustive.it('tell why a run failed, and why a build did', async () => {
    await life.deploy({ '1_large.sql': withTwins['1_large.sql'] });
    await life.deploy(withTwins);
    await life.aws.stepFunctions.settled();
    await life.deploy({ ...withTwins, '3_bad.sql': 'alter table nobody add x int;' });
    await life.aws.stepFunctions.settled();
    const errors = life.aws.events.events.flatMap(({ detailType, detail }) => {
      const { outcome, code, error } = detail as { outcome: string; code?: string; error?: string };
      return outcome === 'failed' ? [`${detailType}: ${code ?? ''} ${error?.split('\n')[0]}`] : [];
    });
    // The deploy tried the build again, too.
    expect(errors.sort()).toEqual([
      'Index Build Ended:  could not create unique index "u": 1 value of (x) in more than one row (SQLSTATE 23505)',
      'Index Build Ended:  could not create unique index "u": 1 value of (x) in more than one row (SQLSTATE 23505)',
      'Run Ended: statement-failed 3_bad.sql:1:1: This statement failed.',
    ]);
  });
});

describe('metrics', () => {
  exhaustive.it(
    'are counted by the very names and dimensions that the alarms and the dashboard look for',
    async () => {
      await life.deploy({ '1_large.sql': withTwins['1_large.sql'] });
      await life.deploy(withTwins);
      await life.aws.stepFunctions.settled();
      await life.deploy({ ...withTwins, '3_bad.sql': 'alter table nobody add x int;' });
      const of = `{service=${SERVICE}}`;
      expect(metricsOf(life)).toEqual(
        expect.arrayContaining([
          `${metric.runSucceeded}${of}: 1`,
          `${metric.stepsApplied}${of}: 1`,
          `${metric.buildFailed}${of}: 1`,
          `${metric.runFailed}${of}: 1`,
        ]),
      );
    },
  );

  exhaustive.it('show a build’s progress, and how long it has waited for somebody', async () => {
    await life.deploy(tables);
    const blocker = await life.session();
    await blocker.query('begin; insert into large values (501, 501)');
    await life.deploy(withIndex);
    await eventually(() => life.cloudFormation.log.some((line) => line.includes('waiting for writers')));
    await blocker.query('rollback');
    await life.aws.stepFunctions.settled();
    const counted = metricsOf(life);
    expect(counted).toContainEqual(
      expect.stringMatching(/^BuildProgress\{index=i,service=Stack\/Migrations\}: [\d. ]+$/),
    );
    expect(counted).toContainEqual(
      expect.stringMatching(/^BuildBlockedSeconds\{service=Stack\/Migrations\}: [\d. ]+$/),
    );
    expect(counted).toContainEqual(expect.stringMatching(/^BuildSucceeded\{service=Stack\/Migrations\}: 1$/));
  });
});

describe('the log', () => {
  exhaustive.it(
    'is JSON by the line, names service and level, and holds neither the secret nor SQL',
    async () => {
      await life.deploy(tables);
      await life.deploy(withIndex);
      await life.aws.stepFunctions.settled();
      const told = linesOf(life).filter(({ level }) => level !== undefined);
      expect(told.map(({ message }) => message)).toEqual(
        expect.arrayContaining(['planned', 'applied', 'run ended', 'turn', 'started', 'ended']),
      );
      expect(told.find(({ message }) => message === 'applied')).toMatchObject({
        level: 'INFO',
        service: SERVICE,
        steps: [{ migration: '1_large', step: 1, of: 1, how: 'transaction' }],
      });
      const password = new URL(life.database.url).password;
      expect(password).not.toBe('');
      for (const line of life.cloudFormation.log) {
        expect(line).not.toContain(password);
        expect(line.toLowerCase()).not.toContain('create table');
      }
    },
  );
});
