import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { preflight } from '../../../lambda/foresight/preflight.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { fill } from '../../../local/demo/fill.ts';
import type { HardenedForm } from '../../../local/postgres/hardened-profile.ts';
import { firstOf } from '../../support/exhaustive.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { type HardenedDatabase, hardenedDatabase } from '../../support/hardened-database.ts';
import { type Operator, operatorOf } from '../actions/operator.ts';
import { newLifeCycleIn } from '../lifecycle/life-cycle.ts';
import { compile, type Files, largeTable, SMALL_TABLE_ROWS, scenarioOn } from '../run/scenario.ts';

let database: HardenedDatabase;
let operator: Operator;
beforeEach(async () => {
  database = await hardenedDatabase();
  operator = operatorOf(scenarioOn(database));
});

/** The example's files, up to that number. */
async function example(upTo: number): Promise<Files> {
  const folder = join(import.meta.dirname, '../../../migrations');
  const names = (await readdir(folder)).filter(
    (name) => name.endsWith('.sql') && Number.parseInt(name, 10) <= upTo,
  );
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')])),
  );
}

/**
 * What the tables' owner sees of a table hangs on a setting that the migrations do not have: nothing, where the files
 * read the table themselves; an error, where only we would.
 */
const ROW_SECURITY = ['messages', 'saved_words', 'daily_stats']
  .map((table) => {
    const strict = table === 'daily_stats' ? '' : ', true';
    return `alter table ${table} enable row level security; alter table ${table} force row level security;
create policy own on ${table} using (user_id = current_setting('app.user_id'${strict})::bigint)`;
  })
  .join(';\n');

const FORMS: readonly HardenedForm[] = [
  { setRole: 'by role', dblink: 'closed' },
  { setRole: 'by file', dblink: 'usable' },
  { setRole: 'by role', dblink: 'usable' },
  { setRole: 'by file', dblink: 'closed' },
];

/** Begins each file as the form wants it. */
async function inForm(form: HardenedForm): Promise<(files: Files) => Files> {
  database = await hardenedDatabase(form);
  operator = operatorOf(scenarioOn(database));
  const begin = form.setRole === 'by file' ? `set role ${database.roles.owner};\n` : '';
  return (files) => Object.fromEntries(Object.entries(files).map(([name, sql]) => [name, `${begin}${sql}`]));
}

describe('in a database as careful teams run it', () => {
  it.each(firstOf(1, FORMS))(
    'the example is deployed, its indexes are built, and it is undone: SET ROLE $setRole, dblink $dblink',
    async (form) => {
      const begun = await inForm(form);
      await operator.deploy(begun(await example(4)));
      await fill(database.adminUrl, 2_000, () => {});
      await database.adminQuery(ROW_SECURITY);
      const files = begun(await example(10));
      const looked = await preflight({
        target: parseConnectionUrl(database.url, 'The URL'),
        options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS },
        migrations: await compile(files),
      });
      expect(looked.findings).toEqual([]);
      expect((await operator.plan(files)).refused).toBeUndefined();
      expect(await operator.deploy(files)).toEqual({ outcome: 'valid', message: '' });
      const { migrations, builds } = await operator.status(files);
      expect(migrations.map(({ state }) => state)).toEqual(migrations.map(() => 'applied'));
      expect(builds.length).toBeGreaterThan(3);
      expect(builds.filter(({ state }) => state !== 'done')).toEqual([]);
      // A backfill's batches are the turns' own.
      const sessions = builds
        .filter(({ operation }) => operation !== 'backfill')
        .map(({ session }) => session);
      expect(new Set(sessions)).toEqual(new Set([form.dblink === 'usable' ? 'loopback' : 'attached']));

      await operator.act({ action: 'undo', to: '4', confirm: true }, files);
      expect(
        (await operator.status(files)).migrations.filter(({ state }) => state === 'pending'),
      ).toHaveLength(6);
      expect(await database.taken()).toEqual([]);
      const roles = await database.adminQuery(
        "select distinct role, login from watched.ddl where login <> current_user and schema = 'public'",
      );
      expect(roles).toEqual([{ role: database.roles.owner, login: database.roles.login }]);
    },
  );

  it('a stack is created, updated, rolled back, and waits for its builds', async () => {
    const life = await newLifeCycleIn(database);
    const table = { '1_large.sql': largeTable('large') };
    expect((await life.deploy(table)).status).toBe('CREATE_COMPLETE');
    const files = {
      ...table,
      '2_index.sql': 'create index concurrently large_x on large (x);',
      '3_waits.sql': 'alter table large add column y int; select pg_sleep(3.5);',
    };
    expect((await life.deploy(files)).status).toBe('UPDATE_COMPLETE');
    await life.cloudFormation.settled();
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
    expect(await life.indexes()).toContain('large_x');
    const broken = { ...files, '4_broken.sql': 'alter table nobody add x int;' };
    expect((await life.deploy(broken)).status).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(await life.invoke({ action: 'status' })).toMatchObject({ builds: [{ state: 'done' }] });
    expect(await database.taken()).toEqual([]);
  });

  it.each(firstOf(1, [FORMS[1] as HardenedForm, FORMS[0] as HardenedForm]))(
    'an operator cancels, retries, baselines and repairs: SET ROLE $setRole, dblink $dblink',
    async (form) => {
      const begun = await inForm(form);
      const table = begun({
        '1_large.sql': `${largeTable('large')} create function slow(x int) returns int immutable language plpgsql
        as 'begin perform pg_catalog.pg_sleep(0.02); return x; end';`,
      });
      const files = {
        ...table,
        ...begun({
          '2_slow.sql': 'create index concurrently large_slow on large (slow(x));',
          '3_by_hand.sql': 'create table by_hand (x int);',
        }),
      };
      await operator.deploy(table);
      const loop = operator.run(files).then(() => operator.loop(files));
      await expectEventually(async () => (await operator.indexes()).includes('large_slow INVALID'));
      await operator.act({ action: 'cancel', index: 'large_slow' }, files);
      await loop;
      expect(await operator.indexes()).toEqual(['large_pkey']);

      await database.adminQuery(
        `create or replace function slow(x int) returns int immutable language sql as 'select x'`,
      );
      await operator.act({ action: 'retry' }, files);
      expect(await operator.loop(files)).toEqual({ outcome: 'valid', message: '' });
      expect(await operator.indexes()).toEqual(['large_pkey', 'large_slow']);

      const there = { ...files, '4_there.sql': 'select 1 / 0;' };
      await operator.act({ action: 'baseline', version: '4', confirm: true }, there);
      const steps = await operator.steps();
      expect(steps.at(-1)).toBe('4.0 baselined');
      expect(steps.slice(0, -1).filter((step) => !step.endsWith(' applied'))).toEqual([]);
      await operator.act({ action: 'repair', version: '4', forget: true, confirm: true }, there);
      expect(await operator.steps()).toEqual(steps.slice(0, -1));
      expect(await database.taken()).toEqual([]);
    },
  );
});
