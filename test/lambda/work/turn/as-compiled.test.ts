import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { exhaustive, firstOf } from '../../../support/exhaustive.ts';
import { operatorOf } from '../../actions/operator.ts';
import { freshScenario, type Scenario } from '../../run/scenario.ts';
import { builds, work as files, tables as table } from './work-of-each-kind.ts';

/** What the ledger is made to say, of which builds. */
const CHANGES: Readonly<Record<string, { readonly set: string; readonly where?: string }>> = {
  'another statement': { set: `statement = 'create table hacked ()'` },
  'another definition': {
    set: `definition = '((hack() + 1))', statement = replace(statement, '(x)', '((hack() + 1))')`,
    where: `operation = 'create'`,
  },
  'another setting': { set: `settings = settings || 'create table hacked ()'::text` },
  'fewer settings': { set: `settings = '{}'` },
  'another operation': { set: `operation = 'statement', statement = 'create table hacked ()'` },
  'another index to drop': {
    set: `index_name = 'large_pkey', statement = 'drop index concurrently if exists "public"."large_pkey"'`,
    where: `operation = 'drop'`,
  },
};

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
  await scenario.run(table);
  await scenario.run(files);
  await scenario.database.adminQuery(
    `create function hack() returns int immutable language plpgsql as 'begin raise exception ''hacked''; end'`,
  );
});

/** The builds that it says it of. */
async function makeItSay({ set, where = 'true' }: { set: string; where?: string }): Promise<Set<string>> {
  const rows = await scenario.database.adminQuery<{ id: string }>(
    `update migrations.work set ${set} where ${where} returning id`,
  );
  return new Set(rows.map(({ id }) => id));
}

const states = async () => {
  const rows = await scenario.query<{ line: string }>(
    `select operation || ' ' || index_name || ' ' || state || coalesce(' ' || (fault ->> 'message'), '') as line
       from migrations.work where parent_build is null order by id`,
  );
  return rows.map(({ line }) => line);
};

describe('what the ledger has of a build that this code knows', () => {
  it('is executed as the code has compiled it', async () => {
    expect(await scenario.loop(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await states()).toEqual(builds.map((each) => `${each} done`));
  });

  it.each(firstOf(1, Object.entries(CHANGES)))(
    'is not executed where it is changed: %s',
    async (_, change) => {
      const changed = await makeItSay(change);
      expect((await scenario.loop(files)).outcome).toBe('failed');
      const ended = await scenario.query<{ id: string; state: string; fault: { message: string } | null }>(
        'select id, state, fault from migrations.work where parent_build is null order by id',
      );
      for (const { id, state, fault } of ended) {
        if (changed.has(id))
          expect([state, fault?.message]).toEqual([
            'failed',
            "the ledger's row of this build does not match what 2_work.sql says, so it was not executed",
          ]);
        else expect(state).toBe('done');
      }
      expect(
        await scenario.query(
          "select to_regclass('hacked')::text as hacked, to_regclass('large_pkey')::text as pkey",
        ),
      ).toEqual([{ hacked: null, pkey: 'large_pkey' }]);
    },
  );

  it('is not executed again once its step is applied', async () => {
    await scenario.loop(files);
    await scenario.query('create index large_old on large (x)');
    await makeItSay({ set: `state = 'pending', attempts = 0`, where: `operation = 'drop'` });
    expect((await scenario.loop(files)).message).toContain(
      'does not match what 2_work.sql says, so it was not executed (SQLSTATE 55000); Its step is recorded as applied.',
    );
    expect(await scenario.indexes()).toContain('large_old');
  });

  exhaustive.it('is not executed where the names of the file mean another table by now', async () => {
    await scenario.query(
      'create schema nearer; create table nearer.large (x int); alter role current_user in database "' +
        scenario.database.name +
        '" set search_path = nearer, public',
    );
    const { message } = await scenario.loop(files);
    expect(message).toContain(
      'The ledger says i of public.large, and the names in 2_work.sql mean something else.',
    );
    expect(await scenario.indexes()).not.toContain('i');
  });

  exhaustive.it('is not looked for by cancel where it is changed: what stands elsewhere stays', async () => {
    await scenario.query(
      'create schema elsewhere; create table elsewhere.large (x int); insert into elsewhere.large values (1), (1)',
    );
    await scenario.query('create unique index concurrently i on elsewhere.large (x)').catch(() => undefined);
    await makeItSay({
      set: `schema_name = 'elsewhere', statement = replace(statement, '"public"', '"elsewhere"')`,
      where: `index_name = 'i'`,
    });
    expect(await operatorOf(scenario).refusal({ action: 'cancel', index: 'i' }, files)).toContain(
      "but any index that it left was not looked for: the ledger's row of this build does not match what",
    );
    expect(await scenario.indexes()).toContain('i INVALID');
  });

  exhaustive.it('is handed off again once the ledger has forgotten it', async () => {
    await makeItSay({ set: `statement = 'create table hacked ()'` });
    await scenario.loop(files);
    await scenario.database.adminQuery(
      `delete from migrations.work where version = '2'; delete from migrations.step where version = '2'`,
    );
    expect(await scenario.deploy(files)).toEqual({ outcome: 'valid', message: '' });
  });
});

describe('what the ledger has of a build that this code does not know', () => {
  exhaustive.it('is continued where nobody but its owner can write the ledger', async () => {
    expect(await scenario.loop(table)).toEqual({ outcome: 'valid', message: '' });
    expect((await states()).every((line) => line.endsWith(' done'))).toBe(true);
  });

  exhaustive.it('is not where somebody can, and the fault says who', async () => {
    const app = scenario.database.owner.replace('owner', 'app');
    await scenario.database.adminQuery(
      `create role ${app}; grant update (statement) on migrations.work to ${app}`,
    );
    onTestFinished(async () => {
      await scenario.database.adminQuery(`drop owned by ${app}; drop role ${app}`);
    });
    expect((await scenario.loop(table)).message).toContain(
      `i on public.large (2_work.sql:2) failed before it started: the deployed code does not know 2_work.sql as it was handed off, and others may have changed it in the ledger, so it was not executed`,
    );
    const [{ fault } = {}] = await scenario.query<{ fault: { hint: string } }>(
      'select fault from migrations.work order by id limit 1',
    );
    expect(fault?.hint).toContain(`Revoke the privilege to write the ledger's tables from ${app}`);
    // Code that knows it continues with it all the same.
    await scenario.run(files);
    expect(await scenario.loop(files)).toEqual({ outcome: 'valid', message: '' });
  });
});

exhaustive.it('how far a backfill came is never executed, whatever the ledger is made to say', async () => {
  await scenario.loop(files);
  const filled = {
    ...files,
    '3_heap.sql': `create table pile (x int, y int check (y < 2500));
insert into pile select i from generate_series(1, 3000) i;`,
    '4_fill.sql': `-- migrate: backfill
update pile set y = x where y is null;`,
  };
  await scenario.run({ ...files, '3_heap.sql': filled['3_heap.sql'] });
  expect((await scenario.deploy(filled)).message).toContain('It failed at a row in block');
  await scenario.database.adminQuery(
    `update migrations.backfill set cursor = array['0,0)''::pg_catalog.tid and public.hack() > 0 --']`,
  );
  expect((await scenario.deploy(filled)).message).toContain(
    "this statement can't be done in batches: what the ledger says of how far it came is no block of",
  );
  // Of another kind of walk it would be no block.
  await scenario.database.adminQuery(`update migrations.backfill set kind = 'key'`);
  expect((await scenario.deploy(filled)).message).toContain("and can't be continued");
});
