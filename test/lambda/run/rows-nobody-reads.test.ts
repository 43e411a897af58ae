import { expect, it, onTestFinished } from 'vitest';
import { startNeonProxy } from '../../../local/wire/neon-proxy.ts';
import { folderOf, migrate } from '../../local/cli/command-line.ts';
import { freshDatabase } from '../../support/fresh-database.ts';

/** Kept as objects, these rows take several hundred megabytes. */
const ROWS = `select g, 'what a function returned for ' || g as said from generate_series(1, 1000000) g;`;

const folder = () =>
  folderOf({
    '1_transaction.sql': ROWS,
    '2_batch.sql': `create table t (); ${ROWS}`,
    '3_alone.sql': `-- migrate: no-transaction\n${ROWS}`,
    '4_cursor.sql': `declare c cursor for ${ROWS} fetch all from c;`,
    '5_returning.sql': `create table said (a int, said text); insert into said ${ROWS.replace(';', ' returning *;')}`,
    '6_value.sql': `select repeat('x', 30000000);`,
    '7_caught.sql': `do $$ begin raise exception '%', repeat('x', 20000000); exception when others then null; end $$;`,
  });

it.each(['TCP', 'WebSocket'] as const)('rows that nobody reads are not kept, over %s', async (way) => {
  const database = await freshDatabase();
  const proxy = await startNeonProxy({ target: database.url });
  onTestFinished(() => proxy.stop());
  const { code, stderr } = await migrate(['up', '--dir', folder(), '--database-url', database.url], {
    NODE_OPTIONS: '--max-old-space-size=64',
    ...(way === 'WebSocket' ? { NEON_WS_PROXY: proxy.wsProxy } : {}),
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(await database.query('select count(*)::int as steps from migrations.step')).toEqual([{ steps: 7 }]);
});
