import { join } from 'node:path';
import type { CompiledMigrations, Migration } from '../../lambda/migration/migration.ts';
import { CompileError, FileRefused, type Problem } from '../syntax/problem.ts';
import { readSource } from '../syntax/source-file.ts';
import { checksumOf } from './compile-migrations.ts';
import { type MigrationFile, readFolder } from './migration-folder.ts';

/**
 * A folder whose files are read, and compiled only when it is asked what one of them does: of what is applied, and
 * unchanged by its checksum, that is never asked.
 *
 * @param compile the whole folder; what it throws, whoever asks first gets
 * @throws CompileError where names or bytes are wrong
 */
export function lazyMigrations(directory: string, compile: () => CompiledMigrations): CompiledMigrations {
  const { files, problems } = readFolder(directory);
  const refused: Problem[] = [...problems];
  let compiled: ReadonlyMap<string, Migration> | undefined;
  const whole = (version: string): Migration => {
    compiled ??= new Map(compile().migrations.map((migration) => [migration.version, migration]));
    const found = compiled.get(version);
    if (found === undefined)
      throw new Error(`${directory} has changed while it was read: no ${version} any more.`);
    return found;
  };
  const read = files.flatMap((file) => {
    try {
      const undo = file.undo === undefined ? undefined : checksum(directory, file.undo);
      return { file, checksum: checksum(directory, file.file), undo };
    } catch (error) {
      if (!(error instanceof FileRefused)) throw error;
      refused.push(error.problem);
      return [];
    }
  });
  if (refused.length > 0) {
    // With all else that is wrong, since it is to be mended at once.
    compile();
    throw new CompileError(refused);
  }
  return {
    format: 1,
    checksum: checksumOf(
      read.map(({ file, checksum, undo }) => ({
        ...file,
        checksum,
        undo: file.undo === undefined ? undefined : { file: file.undo, checksum: undo },
      })),
    ),
    migrations: read.map(({ file, checksum }) => lazy(file, checksum, () => whole(file.version))),
  };
}

function checksum(directory: string, file: string): string {
  return readSource(join(directory, file), file).checksum;
}

function lazy({ version, name, file }: MigrationFile, checksum: string, whole: () => Migration): Migration {
  return {
    version,
    name,
    file,
    checksum,
    get steps() {
      return whole().steps;
    },
    get undo() {
      return whole().undo;
    },
    get waitsForBuilds() {
      return whole().waitsForBuilds;
    },
    get allowed() {
      return whole().allowed;
    },
  };
}
