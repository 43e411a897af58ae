import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { compareVersions, type Version } from '../../lambda/migration/version.ts';
import { type FileName, readFileName, readFolderName } from '../syntax/file-name.ts';
import { FileRefused, type Problem } from '../syntax/problem.ts';
import { reasonOf } from '../syntax/source-file.ts';

/** Where a migration is to be read from; paths are relative to the folder, with `/`. */
export interface MigrationFile {
  readonly version: Version;
  readonly name: string;
  readonly file: string;
  readonly undo: string | undefined;
}

export interface MigrationFolder {
  /** In order of version. */
  readonly files: readonly MigrationFile[];
  readonly problems: readonly Problem[];
}

interface Found {
  readonly version: Version;
  readonly name: string;
  readonly file: string;
  readonly undo: boolean;
}

/** Lists the migrations of a folder. A missing folder is a problem, an empty one is not. */
export function readFolder(directory: string): MigrationFolder {
  const found: Found[] = [];
  const problems: Problem[] = [];
  for (const entry of list(directory, problems)) {
    try {
      found.push(...look(directory, entry));
    } catch (error) {
      if (!(error instanceof FileRefused)) throw error;
      problems.push(error.problem);
    }
  }
  const files = pair(found, problems);
  return { files, problems };
}

function list(directory: string, problems: Problem[]): string[] {
  try {
    // By code point, so that the order of problems is the same on every machine.
    return readdirSync(directory).sort();
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const sentence = missing
      ? 'The migrations folder does not exist.'
      : `The migrations folder can't be read: ${reasonOf(error)}.`;
    problems.push({ file: directory, sentence });
    return [];
  }
}

function look(directory: string, entry: string): readonly Found[] {
  if (entry.startsWith('.')) return [];
  if (isFolder(directory, entry)) return lookIntoFolder(directory, entry);
  const found = accept(entry, readFileName(entry));
  return found === undefined ? [] : [found];
}

function accept(file: string, name: FileName): Found | undefined {
  switch (name.kind) {
    case 'other':
      return undefined;
    case 'refused':
      throw new FileRefused({ file, sentence: name.sentence, advice: name.advice });
    case 'migration':
    case 'undo':
      return { version: name.version, name: name.name, file, undo: name.kind === 'undo' };
  }
}

/** `<version>_<name>/` with `migration.sql` or `up.sql`, and `down.sql` to undo it. What else is in it is not ours. */
function lookIntoFolder(directory: string, folder: string): readonly Found[] {
  const name = readFolderName(folder);
  const entries = readdirSync(join(directory, folder)).sort();
  if (name.kind !== 'migration') return refuseHiddenMigrations(folder, entries);
  const has = (entry: string) => entries.includes(entry);
  const refuse = (sentence: string, advice: string) => new FileRefused({ file: folder, sentence, advice });
  if (has('migration.sql') && has('up.sql')) {
    throw refuse('The folder holds both migration.sql and up.sql.', 'Keep one of them.');
  }
  const up = ['migration.sql', 'up.sql'].find(has);
  if (up === undefined) {
    refuseHiddenMigrations(folder, entries);
    throw refuse(
      'The folder holds neither migration.sql nor up.sql.',
      'Add one of them, or rename the folder so that its name does not begin with a version.',
    );
  }
  const at = (entry: string, undo: boolean) => ({ ...name, file: `${folder}/${entry}`, undo });
  return has('down.sql') ? [at(up, false), at('down.sql', true)] : [at(up, false)];
}

/** A folder without a version may hold anything but migrations, which would be passed over in silence. */
function refuseHiddenMigrations(folder: string, entries: readonly string[]): readonly Found[] {
  const hidden = entries.find((entry) => readFileName(entry).kind === 'migration');
  if (hidden === undefined) return [];
  throw new FileRefused({
    file: `${folder}/${hidden}`,
    sentence: 'Migrations are not read from folders within the migrations folder.',
    advice: 'Move it one level up.',
  });
}

function isFolder(directory: string, entry: string): boolean {
  try {
    return statSync(join(directory, entry)).isDirectory();
  } catch (cause) {
    // A link that leads nowhere, or in a circle.
    throw new FileRefused({ file: entry, sentence: `It can't be read: ${reasonOf(cause)}.` }, { cause });
  }
}

/** Finds each migration's undo file, and orders them. */
function pair(found: readonly Found[], problems: Problem[]): readonly MigrationFile[] {
  const undos = unique(found, { undo: true, problems });
  const files: MigrationFile[] = [];
  for (const { version, name, file } of unique(found, { undo: false, problems }).values()) {
    files.push({ version, name, file, undo: undos.get(version)?.file });
    undos.delete(version);
  }
  for (const { file, version } of undos.values()) {
    problems.push({
      file,
      sentence: `This undo file has no migration of version ${version} beside it.`,
      advice: 'Add the migration, or remove the undo file.',
    });
  }
  return files.sort((a, b) => compareVersions(a.version, b.version));
}

function unique(
  found: readonly Found[],
  { undo, problems }: { readonly undo: boolean; readonly problems: Problem[] },
): Map<Version, Found> {
  const byVersion = new Map<Version, Found>();
  for (const each of found.filter((candidate) => candidate.undo === undo)) {
    const other = byVersion.get(each.version);
    if (other === undefined) byVersion.set(each.version, each);
    else {
      problems.push({
        file: each.file,
        sentence: `Version ${each.version} is taken by ${other.file} already.`,
        advice: 'Give one of the two another version.',
      });
    }
  }
  return byVersion;
}
