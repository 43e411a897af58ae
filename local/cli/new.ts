import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { exitCode } from './exit-code.ts';
import { showFailure } from './failure.ts';
import { Terminal } from './terminal.ts';

export function addNew(program: Command): void {
  program
    .command('new <name>')
    .description('create the next migration, and its undo file')
    .option('--dir <directory>', 'folder of the migrations', 'migrations')
    .addHelpText(
      'after',
      `
A folder that counts (0001, 0002, …) is counted on; any other gets a timestamp.

Example:
  npm run migrate -- new add_user_email`,
    )
    .action(async (name: string, { dir }: { readonly dir: string }) => {
      const terminal = new Terminal({ json: false });
      try {
        for (const file of await create(dir, name)) terminal.line(file);
      } catch (error) {
        showFailure(terminal, error);
        process.exitCode = exitCode.usage;
      }
    });
}

async function create(directory: string, name: string): Promise<string[]> {
  if (!/^[a-z0-9][a-z0-9_-]*$/i.test(name)) {
    throw new MigrationError({
      code: 'name-invalid',
      what: `'${name}' is no name for a migration.`,
      next: 'use letters, digits, _ and -, such as add_user_email.',
    });
  }
  await mkdir(directory, { recursive: true });
  const version = nextVersion(await readdir(directory), new Date());
  const file = join(directory, `${version}_${name}.sql`);
  const undo = join(directory, `${version}_${name}.down.sql`);
  if (existsSync(file))
    throw new MigrationError({ code: 'exists', what: `${file} exists.`, next: 'choose another name.' });
  await writeFile(file, TEMPLATE, { flag: 'wx' });
  await writeFile(undo, '-- What undoes it; run by the action undo only.\n', { flag: 'wx' });
  return [file, undo];
}

const TEMPLATE = `-- The statements of one file run in one transaction; an index on a table that is in use is best written as
--   create index concurrently on table_name (column_name);
-- and is built beside the traffic.
`;

/** The next number, as wide as the others; a timestamp where the folder does not count in small numbers. */
export function nextVersion(names: readonly string[], now: Date): string {
  const numbers = names.flatMap((name) => /^\d+/.exec(name)?.[0] ?? []);
  const counted = numbers.filter((digits) => digits.length <= 6);
  if (numbers.length > 0 && counted.length === numbers.length) {
    const width = Math.max(...counted.map((digits) => digits.length));
    return String(Math.max(...counted.map(Number)) + 1).padStart(width, '0');
  }
  return now.toISOString().replace(/\D/g, '').slice(0, 14);
}
