import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { compileMigrations } from '../../../compiler/steps/compile-migrations.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import type { RunRequest } from '../../../lambda/run/run.ts';
import { runMigrations } from '../../../lambda/run/run-migrations.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

let database: FreshDatabase;
beforeEach(async () => {
  database = await freshDatabase();
});

const SLEEPS = `select 1 from pg_stat_activity
                 where datname = current_database() and state = 'active' and query like '%pg_sleep(600)%'
                   and pid <> pg_backend_pid()`;

async function request(files: Record<string, string>, rest: Partial<RunRequest> = {}): Promise<RunRequest> {
  const folder = temporaryFolder();
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  return {
    migrations: await compileMigrations(folder),
    target: parseConnectionUrl(database.url, 'The URL'),
    options: defaultOptions,
    cause: { kind: 'command line', actor: 'somebody' },
    deadline: undefined,
    report: () => undefined,
    ...rest,
  };
}

describe('a run whose signal comes', () => {
  it('cancels the statement under way, which is rolled back, and throws the reason; the next run continues there', async () => {
    const controller = new AbortController();
    const files = {
      '1_a.sql': 'create table a (id int);',
      '2_b.sql': 'create table b (id int); select pg_sleep(600);',
      '3_c.sql': 'create table c (id int);',
    };
    const run = runMigrations(await request(files, { signal: controller.signal }));
    const settled = run.then(
      () => 'no error',
      (error: unknown) => error,
    );
    await expectEventually(async () => (await database.query(SLEEPS)).length === 1);
    controller.abort(new Error('somebody had enough'));
    expect(await settled).toEqual(new Error('somebody had enough'));
    expect(await database.query(SLEEPS)).toEqual([]);
    expect(
      await database.query(`select to_regclass('a') is null as a, to_regclass('b') is null as b,
        to_regclass('c') is null as c`),
    ).toEqual([{ a: false, b: true, c: true }]);
    expect(await database.query(`select outcome, summary ->> 'error' as error from migrations.run`)).toEqual([
      { outcome: 'failed', error: 'somebody had enough' },
    ]);
    const { applied } = await runMigrations(
      await request({ ...files, '2_b.sql': 'create table b (id int);' }),
    );
    expect(applied.map(({ migration }) => migration.name)).toEqual(['2_b', '3_c']);
  });

  it('cancels a statement that commits by itself, and forgets it', async () => {
    const controller = new AbortController();
    const files = { '1_a.sql': '-- migrate: no-transaction\nselect pg_sleep(600);' };
    const run = runMigrations(await request(files, { signal: controller.signal }));
    const settled = run.catch((error: unknown) => error);
    await expectEventually(async () => (await database.query(SLEEPS)).length === 1);
    controller.abort(new Error('somebody had enough'));
    expect(await settled).toEqual(new Error('somebody had enough'));
    expect(await database.query('select * from migrations.step')).toEqual([]);
  });

  it('stops waiting for another run', async () => {
    const controller = new AbortController();
    const files = { '1_a.sql': 'create table a (id int); select pg_sleep(600);' };
    const first = new AbortController();
    const holder = runMigrations(await request(files, { signal: first.signal })).catch(
      (error: unknown) => error,
    );
    await expectEventually(async () => (await database.query(SLEEPS)).length === 1);
    const kinds: string[] = [];
    const waiter = runMigrations(
      await request(files, { signal: controller.signal, report: ({ kind }) => void kinds.push(kind) }),
    ).catch((error: unknown) => error);
    await expectEventually(() => kinds.includes('waiting-for-run'));
    controller.abort(new Error('enough waited'));
    expect(await waiter).toEqual(new Error('enough waited'));
    expect((await database.query(SLEEPS)).length).toBe(1);
    first.abort(new Error('over'));
    await holder;
  });
});
