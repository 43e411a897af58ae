import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { exitCode } from '../cli/exit-code.ts';
import { showFailure } from '../cli/failure.ts';
import { Interrupted, interruptible } from '../cli/interruption.ts';
import { Terminal } from '../cli/terminal.ts';

interface Flags {
  readonly rows: number;
  readonly json: boolean;
  readonly chaos: boolean;
}

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url));

/** `npm start`: a whole deploy on this machine, with nothing but Node. */
const program = new Command('npm start --')
  .description(
    "Runs a deploy with index builds on an embedded Postgres behind a proxy that behaves as Neon's does.",
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
  0    every migration is applied, every index is valid, no write of the application failed
  1    anything else
  130  Ctrl-C; everything that was started has ended

Examples:
  npm start
  npm start -- --rows 5000000
  npm start -- --chaos
  npm start -- --rows 100000 --json`,
  )
  .action(async (flags: Flags) => {
    const terminal = new Terminal({ json: flags.json });
    process.exitCode = await demo(flags, terminal);
    // Sockets of ended servers may linger; nothing of ours is left to wait for.
    process.exit();
  });

await program.parseAsync();

async function demo(flags: Flags, terminal: Terminal): Promise<number> {
  try {
    // Some seconds pass before the first thing happens, most of them until everything is loaded.
    terminal.line('A deploy with index builds, run on this machine.');
    const ok = await interruptible(async (signal) => {
      const { runDemo } = await import('./run-demo.ts');
      const { withScratch } = await import('./scratch.ts');
      return withScratch((directory) =>
        runDemo({ ...flags, terminal, directory, migrations: MIGRATIONS, signal }),
      );
    });
    return ok ? exitCode.done : exitCode.failed;
  } catch (error) {
    if (error instanceof Interrupted) {
      terminal.errorLine('Stopped; everything that was started has ended.');
      return error.exitCode;
    }
    showFailure(terminal, error);
    return exitCode.failed;
  }
}

function rowCount(text: string): number {
  const rows = Number(text);
  if (!Number.isInteger(rows) || rows < 1_000 || rows > 100_000_000) {
    throw new InvalidArgumentError('It has to be a whole number from 1000 to 100000000.');
  }
  return rows;
}
