import { setTimeout as sleep } from 'node:timers/promises';
import { runMigrations } from '../lambda/run/run-migrations.ts';
import { runLoop } from '../local/cli/in-process-loop.ts';
import { query, withBenchServer, withDatabase } from './bench-database.ts';
import type { BuildOptions } from './build-through-loop.ts';
import type { Figure } from './figure.ts';
import { DEFINITION, deployOf, fillMessages, INDEX } from './large-table.ts';
import { type Writes, writingDuring } from './writer.ts';

/** How a deploy with two indexes and a new column affects an application that keeps writing. */
export async function writesDuringDeploy({ rows, say }: Omit<BuildOptions, 'rounds'>): Promise<Figure[]> {
  return withBenchServer((server) =>
    withDatabase(server, async (url) => {
      say(`a table of ${rows} rows`);
      await fillMessages(url, rows);
      say('writes with nothing else going on');
      const quiet = await writingDuring(url, () => sleep(3_000));
      say('writes during a plain CREATE INDEX');
      const plain = await writingDuring(url, () => query(url, `create index ${INDEX} ${DEFINITION}`));
      await query(url, `drop index ${INDEX}`);
      await query(url, 'checkpoint');
      say('writes during a deploy');
      const request = await deployOf(url, {
        '1_indexes.sql': `create index concurrently ${INDEX} ${DEFINITION};
create index concurrently messages_assistant on messages (created_at) where role = 'assistant';`,
        '2_column.sql': 'alter table messages add column edited_at timestamptz;',
      });
      const deploy = await writingDuring(url, async () => {
        await runMigrations(request);
        const { outcome, message } = await runLoop({ ...request, report: () => {} });
        if (outcome !== 'valid') throw new Error(message);
      });
      return [
        ...figuresOf('deploy', deploy, true),
        ...figuresOf('plain CREATE INDEX', plain, false),
        ...figuresOf('nothing going on', quiet, false),
      ];
    }),
  );
}

function figuresOf(who: string, { writes, failed, slowestMilliseconds }: Writes, goal: boolean): Figure[] {
  return [
    {
      benchmark: 'slowest write meanwhile',
      who: `${who} (${writes} writes)`,
      value: slowestMilliseconds,
      unit: 'ms',
      ...(goal ? { atMost: 100 } : {}),
    },
    { benchmark: 'failed writes', who, value: failed, unit: 'writes', ...(goal ? { atMost: 0 } : {}) },
  ];
}
