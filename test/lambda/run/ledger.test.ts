import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { tryRunLock } from '../../../lambda/postgres/ledger/run-lock.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { freshScenario, type Scenario } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario();
});

const files = { '1_users.sql': 'create table users (id int);' };

/** The database as another role sees it, which owns nothing. */
async function asStranger(): Promise<string> {
  const role = `stranger_${scenario.database.name}`;
  await scenario.database.adminQuery(`create role ${role} login password 'pw'`);
  onTestFinished(() =>
    scenario.database.adminQuery(`drop owned by ${role}; drop role ${role}`).then(() => {}),
  );
  const url = new URL(scenario.database.url);
  url.username = role;
  url.password = 'pw';
  return url.href;
}

describe('a ledger', () => {
  it('that the role may not create: what it lacks', async () => {
    const url = await asStranger();
    const role = new URL(url).username;
    const error = await scenario.failure(files, { url });
    expect(error.message).toBe(
      [
        `There is no ledger yet, and ${role} may not create the schema 'migrations' for it.`,
        'Applied: nothing by this run.',
        `Next: create the schema as a superuser or the database's owner (create schema "migrations" authorization "${role}"), or let the role create it (grant create on database … to "${role}"); then run again.`,
      ].join('\n'),
    );
  });

  exhaustive.it('whose schema somebody made for a role that may create none is created there', async () => {
    const url = await asStranger();
    const role = new URL(url).username;
    await scenario.database.adminQuery(
      `create schema migrations authorization ${role}; create schema app authorization ${role}`,
    );
    expect((await scenario.run({ '1_users.sql': 'create table app.users (id int);' }, { url })).outcome).toBe(
      'done',
    );
    expect(
      (await scenario.run({ '1_users.sql': 'create table app.users (id int);' }, { url })).applied,
    ).toEqual([]);
  });

  it('that the role may not read: who may', async () => {
    await scenario.run(files);
    const error = await scenario.failure(files, { url: await asStranger() });
    expect(error.message).toBe(
      [
        "The ledger in schema 'migrations' can't be read.",
        'Postgres: permission denied for schema migrations (SQLSTATE 42501)',
        'Next: connect as the role that created the ledger, or give another ledger schema.',
      ].join('\n'),
    );
  });

  it('that a newer version wrote is left alone', async () => {
    await scenario.run(files);
    await scenario.query('update migrations.ledger set format = 99');
    const error = await scenario.failure({ ...files, '2_new.sql': 'create table new ();' });
    expect(error.message).toMatch(
      /^The ledger in schema 'migrations' has format 99; this version knows \d+ at most\.\nNext: deploy the version that wrote it, or a newer one\.$/,
    );
    expect(await scenario.query(`select to_regclass('new') as new`)).toEqual([{ new: null }]);
  });

  exhaustive.it('beside a ledger of another name knows nothing of it', async () => {
    await scenario.run(files);
    const error = await scenario.failure(files, { ledgerSchema: 'other' });
    expect(error.message).toContain('relation "users" already exists (SQLSTATE 42P07)');
  });

  exhaustive.it('in a schema that somebody has made already is created in it', async () => {
    await scenario.query('create schema migrations');
    expect((await scenario.run(files)).outcome).toBe('done');
  });
});

describe('while another run is under way', () => {
  const lockedBy = async (): Promise<number> => {
    const client = new pg.Client({ connectionString: scenario.database.url });
    await client.connect();
    onTestFinished(() => client.end());
    await client.query(tryRunLock('migrations'));
    return (await client.query('select pg_backend_pid() as pid')).rows[0].pid;
  };

  it('a run waits, holding nothing open, and gives up when its time is up, naming who has the lock', async () => {
    const pid = await lockedBy();
    const error = await scenario.failure(files, { deadline: Date.now() + 500 });
    expect(error.message).toBe(
      [
        `Another run holds the run lock (pid ${pid}) and did not end in time.`,
        'Applied: nothing by this run.',
        'Next: wait for the other run and run again; a run that died gives its lock back when its session ends.',
      ].join('\n'),
    );
    expect(scenario.events.filter(({ kind }) => kind === 'waiting-for-run').length).toBeGreaterThan(1);
  });

  exhaustive.it('a run with nothing to do does not wait', async () => {
    await scenario.run(files);
    await lockedBy();
    expect((await scenario.run(files)).outcome).toBe('done');
  });
});

it('a status reads the ledger, the builds and the last run, and writes nothing, not even where there is no ledger', async () => {
  const empty = await scenario.status(files);
  expect(empty).toMatchObject({
    migrations: [{ name: '1_users', state: 'pending' }],
    builds: [],
    lastRun: undefined,
  });
  expect(await scenario.query(`select to_regnamespace('migrations') as schema`)).toEqual([{ schema: null }]);
  await scenario.run(files);
  const status = await scenario.status({ ...files, '2_new.sql': '' });
  expect(status.migrations.map(({ name, state }) => `${name} ${state}`)).toEqual([
    '1_users applied',
    '2_new pending',
  ]);
  expect(status.lastRun).toMatchObject({ cause: 'cloudformation', outcome: 'done', error: undefined });
});
