import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { count } from '../../lambda/migration/amounts.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { withSession } from '../../lambda/postgres/session/connect.ts';
import { findByHand } from './by-hand.ts';
import {
  DATABASE_HELP,
  type DatabaseFlags,
  describeTarget,
  PATIENCE_SECONDS,
  readInvocation,
  withDatabaseFlags,
} from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { answered } from './failure.ts';
import { psqlScript } from './psql-script.ts';
import { Terminal } from './terminal.ts';

interface ExportFlags extends DatabaseFlags {
  readonly output?: string;
}

export function addExport(program: Command): void {
  withDatabaseFlags(program.command('export'))
    .description(
      'write what is pending for the loop as a script for psql, to be run by hand; changes nothing',
    )
    .option('--output <file>', 'write it there instead of to standard output')
    .addHelpText(
      'after',
      `
The script stops at the first error, skips what is valid, drops what an earlier try left INVALID,
and looks at each index after it was built. What was handed off of other work it does too, a backfill in batches behind
the last one, and notes it in the ledger. The next up finds all of it and records it.
What can't be done by hand is named in the script, with the reason.
${DATABASE_HELP}

Exit codes:
  0  written, also where nothing is pending
  1  the database or the file could not be read or written
  2  the command itself is wrong

Examples:
  npx cdk-postgres-migrations export --output indexes.sql && psql -X -f indexes.sql "$DATABASE_URL"
  npx cdk-postgres-migrations export > indexes.sql`,
    )
    .action(async (flags: ExportFlags) => {
      process.exitCode = await exportScript(flags);
    });
}

async function exportScript(flags: ExportFlags): Promise<ExitCode> {
  const terminal = new Terminal({ json: false });
  return answered(terminal, async () => {
    const invocation = await readInvocation(flags);
    const found = await withSession(invocation.target, (session) => findByHand(session, invocation), {
      patienceSeconds: PATIENCE_SECONDS,
    });
    const script = psqlScript(found, {
      target: describeTarget(invocation),
      at: new Date(),
      smallTableRows: invocation.options.smallTableRows,
    });
    if (flags.output === undefined) process.stdout.write(script);
    else await write(flags.output, script);
    const { operations, leftOut } = found;
    const where = flags.output === undefined ? '' : ` in ${flags.output}`;
    terminal.errorLine(
      `${count(operations.length, 'operation')}${where}, ${leftOut.length} left to the next up.`,
    );
    return exitCode.done;
  });
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (error) {
    throw new MigrationError({
      code: 'file-not-written',
      what: `${file} could not be written: ${error instanceof Error ? error.message : String(error)}.`,
      next: 'give --output a path that may be written to.',
      cause: error,
    });
  }
}
