import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { queryOnce } from '../../support/query-once.ts';
import { freshScenario, type Scenario } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario();
});

/** A database that is not UTF-8, as its URL. */
async function encoded(encoding: string): Promise<string> {
  const { name, owner, url, adminUrl } = scenario.database;
  const other = `${name}_${encoding.toLowerCase()}`;
  await scenario.database.adminQuery(
    `create database ${other} owner ${owner} encoding '${encoding}' locale 'C' template template0`,
  );
  onTestFinished(() =>
    scenario.database.adminQuery(`drop database ${other} with (force)`).then(() => undefined),
  );
  await queryOnce(adminUrl.replace(name, other), 'create extension dblink');
  return url.replace(name, other);
}

it.each([
  ['LATIN1', 'größe', 'привет', 'LATIN1'],
  ['WIN1251', 'привет', 'größe', 'WIN1251'],
  ['EUC_JP', '日本', '😀', 'EUC_JP'],
  ['SQL_ASCII', 'привет', undefined, ''],
])(
  'in %s file names, comments, identifiers and values may be %s',
  async (encoding, known, lacking, named) => {
    const url = await encoded(encoding);
    const files = {
      [`1_${known}.sql`]: `-- ${known} 😀
create table "${known}" (x text default '${known}'); insert into "${known}" select g::text from generate_series(1, 300) g;`,
    };
    const more = {
      ...files,
      [`2_${known}.sql`]: `create index concurrently "i_${known}" on "${known}" (x) where x <> '${known}';`,
    };
    await scenario.run(files, { url });
    expect(await scenario.deploy(more, { url })).toEqual({ outcome: 'valid', message: '' });
    const applied = await scenario.status(more, { url });
    expect(applied.migrations.map(({ name }) => name)).toEqual([`1_${known}`, `2_${known}`]);
    if (lacking === undefined) return;
    // Each of these is refused, and the run has ended.
    for (const wrong of [
      { [`3_${lacking}.sql`]: 'create table a ();' },
      { '3_a.sql': `create table "${lacking}" ();` },
      { '3_a.sql': `create table a (x text default '${lacking}');` },
      { '3_a.sql': `select 1 /* ${lacking} */ / 0;` },
    ]) {
      const { message } = await scenario.failure({ ...more, ...wrong }, { url });
      expect(message).toContain(`has no equivalent in encoding "${named}" (SQLSTATE 22P05)`);
      expect(message).toContain("has a character that the database's encoding lacks");
      const { runs } = await scenario.status({ ...more, ...wrong }, { url });
      expect(runs[0]).toMatchObject({ outcome: 'failed' });
    }
    expect((await scenario.run({ ...more, '3_a.sql': 'create table a ();' }, { url })).applied).toHaveLength(
      1,
    );
  },
);

it('in SQL_ASCII, errors that quote bytes which are no UTF-8 are shown, of a run and of a build', async () => {
  const url = await encoded('SQL_ASCII');
  const files = {
    '1_t.sql': `create table t (x text); insert into t select convert_from(decode('ff', 'hex'), 'SQL_ASCII') from generate_series(1, 300);
create table s as select * from t limit 2;`,
    '2_u.sql': 'set work_mem = $$5MB$$; create unique index concurrently t_x on t (x);',
  };
  await scenario.run({ '1_t.sql': files['1_t.sql'] }, { url });
  const { message } = await scenario.deploy(files, { url, dataCheckSeconds: 0 });
  expect(message).toContain('Key (x)=(\ufffd) is duplicated.');
  const { builds } = await scenario.status(files, { url });
  expect(builds[0]).toMatchObject({ state: 'failed' });
  const added = { ...files, '3_c.sql': 'set work_mem = $$6MB$$;\ncommit;\nalter table s add unique (x);' };
  const failed = await scenario.failure(added, { url, dataCheckSeconds: 0 });
  expect(failed.message).toContain('Key (x)=(\ufffd) is duplicated.');
});
