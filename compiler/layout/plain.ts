import { compareVersions, type Version } from '../../lambda/migration/version.ts';
import { type FileName, readFileName, readFolderName } from '../syntax/file-name.ts';
import { FileRefused } from '../syntax/problem.ts';
import type { Folder } from './folder.ts';
import type { FoundMigration, Layout } from './layout.ts';
import { type NamedFile, pairFiles, refuseCode } from './version-files.ts';

/** Numbered files, or folders with one file each, as docs/migration-files.md has it; Hasura has it so too. */
export const plain: Layout = {
  name: 'plain',
  title: 'numbered files',
  order: 'number',
  sign: () => undefined,
  find(folder) {
    refuseCode(folder, 'its tool');
    const found = findNumbered(folder, (entry) => look(folder, entry));
    if (found.length === 0 && folder.problems.length === 0) refuseUnread(folder);
    return found;
  },
};

/**
 * Where nothing is a migration, and SQL files are in subfolders (Sqitch's deploy/ and revert/, Hasura's databases, Prisma's
 * own folder), something is amiss.
 */
function refuseUnread(folder: Folder): void {
  for (const below of foldersIn(folder, '.')) {
    const file = [below, ...foldersIn(folder, below)]
      .flatMap((place) => folder.entries(place).map((entry) => `${place}/${entry}`))
      .find((entry) => /\.sql$/i.test(entry));
    if (file === undefined) continue;
    folder.problem({
      file,
      sentence: 'No migration is found here, and there are SQL files in subfolders, which are not read.',
      advice: `Give the folder that holds the migrations, such as ${folder.directory}/${below}; each is named VERSION_NAME.sql or VERSION_NAME/up.sql, in the order in which they are applied.`,
    });
    return;
  }
}

function foldersIn(folder: Folder, place: string): readonly string[] {
  return folder
    .entries(place)
    .filter((entry) => !entry.startsWith('.'))
    .map((entry) => (place === '.' ? entry : `${place}/${entry}`))
    .filter((entry) => folder.isFolder(entry));
}

/** What `look` makes of each entry, in order of version. */
export function findNumbered(
  folder: Folder,
  lookAt: (entry: string) => readonly NamedFile[],
): readonly FoundMigration[] {
  const found = folder.entries().flatMap((entry) => folder.attempt(() => lookAt(entry)) ?? []);
  return [...pairFiles(folder, found)].sort((a, b) => compareVersions(a.id as Version, b.id as Version));
}

function look(folder: Folder, entry: string): readonly NamedFile[] {
  if (entry.startsWith('.')) return [];
  if (folder.isFolder(entry)) return lookIntoFolder(folder, entry);
  const found = accept(entry, readFileName(entry));
  return found === undefined ? [] : [found];
}

function accept(file: string, name: FileName): NamedFile | undefined {
  switch (name.kind) {
    case 'other':
      return undefined;
    case 'refused':
      throw new FileRefused({ file, sentence: name.sentence, advice: name.advice });
    case 'migration':
    case 'undo':
      return { id: name.version, name: name.name, file, undo: name.kind === 'undo' };
  }
}

/** `<version>_<name>/` with `migration.sql` or `up.sql`, and `down.sql` to undo it. What else is in it is not ours. */
function lookIntoFolder(folder: Folder, below: string): readonly NamedFile[] {
  const name = readFolderName(below);
  const entries = folder.entries(below);
  if (name.kind !== 'migration') return refuseHiddenMigrations(below, entries);
  const has = (entry: string) => entries.includes(entry);
  const refuse = (sentence: string, advice: string) => new FileRefused({ file: below, sentence, advice });
  if (has('migration.sql') && has('up.sql')) {
    throw refuse('The folder holds both migration.sql and up.sql.', 'Keep one of them.');
  }
  const up = ['migration.sql', 'up.sql'].find(has);
  if (up === undefined) {
    refuseHiddenMigrations(below, entries);
    throw refuse(
      'The folder holds neither migration.sql nor up.sql.',
      'Add one of them, or rename the folder so that its name does not begin with a version.',
    );
  }
  const at = (entry: string, undo: boolean) => ({
    id: name.version,
    name: name.name,
    file: `${below}/${entry}`,
    undo,
  });
  return has('down.sql') ? [at(up, false), at('down.sql', true)] : [at(up, false)];
}

/** A folder without a version may hold anything but migrations, which would be passed over in silence. */
function refuseHiddenMigrations(folder: string, entries: readonly string[]): readonly NamedFile[] {
  const hidden = entries.find((entry) => readFileName(entry).kind === 'migration');
  if (hidden === undefined) return [];
  throw new FileRefused({
    file: `${folder}/${hidden}`,
    sentence: 'Migrations are not read from folders within the migrations folder.',
    advice: 'Give that folder, or move the file one level up.',
  });
}
