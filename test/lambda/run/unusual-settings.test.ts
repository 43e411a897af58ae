import { expect, it } from 'vitest';
import { expectEventually } from '../../support/expect-eventually.ts';
import { serverMajor } from '../../support/server-major.ts';
import { operatorOf } from '../actions/operator.ts';
import { turnOf } from '../work/turn/building.ts';
import { tables, work } from '../work/turn/work-of-each-kind.ts';
import { compile, freshScenario, largeTable } from './scenario.ts';

/** What a role or a database may be set to that changes how statements are read, texts written or errors taken. */
const SETTINGS: Readonly<Record<string, string>> = {
  statement_timeout: '2ms',
  array_nulls: 'off',
  quote_all_identifiers: 'on',
  default_transaction_isolation: 'serializable',
  standard_conforming_strings: 'off',
  backslash_quote: 'off',
  transform_null_equals: 'on',
  datestyle: 'German, DMY',
  intervalstyle: 'sql_standard',
  timezone: 'Asia/Kathmandu',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  client_min_messages: 'debug5',
  client_encoding: 'SQL_ASCII',
  default_transaction_deferrable: 'on',
  'plpgsql.variable_conflict': 'use_column',
  'plpgsql.extra_errors': 'all',
  'plpgsql.extra_warnings': 'all',
  check_function_bodies: 'off',
  row_security: 'off',
  enable_seqscan: 'off',
  jit_above_cost: '0',
  work_mem: '64kB',
  max_stack_depth: '100kB',
  search_path: '',
  exit_on_error: 'on',
  ...(serverMajor >= 16 ? { debug_parallel_query: 'on' } : { force_parallel_mode: 'on' }),
  ...(serverMajor >= 17
    ? { restrict_nonsystem_relation_kind: 'view, foreign-table', event_triggers: 'off' }
    : {}),
};

it.each(Object.entries(SETTINGS))(
  'a role with %s = %s has all of its work done as any other',
  async (name, value) => {
    const scenario = await freshScenario({ dblink: true });
    const { owner, name: database, adminQuery } = scenario.database;
    await scenario.run(tables);
    await adminQuery(`alter role ${owner} in database ${database} set ${name} = '${value}'`);
    const files = {
      ...tables,
      '2_work.sql': `set search_path = public;\n${work['2_work.sql']}`,
      '3_more.sql': `set search_path = public;
create function said() returns text language plpgsql as $$ declare x text := 'it''s \\ fine'; begin return x; end $$;
insert into heap values (501, 501, null);`,
      '3_more.down.sql': `set search_path = public; delete from heap where id = 501; drop function said();`,
    };
    expect(await scenario.deploy(files)).toEqual({ outcome: 'valid', message: '' });
    const states = await adminQuery<{ line: string }>(
      `select operation || ' ' || state || ' ' || coalesce(session, '') || ' ' || attempts as line from migrations.work where parent_build is null order by id`,
    );
    expect(states.map(({ line }) => line)).toEqual([
      'create done loopback 1',
      'create done loopback 1',
      'create done  1',
      'drop done loopback 1',
      'reindex done loopback 1',
      'validate done loopback 1',
      'refresh done loopback 1',
      'vacuum done loopback 1',
      'analyze done loopback 1',
      'detach done loopback 1',
      'validate-domain done loopback 1',
      'backfill done attached 1',
      'statement done loopback 1',
    ]);
    expect((await scenario.plan(files)).files).toEqual([]);
    const status = await scenario.status(files);
    expect(status.migrations.map(({ state }) => state)).toEqual(['applied', 'applied', 'applied']);
    expect(await operatorOf(scenario).act({ action: 'undo', to: '2', confirm: true }, files)).toEqual({
      undone: ['3_more'],
    });
  },
);

it('a statement is done once, however often turns look at it, where transactions are to be serializable', async () => {
  const scenario = await freshScenario({ dblink: true });
  const { owner, name: database, adminQuery } = scenario.database;
  await adminQuery(
    `alter role ${owner} in database ${database} set default_transaction_isolation = 'serializable'`,
  );
  const files = {
    '1_log.sql': `${largeTable('large')} create table log (x int);`,
    '2_work.sql': '-- migrate: hand-off\ninsert into log select 1 from pg_sleep(5);',
  };
  await scenario.run(files);
  const migrations = await compile(files);
  await expectEventually(
    async () => {
      const [work] = await scenario.query<{ schema: string; table: string; state: string }>(
        'select schema_name as schema, table_name as table, state from migrations.work',
      );
      if (work === undefined || work.state === 'done') return work !== undefined;
      const { schema, table } = work;
      await turnOf(scenario.database, {
        schema,
        table,
        migrations,
        attachSeconds: 0,
        deadline: Date.now() + 100_000,
      });
      return false;
    },
    { withinMilliseconds: 60_000 },
  );
  expect(
    await scenario.query(
      'select attempts, turns > 2 as looked_at, (select count(*)::int from log) from migrations.work',
    ),
  ).toEqual([{ attempts: 1, looked_at: true, count: 1 }]);
});
