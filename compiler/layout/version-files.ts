import type { Folder } from './folder.ts';
import type { FoundMigration } from './layout.ts';

/** A file whose name a layout understood. */
export interface NamedFile {
  readonly id: string;
  readonly name: string;
  readonly file: string;
  readonly undo: boolean;
}

/**
 * Pairs each migration with its undo file; two of one identity are a problem. `same` tells which identities are one,
 * where that is not the text alone.
 */
export function pairFiles(
  folder: Folder,
  found: readonly NamedFile[],
  same: (id: string) => string = (id) => id,
): readonly FoundMigration[] {
  const undos = unique(
    folder,
    found.filter(({ undo }) => undo),
    same,
  );
  const migrations: FoundMigration[] = [];
  for (const [key, { id, name, file }] of unique(
    folder,
    found.filter(({ undo }) => !undo),
    same,
  )) {
    migrations.push({ id, name, file, undo: undos.get(key)?.file });
    undos.delete(key);
  }
  for (const { file, id } of undos.values()) {
    folder.problem({
      file,
      sentence: `This undo file has no migration of version ${id} beside it.`,
      advice: 'Add the migration, or remove the undo file.',
    });
  }
  return migrations;
}

function unique(
  folder: Folder,
  found: readonly NamedFile[],
  same: (id: string) => string,
): Map<string, NamedFile> {
  const byId = new Map<string, NamedFile>();
  for (const each of found) {
    const other = byId.get(same(each.id));
    if (other === undefined) byId.set(same(each.id), each);
    else {
      folder.problem({
        file: each.file,
        sentence: `Version ${each.id} is taken by ${other.file} already.`,
        advice: adviceForTwo([each.file, other.file]),
      });
    }
  }
  return byId;
}

/** Under a version of its own, a file to undo would be applied. */
function adviceForTwo(files: readonly string[]): string {
  const undo = files.find((file) => /[._-](?:down|undo|rollback|revert)(?=[._-]|$)/i.test(file));
  return undo === undefined || undo.endsWith('.down.sql')
    ? 'Give one of the two another version.'
    : `If ${undo} is to undo the other, name it like that one, but ending in .down.sql; else give one of the two another version.`;
}

/** The undo of a migration whose tool would take a `.down.sql` beside it for another migration, or knows none. */
export function undoBelow(folder: Folder, file: string): string | undefined {
  const undo = `down/${file.slice(file.lastIndexOf('/') + 1)}`;
  return folder.has(undo) ? undo : undefined;
}

export function byText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Code of the tool's own, which no parser of SQL can read, is refused: it would be passed over in silence. */
export function refuseCode(folder: Folder, tool: string, below = '.'): void {
  for (const entry of folder.entries(below)) {
    const extension = CODE.exec(entry)?.[1]?.toLowerCase();
    if (extension === undefined || /[._-](?:test|spec)\.\w+$/i.test(entry)) continue;
    folder.problem({
      file: below === '.' ? entry : `${below}/${entry}`,
      sentence: `This migration is written in ${LANGUAGES.get(extension)}, and only SQL can be read.`,
      advice: `Write what it does as SQL (${tool} may be able to print it); or, where it is applied everywhere already, take it out of this folder.`,
    });
  }
}

/** A name as migrations have it: other code beside them is not looked at. */
const CODE = /^(?:\d+|[VUR]\d[\d._]*_)[-_.]?.*\.(ts|mts|cts|js|mjs|cjs|go|rb|py|java|kt|groovy|php|exs|cs)$/i;

const LANGUAGES: ReadonlyMap<string, string> = new Map([
  ...['ts', 'mts', 'cts'].map((each) => [each, 'TypeScript'] as const),
  ...['js', 'mjs', 'cjs'].map((each) => [each, 'JavaScript'] as const),
  ['go', 'Go'],
  ['rb', 'Ruby'],
  ['py', 'Python'],
  ['java', 'Java'],
  ['kt', 'Kotlin'],
  ['groovy', 'Groovy'],
  ['php', 'PHP'],
  ['exs', 'Elixir'],
  ['cs', 'C#'],
]);
