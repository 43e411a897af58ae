import { expect, it } from 'vitest';
import { withTcpProxy } from '../../../../local/wire/tcp-proxy.ts';
import { freshScenario, largeTable } from '../../run/scenario.ts';

it('an outcome that is written while the turn looks for the builder counts: what cannot succeed is not begun again', async () => {
  const scenario = await freshScenario({ dblink: true });
  const tables = { '1_tables.sql': largeTable('large') };
  const files = { ...tables, '2_index.sql': 'create unique index concurrently large_u on large ((x / 2));' };
  await scenario.run(tables);
  await scenario.run(files);
  await scenario.query(
    `update migrations.index_build set state = 'building', attempts = 1, started_at = now() - interval '1 hour'`,
  );
  await withTcpProxy({ target: scenario.database.url }, async (proxy) => {
    const looks = proxy.inject({
      direction: 'to-server',
      containing: 'pg_stat_progress_create_index',
      action: 'stall',
    });
    const loop = scenario.loop(files, { url: proxy.url });
    await looks;
    await scenario.query(`update migrations.index_build set attempt_outcome =
      '{"kind": "failed", "fault": {"sqlstate": "23505", "message": "an hour ago"}}'`);
    proxy.release();
    expect((await loop).message).toContain('failed after 1 attempt: an hour ago (SQLSTATE 23505)');
  });
  expect(scenario.events.filter(({ kind }) => kind === 'started')).toEqual([]);
});
