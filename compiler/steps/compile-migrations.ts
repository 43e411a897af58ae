import { createHash } from 'node:crypto';
import type { LayoutName } from '../../lambda/migration/layout.ts';
import type { CompiledMigrations, Migration, UndoFile } from '../../lambda/migration/migration.ts';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import type { Version } from '../../lambda/migration/version.ts';
import type { Folder } from '../layout/folder.ts';
import type { FoundMigration, Layout, Parts } from '../layout/layout.ts';
import { readFolder } from '../layout/read-folder.ts';
import { readFileName, readFolderName } from '../syntax/file-name.ts';
import { fillPlaceholders, type Placeholders } from '../syntax/placeholders.ts';
import { CompileError, FileRefused } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import { type FolderFacts, gatherFacts } from '../touches/folder-facts.ts';
import { addLocks } from './add-locks.ts';
import { divideFile } from './divide-file.ts';
import { type ParsedMigration, type ParsedMigrationFile, parsePart } from './parsed-migration.ts';
import { finishSteps } from './steps.ts';

export { CompileError, type Problem } from '../syntax/problem.ts';
export type { ParsedMigration } from './parsed-migration.ts';

export interface CompileOptions {
  /** How the folder is laid out. @default - detected from its files */
  readonly layout?: LayoutName | undefined;
  /** Values of the placeholders in the files. @default none */
  readonly placeholders?: Placeholders | undefined;
}

/**
 * Compiles a folder of migrations.
 *
 * @throws CompileError with all that is wrong, at most one problem per file
 */
export async function compileMigrations(
  directory: string,
  options: CompileOptions = {},
): Promise<CompiledMigrations> {
  return compileMigrationsSync(directory, options);
}

/** As compileMigrations, for a construct's constructor, which cannot wait. */
export function compileMigrationsSync(directory: string, options: CompileOptions = {}): CompiledMigrations {
  return compiledFrom(parseMigrations(directory, options));
}

/** What of parsed migrations the functions need. */
export function compiledFrom(parsed: readonly ParsedMigration[]): CompiledMigrations {
  const migrations = parsed.map(({ migration }, position) => ({ ...migration, position }));
  const { layout, historyTable } = parsed[0] ?? {};
  return {
    format: 1,
    checksum: checksumOf(migrations),
    layout: layout?.name ?? 'plain',
    order: layout?.order ?? 'number',
    ...(historyTable && { historyTable }),
    migrations,
  };
}

/**
 * Compiles a folder and keeps the syntax trees.
 *
 * @throws CompileError as compileMigrations does
 */
export function parseMigrations(
  directory: string,
  { layout: given, placeholders = {} }: CompileOptions = {},
): readonly ParsedMigration[] {
  const { folder, layout, files } = readFolder(directory, given);
  const read = files.flatMap((file) => readBoth({ folder, layout, placeholders }, file) ?? []);
  const facts = gatherFacts(read.flatMap(({ up, undo }) => [...up.statements, ...(undo?.statements ?? [])]));
  const historyTable = folder.attempt(() => layout.historyTable?.(folder));
  const migrations = read.flatMap(
    (each) => folder.attempt(() => compileOne(each, { facts, folder, layout, historyTable })) ?? [],
  );
  if (folder.problems.length > 0) throw new CompileError(folder.problems);
  return addLocks(migrations);
}

interface ReadMigration {
  readonly file: FoundMigration;
  readonly up: ParsedMigrationFile;
  readonly undo: ParsedMigrationFile | undefined;
  readonly undoProblem: string | undefined;
}

/** What a file is read with. */
export interface Reading {
  readonly folder: Folder;
  readonly layout: Layout;
  readonly placeholders: Placeholders;
}

/** The part to apply, and the part to undo where it is in the same file, with their placeholders filled. */
export function partsOf(reading: Reading, found: FoundMigration): Parts | undefined {
  const { folder, layout } = reading;
  return folder.attempt((): Parts => {
    const source = folder.source(found.file);
    const parts = layout.divide?.(source, found) ?? { up: source };
    const down = parts.down && filled(parts.down, reading, found);
    return { ...parts, up: filled(parts.up, reading, found), down };
  });
}

function filled(
  source: SourceText,
  { folder, layout, placeholders }: Reading,
  found: FoundMigration,
): SourceText {
  const whole = folder.source(source.file);
  const style = layout.placeholders?.(whole, found) ?? 'psql';
  // Without a value, the parser's own error says what psql's placeholder is.
  if (style === 'none' || (style === 'psql' && Object.keys(placeholders).length === 0)) return source;
  const { isPlaceholder } = layout;
  return fillPlaceholders(source, style, {
    values: placeholders,
    isOne: isPlaceholder && ((index) => isPlaceholder(whole, whole.indexOf(source.positionOf(index)))),
  });
}

/** The part to apply, and the part to undo from the same file or another. */
function readBoth(reading: Reading, found: FoundMigration): ReadMigration | undefined {
  const { folder, layout } = reading;
  const parts = partsOf(reading, found);
  if (parts === undefined) return undefined;
  const noTransaction = parts.noTransaction || found.noTransaction;
  const up = folder.attempt(() => parsePart({ source: parts.up, role: 'up', layout, noTransaction }));
  const { result: undo, problem: undoProblem } = attemptUndo(reading, found, () => {
    const source = found.undo === undefined ? parts.down : undoOf(reading, found);
    if (source === undefined) return undefined;
    const alone =
      found.undo === undefined
        ? parts.downNoTransaction
        : layout.undoNoTransaction?.(folder.source(found.undo), found, folder);
    return parsePart({ source, role: 'down', layout, noTransaction: alone });
  });
  return up === undefined ? undefined : { file: found, up, undo, undoProblem };
}

/**
 * Other tools read an undo file only when they are asked to undo, so there are folders that live with broken ones: there
 * it counts as missing, and undo says why.
 */
function attemptUndo<Result>(
  { folder, layout }: Omit<Reading, 'placeholders'>,
  { undo }: FoundMigration,
  read: () => Result,
): { readonly result?: Result | undefined; readonly problem?: string } {
  if (layout.name === 'plain' || undo === undefined) return { result: folder.attempt(read) };
  try {
    return { result: read() };
  } catch (error) {
    if (!(error instanceof FileRefused)) throw error;
    const { file, position, sentence } = error.problem;
    return { problem: `${[file, position?.line, position?.column].filter(Boolean).join(':')}: ${sentence}` };
  }
}

export function undoOf(reading: Reading, found: FoundMigration): SourceText | undefined {
  const { folder, layout } = reading;
  if (found.undo === undefined) return undefined;
  const source = folder.source(found.undo);
  return filled(layout.undo?.(source, found) ?? source, reading, found);
}

interface InFolder {
  readonly facts: FolderFacts;
  readonly folder: Folder;
  readonly layout: Layout;
  readonly historyTable: RelationName | undefined;
}

function compileOne(
  { file: found, up, undo, undoProblem }: ReadMigration,
  { facts, folder, layout, historyTable }: InFolder,
): ParsedMigration {
  const { id, name, file } = found;
  const compiled = attemptUndo({ folder, layout }, found, () => undo && compileUndo(undo, facts));
  const migration: Migration = {
    version: id as Version,
    name,
    file,
    checksum: up.source.checksum,
    steps: finishSteps(divideFile(up, up.directives, facts), facts),
    undo: compiled.result,
    waitsForBuilds: up.directives.wait,
    allowed: up.directives.allowed,
    ...traitsOf(found, up.source, { folder, layout }),
    ...((undoProblem ?? compiled.problem) !== undefined && { undoProblem: undoProblem ?? compiled.problem }),
  };
  return { layout, historyTable, migration, up, undo };
}

/** What the layout says about a file, regardless of its contents. */
export function traitsOf(
  found: FoundMigration,
  up: SourceText,
  { folder, layout }: Pick<InFolder, 'folder' | 'layout'>,
): Pick<Migration, 'kind' | 'formerly' | 'record'> {
  const { id, kind } = found;
  const formerly = formerVersion(found);
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(formerly === undefined || formerly === id ? {} : { formerly }),
    ...(layout.record === undefined ? {} : { record: layout.record(found, folder, up) }),
  };
}

/** What the file was called in ledgers of before layouts: the digits in front. */
function formerVersion({ file, range }: FoundMigration): Version | undefined {
  if (range !== undefined) return undefined;
  const [first = '', inside] = file.split('/').slice(-2);
  const named = inside === undefined || /^(?:migration|up)\.sql$/.test(inside) ? first : inside;
  const name = named.endsWith('.sql') ? readFileName(named) : readFolderName(named);
  return name.kind === 'migration' ? name.version : undefined;
}

function compileUndo(undo: ParsedMigrationFile, facts: FolderFacts): UndoFile {
  const { file, checksum } = undo.source;
  return { file, checksum, steps: finishSteps(divideFile(undo, undo.directives, facts), facts) };
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
