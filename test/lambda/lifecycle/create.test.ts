import { beforeEach, describe, expect, it } from 'vitest';
import { cloudFormationFailure } from '../../../lambda/aws/cloudformation-failure.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { HERE } from '../../support/here.ts';
import { eventually, type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';
import { failAtLength } from './long-failure.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const users = { '1_users.sql': 'create table users (id int primary key);' };
const broken = {
  ...users,
  '2_broken.sql': 'alter table users add column name text;\nalter table nobody add x int;',
};
const fixed = { ...users, '2_broken.sql': 'alter table users add column name text;' };

describe('a Create', () => {
  it('runs the migrations and succeeds', async () => {
    const { status, exchanges } = await life.deploy(users);
    expect(status).toBe('CREATE_COMPLETE');
    expect(exchanges).toMatchObject([
      { request: 'Create', physicalResourceId: expect.stringMatching(/^migrations-local-MigrationsRun/) },
    ]);
    expect(exchanges[0]?.data).toMatchObject({ Outcome: 'done' });
    expect(await life.steps()).toEqual(['1.0 applied']);
  });

  it('that fails says file, line and reason first; its Delete succeeds, what was applied stays, the next Create continues', async () => {
    const failed = await life.deploy(broken);
    expect(failed.status).toBe('ROLLBACK_COMPLETE');
    expect(failed.exchanges.map(({ request, status }) => `${request} ${status}`)).toEqual([
      'Create FAILED',
      'Delete SUCCESS',
    ]);
    const [first, second] = failed.exchanges[0]?.reason.split('\n') ?? [];
    expect(first).toMatch(/^(Error: )?2_broken\.sql:2:1: /);
    expect(second).toBe('Postgres: relation "nobody" does not exist (SQLSTATE 42P01)');
    expect(failed.exchanges[0]?.reason).not.toMatch(/ {4}at /);
    expect(await life.steps()).toEqual(['1.0 applied']);

    expect((await life.deploy(fixed)).status).toBe('CREATE_COMPLETE');
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied']);
  });

  it('whose event is delivered twice applies each step once and starts one loop', async () => {
    const files = { '1_large.sql': largeTable('large') };
    await life.deploy(files);
    const { status } = await life.deploy(
      { ...files, '2_index.sql': 'create index concurrently i on large (x);\ncreate table t ();' },
      { times: 2 },
    );
    expect(status).toBe('UPDATE_COMPLETE');
    await life.cloudFormation.settled();
    await life.aws.stepFunctions.settled();
    const loops = life.aws.stepFunctions.executions.filter(({ name }) => name.startsWith('hand-off-'));
    expect(loops.map(({ ended }) => ended?.outcome.status)).toEqual(['SUCCEEDED']);
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied', '2.1 applied']);
    expect(await life.indexes()).toEqual(['i', 'large_pkey']);
  });

  exhaustive.it(
    'whose functions are killed in the middle is delivered again, and each step is applied once',
    async () => {
      const gate = await life.session();
      await gate.query('select pg_advisory_lock(7)');
      const deploying = life.deploy({
        ...users,
        '2_gate.sql':
          'create table gate ();\nselect pg_advisory_xact_lock(7);\ninsert into users values (1);',
        '3_after.sql': 'create table after ();',
      });
      await eventually(async () => {
        const waiting = await life.database.query(
          `select 1 from pg_locks where locktype = 'advisory' and not granted and database = ${HERE}`,
        );
        return waiting.length === 1;
      });
      await life.cloudFormation.stack?.sandbox('Migrator').kill();
      await life.cloudFormation.stack?.sandbox('frameworkonEvent').kill();
      await gate.end();
      expect(await deploying).toMatchObject({ status: 'CREATE_COMPLETE' });
      expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
      expect(await life.database.query('select id from users')).toEqual([{ id: 1 }]);
    },
  );
});

describe('what CloudFormation is told of an error', () => {
  const bytes = (error: Error) => Buffer.byteLength(JSON.stringify(error.message));

  it.each([
    ['control characters, six bytes each as JSON', '\u0001'],
    ['halves of surrogate pairs', '\ud83d'],
    ['emoji', '😀'],
    ['back slashes', '\\'],
    ['lines of a hundred characters', `${'x'.repeat(100)}\n`],
  ])('stays far below its 4,096 bytes, also of %s', (_, text) => {
    const failure = cloudFormationFailure(new Error(`what happened\n${text.repeat(50_000)}`));
    expect(bytes(failure)).toBeLessThan(2_610);
    expect(failure.message).toMatch(/^what happened\n/);
    expect(failure.message).toContain('… (the rest is in the log)');
    expect(failure.stack).toBe('');
  });

  it('is the whole message where it fits, and what is thrown need not be an Error', () => {
    expect(cloudFormationFailure(new Error('short\nNext: continue.')).message).toBe('short\nNext: continue.');
    expect(cloudFormationFailure('text').message).toBe('text');
  });
});

it('a failure of 100 KB fits into the 4,096 bytes, with what happened first and what to do next', () =>
  failAtLength(life, '世'));
