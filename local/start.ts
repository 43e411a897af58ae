import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { Interrupted } from './cli/interruption.ts';
import { Terminal } from './cli/terminal.ts';
import { playDeploy } from './demo/play-deploy.ts';

interface Flags {
  readonly rows: number;
  readonly json: boolean;
  readonly chaos: boolean;
}

/** `npm start`: the main job on this machine, with nothing but Node. */
const program = new Command('start')
  .description(
    "Plays a deploy with index builds on an embedded Postgres behind a proxy that behaves as Neon's does.",
  )
  .option('--rows <count>', 'messages in the example', rowCount, 1_000_000)
  .option(
    '--chaos',
    'kill the handler, terminate the builder and restart the server in the middle of builds',
    false,
  )
  .option('--json', 'the result as one JSON document on the last line', false)
  .addHelpText(
    'after',
    `
Exit codes:
  0  every migration applied, every index valid, every query through its index
  1  anything else

Examples:
  npm start
  npm start -- --rows 100000 --json`,
  )
  .action(async (flags: Flags) => {
    const terminal = new Terminal({ json: flags.json });
    const directory = mkdtempSync(join(tmpdir(), 'cdk-postgres-migrations-'));
    const controller = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (controller.signal.aborted) process.exit(130);
        controller.abort(new Interrupted(signal));
      });
    }
    try {
      const migrations = fileURLToPath(new URL('../migrations', import.meta.url));
      const ok = await playDeploy({ ...flags, terminal, directory, migrations, signal: controller.signal });
      process.exitCode = ok ? 0 : 1;
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      terminal.errorLine('Stopped; everything that was started has ended.');
      process.exitCode = error.exitCode;
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
    // Sockets of ended servers may linger; nothing of ours is left to wait for.
    process.exit();
  });

await program.parseAsync();

function rowCount(text: string): number {
  const rows = Number(text);
  if (!Number.isInteger(rows) || rows < 1_000 || rows > 100_000_000) {
    throw new InvalidArgumentError('It has to be a whole number from 1000 to 100000000.');
  }
  return rows;
}
