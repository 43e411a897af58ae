import { join } from 'node:path';
import type { Migration } from '../../lambda/migration/migration.ts';
import { type Directives, readDirectives } from '../syntax/directives.ts';
import { type FileRole, refuseDividedFile } from '../syntax/divided-file.ts';
import { type ParsedFile, parseFile } from '../syntax/parse-file.ts';
import { readSource } from '../syntax/source-file.ts';

/** One SQL file, parsed: what the linter reads, and what a migration is compiled from. */
export interface ParsedMigrationFile extends ParsedFile {
  readonly directives: Directives;
}

/** A migration with the syntax trees of which it was made. */
export interface ParsedMigration {
  readonly migration: Migration;
  readonly up: ParsedMigrationFile;
  readonly undo: ParsedMigrationFile | undefined;
}

/**
 * Reads one SQL file. `file` is its path in errors, relative to the folder.
 *
 * @throws FileRefused with the first thing that is wrong
 */
export function parseMigrationFile(directory: string, file: string, role: FileRole): ParsedMigrationFile {
  const parsed = parseFile(readSource(join(directory, file), file));
  refuseDividedFile(parsed, role);
  return { ...parsed, directives: readDirectives(parsed.source, parsed.comments) };
}
