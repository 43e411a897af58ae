import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleCommandLine } from '../infra/bundle/bundle-for-node.ts';
import { withTcpProxy } from '../local/wire/tcp-proxy.ts';
import { withBenchServer, withDatabase } from './bench-database.ts';
import { runChild } from './child.ts';
import { type Figure, median } from './figure.ts';

export interface CommandLineOptions {
  /** How many files are already applied. */
  readonly count: number;
  readonly rounds: number;
  readonly say: (line: string) => void;
}

const root = fileURLToPath(new URL('..', import.meta.url));

/** The packaged command: how soon it answers, and what it costs when there is nothing to do. */
export async function commandLine({ count, rounds, say }: CommandLineOptions): Promise<Figure[]> {
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  // Below node_modules, since the parser is resolved from the program's own path.
  const scratch = mkdtempSync(join(cache, 'bench-'));
  const cli = join(scratch, 'cli.mjs');
  try {
    await bundleCommandLine(root, cli);
    const seconds = (args: readonly string[], codes: readonly number[] = [0]): number =>
      median(Array.from({ length: rounds }, () => run(cli, args, codes)));
    const help = seconds(['--help']);
    const wrong = seconds(['up', '--nope'], [2]);
    const [small, large] = [folder(scratch, 'small', 10), folder(scratch, 'large', count)];
    return await withBenchServer((server) =>
      withDatabase(server, async (url) => {
        say('the command line: status of ten files');
        run(cli, ['up', '--dir', small, '--database-url', url, '--schema', 'small'], [0]);
        const status = seconds(['status', '--dir', small, '--database-url', url, '--schema', 'small']);
        say(`the command line: up with ${count} applied files`);
        run(cli, ['up', '--dir', large, '--database-url', url], [0]);
        const idle = seconds(['up', '--dir', large, '--database-url', url]);
        const roundTrips = await withTcpProxy({ target: url }, async (proxy) => {
          await runAside(cli, ['up', '--dir', large, '--database-url', proxy.url]);
          return proxy.traffic.roundTrips;
        });
        return [
          { benchmark: 'the command line', who: '--help', value: help, unit: 's', atMost: 0.25 },
          { benchmark: 'the command line', who: 'an unknown option', value: wrong, unit: 's', atMost: 0.25 },
          { benchmark: 'the command line', who: 'status of 10 files', value: status, unit: 's', atMost: 0.6 },
          {
            benchmark: 'the command line',
            who: `up, ${count} files applied, nothing new`,
            value: idle,
            unit: 's',
            atMost: 0.8,
          },
          {
            benchmark: 'up with nothing to do, connecting included',
            who: `${count} files applied`,
            value: roundTrips,
            unit: 'round trips',
            atMost: 5,
          },
        ];
      }),
    );
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function folder(scratch: string, name: string, count: number): string {
  const directory = join(scratch, name);
  mkdirSync(directory);
  for (let number = 1; number <= count; number += 1) {
    const table = `${name}_${number}`;
    writeFileSync(
      join(directory, `${String(number).padStart(4, '0')}_${name}.sql`),
      `create table ${table} (id bigint, user_id bigint);\ncreate index ${table}_user on ${table} (user_id);\n`,
    );
  }
  return directory;
}

/** Seconds that it took. */
function run(cli: string, args: readonly string[], codes: readonly number[]): number {
  const begun = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  if (!codes.includes(status ?? -1)) throw new Error(`${args.join(' ')} ended with ${status}:\n${stderr}`);
  return (performance.now() - begun) / 1000;
}

/** Measured while this process has work to do for it. */
async function runAside(cli: string, args: readonly string[]): Promise<void> {
  await runChild([process.execPath, cli, ...args]);
}
