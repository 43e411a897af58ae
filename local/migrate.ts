import { Command } from 'commander';
import { addBaseline } from './cli/baseline.ts';
import { addCancel } from './cli/cancel.ts';
import { exitCode } from './cli/exit-code.ts';
import { addExport } from './cli/export.ts';
import { addLint } from './cli/lint.ts';
import { addNew } from './cli/new.ts';
import { addPlan } from './cli/plan.ts';
import { addRepair } from './cli/repair.ts';
import { addRetry } from './cli/retry.ts';
import { addStatus } from './cli/status.ts';
import { addUndo } from './cli/undo.ts';
import { addUp } from './cli/up.ts';

/** Each verb is a file of its own in cli/, which adds its command: options, help and action. */
const verbs = [
  addUp,
  addStatus,
  addPlan,
  addLint,
  addNew,
  addExport,
  addRetry,
  addCancel,
  addBaseline,
  addRepair,
  addUndo,
];

/** The command line: the same code as the Lambda, against any database, without AWS. */
const program = new Command('migrate')
  .description(
    'Runs migrations and builds their indexes: the same code as the deployed functions, without AWS.',
  )
  .showHelpAfterError('(--help shows what is possible)')
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? exitCode.done : exitCode.usage);
  });

for (const add of verbs) add(program);

// A reader that went away, as `… | head` does, is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode);
    throw error;
  });
}

await program.parseAsync();

// Work that was left has sessions open, which would keep the process alive.
const left: unknown[] = [exitCode.interrupted, exitCode.terminated];
if (left.includes(process.exitCode)) process.exit();
