import type { Layout } from './layout.ts';
import { type NamedFile, pairFiles, refuseCode } from './version-files.ts';

/** As node-pg-migrate finds its parts: whatever follows the two words. src/sqlMigration.ts. */
const MARK = /^[^\S\n]*--[^\S\n-]*(?:-[^\S\n-]*)*(up|down)\s+migration/im;
/** Both, as no sentence in a comment is by itself. */
const SIGNS = [
  /^[^\S\n]*--[^\S\n-]*(?:-[^\S\n-]*)*up[^\S\n]+migration\b/im,
  /^[^\S\n]*--[^\S\n-]*(?:-[^\S\n-]*)*down[^\S\n]+migration\b/im,
];

/** SQL files of node-pg-migrate, up and down in one or in two. */
export const nodePgMigrate: Layout = {
  name: 'node-pg-migrate',
  title: 'node-pg-migrate',
  order: 'listed',
  sign(folder) {
    const file = folder.sqlFiles().find((each) => SIGNS.every((sign) => sign.test(folder.text(each))));
    return file === undefined ? undefined : `-- Down Migration in ${file}`;
  },
  find(folder) {
    refuseCode(folder, 'node-pg-migrate');
    const found = folder.sqlFiles().flatMap((file): NamedFile[] => {
      if (folder.isFolder(file)) return [];
      const name = file.replace(/(?:\.(?:up|down))?\.sql$/, '');
      return [{ id: name, name, file, undo: /\.down\.sql$/.test(file) }];
    });
    return [...pairFiles(folder, found)].sort((a, b) => compareNames(a.id, b.id));
  },
  divide(source) {
    const at = (direction: string) => {
      const match = [...source.text.matchAll(new RegExp(MARK.source, 'gim'))].find(
        (each) => each[1]?.toLowerCase() === direction,
      );
      if (match === undefined) return undefined;
      const end = source.text.indexOf('\n', match.index + match[0].length);
      return { index: match.index, from: end === -1 ? source.text.length : end + 1 };
    };
    const [up, down] = [at('up'), at('down')];
    const upEnd = down === undefined || (up !== undefined && down.index < up.index) ? undefined : down.index;
    const downEnd = up === undefined || (down !== undefined && up.index < down.index) ? undefined : up.index;
    const end = source.text.length;
    return {
      // Without a mark for it, what is above the part to undo.
      up: source.part(up?.from ?? 0, upEnd ?? end),
      down: down === undefined ? undefined : source.part(down.from, downEnd ?? end),
    };
  },
};

/** By the number in front, 17 digits of it as a time; then as people order names. src/utils. */
function compareNames(a: string, b: string): number {
  const [first, second] = [numberOf(a), numberOf(b)];
  if (first !== second) return first < second ? -1 : 1;
  return a.localeCompare(b, undefined, {
    usage: 'sort',
    numeric: true,
    sensitivity: 'variant',
    ignorePunctuation: true,
  });
}

function numberOf(name: string): number {
  const digits = /^\d+/.exec(name)?.[0] ?? '';
  if (digits.length !== 17) return digits === '' ? 0 : Number(digits);
  const [year, month, day, hour, minute, second, milliseconds] = (
    /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{3})$/.exec(digits) ?? []
  )
    .slice(1)
    .map(Number);
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second, milliseconds);
}
