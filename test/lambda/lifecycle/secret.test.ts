import { beforeEach, describe, expect, it } from 'vitest';
import { HERE } from '../../support/here.ts';
import { eventually, type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

/** As Secrets Manager's rotation does it: first the database, then the secret. */
async function rotate(): Promise<void> {
  await life.database.adminQuery(`alter role ${life.database.owner} password 'rotated'`);
  life.aws.secrets.put('database', life.database.url.replace(life.database.password, 'rotated'));
}

describe('a secret that is rotated', () => {
  it('is read anew by a function that is warm', async () => {
    await life.deploy({ '1_a.sql': 'create table a ();' });
    const migrator = life.cloudFormation.stack?.sandbox('Migrator');
    expect(await migrator?.invoke({ action: 'status' })).toMatchObject({
      migrations: [{ state: 'applied' }],
    });
    await rotate();
    expect(await migrator?.invoke({ action: 'status' })).toMatchObject({
      migrations: [{ state: 'applied' }],
    });
    expect(await migrator?.invoke({})).toMatchObject({ outcome: 'done' });
  });

  it('does not stop a build that continues meanwhile', async () => {
    const table = { '1_large.sql': largeTable('large') };
    await life.deploy(table);
    const blocker = await life.session();
    await blocker.query('begin; insert into large values (501, 501)');
    await life.deploy({ ...table, '2_index.sql': 'create index concurrently i on large (x);' });
    await eventually(async () => {
      const building = await life.database.adminQuery(
        `select 1 from pg_stat_progress_create_index where datid = ${HERE}`,
      );
      return building.length > 0;
    });
    await rotate();
    await blocker.query('rollback');
    await life.aws.stepFunctions.settled();
    const [index] = await life.database.adminQuery<{ indisvalid: boolean }>(
      "select indisvalid from pg_index where indexrelid = 'i'::regclass",
    );
    expect(index).toEqual({ indisvalid: true });
  });
});

describe('a secret in another form', () => {
  it.each<[string, () => string]>([
    ['JSON with DATABASE_URL', () => JSON.stringify({ DATABASE_URL: life.database.url })],
    ['JSON with connectionString', () => JSON.stringify({ connectionString: life.database.url })],
    ['JSON with url', () => JSON.stringify({ url: life.database.url })],
  ])('is understood by the deployed function: %s', async (_, secret) => {
    await life.deploy({});
    life.aws.secrets.put('database', secret());
    expect(await life.invoke({ action: 'status' })).toMatchObject({ migrations: [], builds: [] });
  });

  it('that is none is refused with the forms that there are, and never shown', async () => {
    await life.deploy({});
    life.aws.secrets.put('database', '{"password": "s3cret"}');
    const answer = await life.invoke({ action: 'status' });
    expect(answer).toEqual({
      errorType: 'MigrationError',
      errorMessage: `The secret is not a usable connection: its keys are password.
Applied: nothing by this run.
Next: store postgres://user:password@host/database; or JSON with DATABASE_URL, connectionString or url; or JSON with host, username, password, port and dbname.`,
      trace: [''],
    });
    expect(life.cloudFormation.log.join('\n')).not.toContain('s3cret');
  });
});
