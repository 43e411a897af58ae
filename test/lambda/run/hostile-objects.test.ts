import { expect, it } from 'vitest';
import { freshDatabase } from '../../support/fresh-database.ts';
import { putHostileObjects } from '../../support/hostile-objects.ts';
import { largeTable, scenarioOn } from './scenario.ts';

/** A role of the application, which may create objects in `public` and schemas in the database. */
async function databaseWithHostileRole() {
  const database = await freshDatabase();
  const role = database.owner.replace('owner', 'evil');
  await database.adminQuery(`create role ${role}; create extension dblink;
grant create on schema public to ${role}; grant create on database ${database.name} to ${role};
set role ${role}; create schema ${database.owner}; grant usage on schema ${database.owner} to public`);
  return { database, role, schemas: ['public', database.owner] };
}

it('no function and no operator that another role made is called in any session of a deploy', async () => {
  const { database, role, schemas } = await databaseWithHostileRole();
  const scenario = scenarioOn(database);
  const files = { '1_big.sql': `set search_path = public; ${largeTable('big')}` };
  await scenario.run(files);
  const hostile = await putHostileObjects(database, { role, schemas });
  const { outcome } = await scenario.deploy({
    ...files,
    '2_index.sql': 'create index concurrently big_x on public.big (x);',
  });
  expect(outcome).toBe('done');
  expect(await hostile.called()).toEqual([]);
});
