import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Status } from '../../../lambda/status/status.ts';
import { migrate } from '../../local/cli/command-line.ts';
import { HERE } from '../../support/here.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { eventually, type Files, type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';

/** Each section of docs/operating.md under "From red to green", step by step as it is written there. */
let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const status = async (): Promise<Status> => (await life.invoke({ action: 'status' })) as Status;
const users = { '1_users.sql': 'create table users (id int primary key);' };
const large = { '1_large.sql': largeTable('large') };

/** `npx cdk-postgres-migrations …` in a folder with these files. */
async function commandLine(files: Files, ...args: readonly string[]): Promise<string> {
  const dir = temporaryFolder();
  for (const [name, sql] of Object.entries(files)) writeFileSync(join(dir, name), sql);
  const { stdout, stderr } = await migrate([...args, '--dir', dir], {
    DATABASE_URL: life.database.url,
    NO_COLOR: '1',
  });
  return `${stdout}${stderr}`;
}

describe('RunFailed', () => {
  it('its error is in status after the rollback, and a corrected file is deployed', async () => {
    await life.deploy(users);
    const broken = { ...users, '2_names.sql': 'alter table nobody add column name text;' };
    expect((await life.deploy(broken)).status).toBe('UPDATE_ROLLBACK_COMPLETE');
    const { runs } = await status();
    expect(runs.map(({ outcome, did, error }) => [outcome, did ?? error?.split('\n')[0]])).toEqual([
      ['done', 'left the database as it was: newer code has run since'],
      ['failed', '2_names.sql:1:1: This statement failed.'],
      ['done', 'applied 1_users'],
    ]);
    const fixed = { ...users, '2_names.sql': 'alter table users add column name text;' };
    expect((await life.deploy(fixed)).status).toBe('UPDATE_COMPLETE');
  });

  it('in the loop: what the data caused is fixed there, and run again without a deploy', async () => {
    await life.deploy(large);
    const blocker = await life.session();
    await blocker.query('begin; insert into large values (501, 501)');
    const files = {
      ...large,
      '2_index.sql': 'create index concurrently i on large (x);',
      '3_check.sql': 'alter table large add check (x < 501);',
    };
    await life.deploy(files, { props: { waitFor: 'nothing' } });
    await blocker.query('commit');
    await life.aws.stepFunctions.settled();
    const { lastRun } = await status();
    expect(lastRun).toMatchObject({
      outcome: 'failed',
      cause: 'loop',
      error: expect.stringContaining('3_check.sql:1:'),
    });
    // When the build is valid, and once more when all has ended.
    const failed = await life.database.query("select from migrations.run where outcome = 'failed'");
    expect(failed).toHaveLength(2);
    await life.database.query('delete from large where x = 501');
    expect(await life.invoke({})).toMatchObject({
      outcome: 'done',
      applied: ['3_check step 1: transaction'],
    });
  });
});

describe('BuildFailed', () => {
  it('status has the reason; the cause is fixed, and retry builds it', async () => {
    const twins = { '1_large.sql': `${largeTable('large')}\nupdate large set x = 1;` };
    const files = { ...twins, '2_index.sql': 'create unique index concurrently u on large (x);' };
    await life.deploy(twins);
    await life.deploy(files);
    await life.aws.stepFunctions.settled();
    expect((await status()).builds).toMatchObject([
      { index: 'u', state: 'failed', fault: { sqlstate: '23505', detail: 'Such as (1) in 500 rows.' } },
    ]);
    await life.database.query('update large set x = id');
    // CloudFormation sees no change: it is not asked.
    expect((await life.deploy(files)).exchanges).toEqual([]);
    expect(await life.invoke({ action: 'retry' })).toEqual({ retried: ['u on public.large'] });
    await life.aws.stepFunctions.settled();
    expect((await status()).builds).toMatchObject([{ index: 'u', state: 'done' }]);
    expect(life.aws.stepFunctions.executions.at(-1)?.ended?.outcome.status).toBe('SUCCEEDED');
  });
});

describe('BuildStuck', () => {
  it('status names who is waited for; when that session is ended the build continues by itself', async () => {
    await life.deploy(large);
    const blocker = await life.session();
    await blocker.query('begin; insert into large values (501, 501)');
    await life.deploy({ ...large, '2_index.sql': 'create index concurrently i on large (x);' });
    const pid = await eventually(async () => (await status()).builds[0]?.progress?.blocker?.pid);
    await life.database.query(`select pg_terminate_backend(${pid})`);
    await life.aws.stepFunctions.settled();
    expect((await status()).builds).toMatchObject([{ index: 'i', state: 'done' }]);
  });
});

describe('drift', () => {
  const changed = { '1_users.sql': 'create table users (id bigint primary key);' };

  it('is fixed by the file as it was, and a new one', async () => {
    await life.deploy(users);
    const failed = await life.deploy(changed);
    expect(failed.exchanges[0]?.reason).toMatch(
      /^(Error: )?1_users\.sql: this migration was applied with other/,
    );
    expect(failed.status).toBe('UPDATE_ROLLBACK_COMPLETE');
    const fixed = { ...users, '2_bigint.sql': 'alter table users alter column id type bigint;' };
    expect((await life.deploy(fixed)).status).toBe('UPDATE_COMPLETE');
  });

  it('is accepted from the command line: the function has the earlier file again, and says so', async () => {
    await life.deploy(users);
    await life.deploy(changed);
    await life.database.query('alter table users alter column id type bigint');
    const accept = { action: 'repair', version: '1', accept: 'checksum', confirm: true };
    expect(await life.invoke(accept)).toMatchObject({
      errorMessage: expect.stringMatching(
        /^1_users is in this code as it was applied: there is no change to accept\.\nApplied: nothing\.\nNext: after a deploy that failed the function has the file of before: accept the new one from the command line/,
      ),
    });
    expect(await commandLine(changed, 'repair', '1', '--accept-checksum', '--confirm')).toContain(
      'changed: 1_users is accepted as it is now',
    );
    expect((await life.deploy(changed)).status).toBe('UPDATE_COMPLETE');
  });
});

describe('an interrupted step', () => {
  it('is looked at, settled, and the deploy continues', async () => {
    await life.deploy(users);
    const files = {
      ...users,
      '2_fill.sql': `-- migrate: no-transaction
do $$ begin insert into users values (1); commit; perform pg_advisory_xact_lock(7); end $$;`,
      '3_t.sql': 'create table t ();',
    };
    const gate = await life.session();
    await gate.query('select pg_advisory_lock(7)');
    const deploying = life.deploy(files);
    await eventually(async () => {
      const waiting = await life.database.query(
        `select 1 from pg_locks where locktype = 'advisory' and not granted and database = ${HERE}`,
      );
      return waiting.length === 1;
    });
    await life.cloudFormation.stack?.sandbox('Migrator').kill();
    await gate.query('select pg_advisory_unlock(7)');
    expect((await deploying).status).toBe('UPDATE_ROLLBACK_COMPLETE');
    // The way back found a run that nobody ended; the next deploy finds the step.
    const again = await life.deploy(files);
    expect(again.status).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(again.exchanges[0]?.reason).toMatch(
      /^(Error: )?2_fill\.sql:2:1: A run died while it carried out this/,
    );
    expect(again.exchanges[0]?.reason).toContain(
      'Next: look at the database, then say so with the action repair: version 2, step 1, as "applied" or "not-applied"; then run again.',
    );
    expect(await life.database.query('select id from users')).toEqual([{ id: 1 }]);
    expect(
      await life.invoke({ action: 'repair', version: '2', step: 1, as: 'applied', confirm: true }),
    ).toEqual({ changed: ['step 1 of 2_fill is applied'] });
    expect((await life.deploy(files)).status).toBe('UPDATE_COMPLETE');
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
  });
});

describe('a cancel that could not clear up', () => {
  it('names who holds the table; when that has ended, the same action drops the index, and retry builds it', async () => {
    await life.deploy(large);
    const blocker = await life.session();
    await blocker.query('begin; insert into large values (501, 501)');
    await life.deploy({ ...large, '2_index.sql': 'create index concurrently i on large (x);' });
    await eventually(async () => (await status()).builds[0]?.progress?.blocker !== undefined);
    const cancel = { action: 'cancel', index: 'i' };
    const { errorMessage } = (await life.invoke(cancel)) as { errorMessage: string };
    const pid = /held by pid (\d+)/.exec(errorMessage)?.[1];
    await life.database.query(`select pg_terminate_backend(${pid})`);
    expect(await life.invoke(cancel)).toEqual({ cancelled: 'i on public.large' });
    expect(await life.indexes()).toEqual(['large_pkey']);
    await life.invoke({ action: 'retry', index: 'i' });
    await life.aws.stepFunctions.settled();
    expect(await life.indexes()).toEqual(['i', 'large_pkey']);
  });
});
