import { runMigrations } from '../lambda/run/run-migrations.ts';
import { runLoop } from '../local/cli/in-process-loop.ts';
import { query, withBenchServer, withDatabase } from './bench-database.ts';
import { type Figure, median } from './figure.ts';
import { DEFINITION, deployOf, fillMessages, INDEX } from './large-table.ts';

export interface BuildOptions {
  readonly rows: number;
  readonly rounds: number;
  readonly say: (line: string) => void;
}

/** The same index on the same table, in turns: the bare statement, and handed off and built through the loop. */
export async function buildThroughLoop({ rows, rounds, say }: BuildOptions): Promise<Figure[]> {
  const bare: number[] = [];
  const loop: number[] = [];
  await withBenchServer((server) =>
    withDatabase(server, async (url) => {
      say(`a table of ${rows} rows`);
      await fillMessages(url, rows);
      for (let round = 1; round <= rounds; round += 1) {
        say(`index build, round ${round} of ${rounds}: bare statement`);
        const statement = `create index concurrently ${INDEX} ${DEFINITION}`;
        bare.push(await timed(() => query(url, statement)));
        await query(url, `drop index ${INDEX}`);
        await query(url, 'checkpoint');
        say(`index build, round ${round} of ${rounds}: through the loop`);
        // A different index for each round: a file with the content of an applied one counts as that one, renamed.
        const index = `${INDEX}_${round}`;
        const request = await deployOf(url, {
          [`${round}_index.sql`]: `create index concurrently ${index} ${DEFINITION};`,
        });
        loop.push(
          await timed(async () => {
            const { builds } = await runMigrations(request);
            if (builds.length !== 1) throw new Error('the build was not handed off');
            const { outcome, message } = await runLoop({ ...request, report: () => {} });
            if (outcome !== 'valid') throw new Error(message);
          }),
        );
        await query(url, `drop index ${index}`);
        await query(url, 'checkpoint');
      }
    }),
  );
  const benchmark = `an index build over ${rows.toLocaleString('en-US')} rows`;
  const statement = median(bare);
  return [
    {
      benchmark,
      who: 'deploy and loop',
      value: median(loop),
      unit: 's',
      atMost: statement * 1.02 + 1,
    },
    { benchmark, who: 'bare statement', value: statement, unit: 's' },
  ];
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
}
