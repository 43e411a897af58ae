import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { readFolder } from '../../compiler/layout/read-folder.ts';
import { readFileName, readFolderName } from '../../compiler/syntax/file-name.ts';
import type { LayoutName } from '../../lambda/migration/layout.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { Version } from '../../lambda/migration/version.ts';
import { directoryOf, layoutOption, withDirectory } from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { answered } from './failure.ts';
import { nextMigration } from './next-migration.ts';
import { Terminal } from './terminal.ts';

interface NewFlags {
  readonly dir?: string;
  readonly layout?: LayoutName;
  readonly undo?: boolean;
}

export function addNew(program: Command): void {
  withDirectory(program.command('new'))
    .argument('<name>', 'what it does, such as add_user_email')
    .description('create the next migration, and print its path')
    .addOption(layoutOption())
    .option('--undo', 'create its undo file too')
    .addHelpText(
      'after',
      `
The version continues the folder's own way: 0007 follows 0006, a timestamp follows timestamps, and
a folder with up.sql follows folders with up.sql. In an empty folder it is the time, in UTC.

Exit codes:
  0  created
  1  the file could not be written
  2  the command itself is wrong, the name for instance

Examples:
  npx cdk-postgres-migrations new add_user_email
  npx cdk-postgres-migrations new drop_legacy_tables --dir db/migrations --undo`,
    )
    .action(async (name: string, flags: NewFlags) => {
      process.exitCode = await create(name, flags);
    });
}

async function create(name: string, { undo, ...flags }: NewFlags): Promise<ExitCode> {
  const terminal = new Terminal({ json: false });
  return answered(terminal, async () => {
    const dir = directoryOf(flags);
    const { layout, files } = readFolder(dir, flags.layout);
    const command = OWN_COMMAND.get(layout.name);
    if (command !== undefined) throw ownCommand(layout.title, command);
    const existing = files.map(({ file }) => ({ file, version: versionOf(file) }));
    const next = nextMigration(existing, checkName(name), new Date());
    const template = DIVIDED.get(layout.name);
    await write(dir, next.file, template ?? TEMPLATE);
    terminal.line(join(dir, next.file));
    if (undo === true && template === undefined) {
      await write(dir, next.undo, UNDO_TEMPLATE);
      terminal.line(join(dir, next.undo));
    }
    return exitCode.done;
  });
}

/** Tools that write more than the file: a journal, a sum, a place in a chain. */
const OWN_COMMAND: ReadonlyMap<LayoutName, string> = new Map([
  ['drizzle', 'npx drizzle-kit generate --custom --name NAME'],
  ['node-pg-migrate', 'npx node-pg-migrate create NAME --migration-file-language sql'],
  ['flyway', 'a file V<version>__NAME.sql'],
  ['graphile-migrate', 'npx graphile-migrate commit --message NAME'],
  ['atlas', 'atlas migrate new NAME'],
  ['alembic', 'alembic revision -m NAME, then the script: docs/from-alembic.md'],
  ['liquibase', 'another --changeset at the end of a file'],
]);

/** Both directions are in the one file. */
const DIVIDED: ReadonlyMap<LayoutName, string> = new Map([
  ['dbmate', '-- migrate:up\n\n\n-- migrate:down\n\n'],
  ['goose', '-- +goose Up\n\n\n-- +goose Down\n\n'],
]);

function ownCommand(tool: string, command: string): MigrationError {
  return new MigrationError({
    code: 'usage',
    what: `This folder is laid out as ${tool} does it, and ${tool} makes new migrations in it.`,
    next: `make it as before: ${command}.`,
  });
}

/** Of the file, or of the folder that it is in. */
function versionOf(file: string): Version {
  const [entry = ''] = file.split('/');
  const name = entry.endsWith('.sql') ? readFileName(entry) : readFolderName(entry);
  return name.kind === 'migration' ? name.version : ('0' as Version);
}

const LONGEST_NAME = 100;

function checkName(name: string): string {
  if (/^[a-z][a-z0-9_-]*$/i.test(name) && name.length <= LONGEST_NAME) return name;
  throw new MigrationError({
    code: 'usage',
    what: `'${name}' is not a valid name for a migration.`,
    next: `begin with a letter, and use letters, digits, _ and - (at most ${LONGEST_NAME}), such as add_user_email; the version and .sql are added.`,
  });
}

async function write(directory: string, file: string, text: string): Promise<void> {
  const path = join(directory, file);
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text, { flag: 'wx' });
  } catch (error) {
    throw new MigrationError({
      code: 'file-not-written',
      what: `${path} could not be written: ${error instanceof Error ? error.message : String(error)}.`,
      next: 'see that the folder may be written to, and that no such file is there.',
      cause: error,
    });
  }
}

// No line of it may be a directive, which begins with "-- migrate:".
const TEMPLATE = `-- What this migration does, and why.
--
-- The statements of this file run as one transaction: all of them, or none.
--
--   alter table users add column email text;
--
-- An index on a table that is in use is built beside the traffic, after this file, with
--
--   create index concurrently users_email on users (email);
--
-- Directives, each in a line of its own:
--
--   "-- migrate: wait"                every index build before this file ends first
--   "-- migrate: no-transaction"      each statement runs by itself
--   "-- migrate: allow RULE reason"   accepts what a rule of the linter warns of
`;

const UNDO_TEMPLATE = `-- What undoes it. It is run by the action undo, and never by itself.
`;
