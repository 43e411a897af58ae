import type { CompiledMigrations, Migration } from '../../lambda/migration/migration.ts';
import type { Version } from '../../lambda/migration/version.ts';
import type { FoundMigration } from '../layout/layout.ts';
import { readFolder } from '../layout/read-folder.ts';
import { CompileError } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import { type CompileOptions, checksumOf, partsOf, traitsOf, undoOf } from './compile-migrations.ts';

interface LazyOptions extends CompileOptions {
  /** The whole folder; the first caller gets its errors. */
  readonly compile: () => CompiledMigrations;
}

/** A file that is read, and not parsed. */
interface ReadFile {
  readonly found: FoundMigration;
  readonly up: SourceText;
  readonly checksum: string;
  readonly undo: { readonly file: string; readonly checksum: string } | undefined;
}

/**
 * A folder whose files are read, but compiled only when needed; never if they are applied and their checksum is
 * unchanged.
 *
 * @throws CompileError where names or bytes are wrong
 */
export function lazyMigrations(
  directory: string,
  { layout: given, placeholders = {}, compile }: LazyOptions,
): CompiledMigrations {
  const { folder, layout, files } = readFolder(directory, given);
  const reading = { folder, layout, placeholders };
  const read = files.flatMap((found): ReadFile[] => {
    const parts = partsOf(reading, found);
    const undo = folder.attempt(() => (found.undo === undefined ? parts?.down : undoOf(reading, found)));
    return parts === undefined ? [] : [{ found, up: parts.up, checksum: parts.up.checksum, undo }];
  });
  const historyTable = read.length === 0 ? undefined : folder.attempt(() => layout.historyTable?.(folder));
  if (folder.problems.length > 0) {
    // With all else that is wrong, since it is to be fixed at once.
    compile();
    throw new CompileError(folder.problems);
  }
  let compiled: ReadonlyMap<string, Migration> | undefined;
  const whole = (version: string): Migration => {
    compiled ??= new Map(compile().migrations.map((migration) => [migration.version, migration]));
    const found = compiled.get(version);
    if (found === undefined)
      throw new Error(`${directory} was changed while it was read: no ${version} any more.`);
    return found;
  };
  const migrations = read.map(({ found, up, checksum }, position): Migration => {
    const { id, name, file } = found;
    return {
      version: id as Version,
      name,
      file,
      checksum,
      position,
      get steps() {
        return whole(id).steps;
      },
      get undo() {
        return whole(id).undo;
      },
      get undoProblem() {
        return whole(id).undoProblem;
      },
      get waitsForBuilds() {
        return whole(id).waitsForBuilds;
      },
      get allowed() {
        return whole(id).allowed;
      },
      ...traitsOf(found, up, { folder, layout }),
    };
  });
  const { name: layoutName = 'plain', order = 'number' } = read.length === 0 ? {} : layout;
  return {
    format: 1,
    checksum: checksumOf(
      read.map(({ found, checksum, undo }) => ({
        version: found.id as Version,
        name: found.name,
        file: found.file,
        checksum,
        undo: undo === undefined ? undefined : { file: undo.file, checksum: undo.checksum },
      })),
    ),
    layout: layoutName,
    order,
    ...(historyTable && { historyTable }),
    migrations,
  };
}
