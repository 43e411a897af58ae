import type { Migration } from '../../lambda/migration/migration.ts';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import type { Layout } from '../layout/layout.ts';
import { type Directives, readDirectives } from '../syntax/directives.ts';
import { type FileRole, refuseDividedFile } from '../syntax/divided-file.ts';
import { type ParsedFile, parseFile } from '../syntax/parse-file.ts';
import type { SourceText } from '../syntax/source-text.ts';

/** One SQL file, parsed: what the linter reads, and what a migration is compiled from. */
export interface ParsedMigrationFile extends ParsedFile {
  readonly directives: Directives;
}

/** A migration with the syntax trees of which it was made. */
export interface ParsedMigration {
  /** How its folder is laid out. */
  readonly layout: Layout;
  /** As its tool's own settings there name the tool's table. */
  readonly historyTable: RelationName | undefined;
  readonly migration: Migration;
  readonly up: ParsedMigrationFile;
  readonly undo: ParsedMigrationFile | undefined;
}

/** One part of a file as the compiler is to read it. */
interface Part {
  readonly source: SourceText;
  readonly role: FileRole;
  readonly layout: Layout;
  /** The tool's own directive for it. */
  readonly noTransaction: boolean | undefined;
}

/** @throws FileRefused with the first thing that is wrong */
export function parsePart({ source, role, layout, noTransaction }: Part): ParsedMigrationFile {
  const parsed = parseFile(source);
  refuseDividedFile(parsed, role, layout.title);
  const directives = readDirectives(parsed.source, parsed.comments);
  return {
    ...parsed,
    directives: { ...directives, noTransaction: directives.noTransaction || noTransaction === true },
  };
}
