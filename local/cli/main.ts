#!/usr/bin/env node
import { Command } from 'commander';
import { addActionVerbs } from './action-verbs.ts';
import { exitCode } from './exit-code.ts';
import { addExport } from './export.ts';
import { addLint } from './lint.ts';
import { addNew } from './new.ts';
import { addPlan } from './plan.ts';
import { addStatus } from './status.ts';
import { addUp } from './up.ts';

/** Each verb is a file of its own in cli/, which adds its command; the operator's actions are a table in one. */
const verbs = [addUp, addStatus, addPlan, addLint, addNew, addExport, addActionVerbs];

/** The command line: the same code as the Lambda, against any database without AWS, or through what is deployed. */
const program = new Command('cdk-postgres-migrations')
  .description(
    'Runs migrations and builds their indexes: the same code as the deployed functions, on any database without AWS, or through what is deployed.',
  )
  .showHelpAfterError('(--help shows what is possible)')
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? exitCode.done : exitCode.usage);
  });

for (const add of verbs) add(program);

// A closed pipe, as with `… | head`, is not an error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode);
    throw error;
  });
}

await program.parseAsync();

// Abandoned work has open sessions, which would keep the process alive.
const left: unknown[] = [exitCode.interrupted, exitCode.terminated];
if (left.includes(process.exitCode)) process.exit();
