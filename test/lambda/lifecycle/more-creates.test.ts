import { beforeEach, describe, expect, it } from 'vitest';
import { HERE } from '../../support/here.ts';
import { eventually, type LifeCycle, newLifeCycle } from './life-cycle.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const users = { '1_users.sql': 'create table users (id int primary key);' };

describe('a Create', () => {
  it('that is delivered twice is answered alike, and each step is applied once', async () => {
    const { status, exchanges } = await life.deploy(users, { times: 2 });
    expect(status).toBe('CREATE_COMPLETE');
    await life.cloudFormation.settled();
    expect(await life.steps()).toEqual(['1.0 applied']);
    // CloudFormation has taken the first answer; the other one bore the same id, or it would be a replacement.
    expect(await life.deploy({ ...users, '2_t.sql': 'create table t ();' })).toMatchObject({
      status: 'UPDATE_COMPLETE',
      exchanges: [{ physicalResourceId: exchanges[0]?.physicalResourceId }],
    });
  });

  it('whose handler alone is killed fails, and says so', async () => {
    const gate = await life.session();
    await gate.query('select pg_advisory_lock(7)');
    const deploying = life.deploy({ ...users, '2_gate.sql': 'select pg_advisory_xact_lock(7);' });
    await eventually(async () => {
      const waiting = await life.database.query(
        `select 1 from pg_locks where locktype = 'advisory' and not granted and database = ${HERE}`,
      );
      return waiting.length === 1;
    });
    await life.cloudFormation.stack?.sandbox('Migrator').kill();
    const { status, exchanges } = await deploying;
    expect(status).toBe('ROLLBACK_COMPLETE');
    expect(exchanges[0]?.reason).toContain('Runtime exited with error: signal: killed');
    await gate.end();
  });
});
