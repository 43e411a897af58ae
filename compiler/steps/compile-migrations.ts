import { createHash } from 'node:crypto';
import type { CompiledMigrations, Migration, UndoFile } from '../../lambda/migration/migration.ts';
import { CompileError, FileRefused, type Problem } from '../syntax/problem.ts';
import { type FolderFacts, gatherFacts } from '../touches/folder-facts.ts';
import { addLocks } from './add-locks.ts';
import { divideFile } from './divide-file.ts';
import { type MigrationFile, readFolder } from './migration-folder.ts';
import { type ParsedMigration, type ParsedMigrationFile, parseMigrationFile } from './parsed-migration.ts';
import { finishSteps } from './steps.ts';

export { CompileError, type Problem } from '../syntax/problem.ts';
export type { ParsedMigration } from './parsed-migration.ts';

/**
 * Compiles a folder of migrations.
 *
 * @throws CompileError with all that is wrong, at most one problem per file
 */
export async function compileMigrations(directory: string): Promise<CompiledMigrations> {
  return compileMigrationsSync(directory);
}

/** As compileMigrations, for a construct's constructor, which cannot wait. */
export function compileMigrationsSync(directory: string): CompiledMigrations {
  return compiledFrom(parseMigrations(directory));
}

/** What of parsed migrations the functions need. */
export function compiledFrom(parsed: readonly ParsedMigration[]): CompiledMigrations {
  const migrations = parsed.map(({ migration }) => migration);
  return { format: 1, checksum: checksumOf(migrations), migrations };
}

/**
 * Compiles a folder and keeps the syntax trees.
 *
 * @throws CompileError as compileMigrations does
 */
export function parseMigrations(directory: string): readonly ParsedMigration[] {
  const folder = readFolder(directory);
  const problems: Problem[] = [...folder.problems];
  const read = folder.files.flatMap((file) => readBoth(directory, file, problems) ?? []);
  const facts = gatherFacts(read.flatMap(({ up, undo }) => [...up.statements, ...(undo?.statements ?? [])]));
  const migrations = read.flatMap((each) => attempt(problems, () => compileOne(each, facts)) ?? []);
  if (problems.length > 0) throw new CompileError(problems);
  return addLocks(migrations);
}

interface ReadMigration {
  readonly file: MigrationFile;
  readonly up: ParsedMigrationFile;
  readonly undo: ParsedMigrationFile | undefined;
}

function readBoth(directory: string, file: MigrationFile, problems: Problem[]): ReadMigration | undefined {
  const up = attempt(problems, () => parseMigrationFile(directory, file.file, 'up'));
  const { undo: undoFile } = file;
  const undo =
    undoFile === undefined
      ? undefined
      : attempt(problems, () => parseMigrationFile(directory, undoFile, 'down'));
  return up === undefined ? undefined : { file, up, undo };
}

function compileOne({ file, up, undo }: ReadMigration, facts: FolderFacts): ParsedMigration {
  const { version, name } = file;
  const migration: Migration = {
    version,
    name,
    file: file.file,
    checksum: up.source.checksum,
    steps: finishSteps(divideFile(up, up.directives, facts), facts),
    undo: undo === undefined ? undefined : compileUndo(undo, facts),
    waitsForBuilds: up.directives.wait,
    allowed: up.directives.allowed,
  };
  return { migration, up, undo };
}

function compileUndo(undo: ParsedMigrationFile, facts: FolderFacts): UndoFile {
  const { file, checksum } = undo.source;
  return { file, checksum, steps: finishSteps(divideFile(undo, undo.directives, facts), facts) };
}

/** Other files go on when one is refused, so that all mistakes are shown at once. */
function attempt<Result>(problems: Problem[], compile: () => Result): Result | undefined {
  try {
    return compile();
  } catch (error) {
    if (!(error instanceof FileRefused)) throw error;
    problems.push(error.problem);
    return undefined;
  }
}

type Summed = Pick<Migration, 'version' | 'name' | 'file' | 'checksum'> & {
  readonly undo: { readonly file: string; readonly checksum: string | undefined } | undefined;
};

/** Over all files, in order. */
export function checksumOf(migrations: readonly Summed[]): string {
  const hash = createHash('sha256');
  for (const { version, name, file, checksum, undo } of migrations) {
    hash.update(`${JSON.stringify([version, name, file, checksum, undo?.file, undo?.checksum])}\n`);
  }
  return hash.digest('hex');
}
