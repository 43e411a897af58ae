import { createHash, type Hash } from 'node:crypto';
import { FileRefused, problemAt } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import type { Folder } from './folder.ts';
import type { FoundMigration, Layout, Parts } from './layout.ts';
import { sectionsOf, withSemicolons } from './sections.ts';
import { pairFiles, undoBelow } from './version-files.ts';

const SUM = 'atlas.sum';

/** `<version>_<description>.sql` with `atlas.sum` over all of them; sql/migrate/dir.go. */
export const atlas: Layout = {
  name: 'atlas',
  title: 'Atlas',
  order: 'text',
  sign: (folder) => (folder.has(SUM) && !isPaired(folder) ? SUM : undefined),
  find(folder) {
    folder.attempt(() => checkSum(folder));
    const files = filesOf(folder).map((file) => {
      const name = file.slice(0, -'.sql'.length);
      const end = name.indexOf('_');
      return { id: end === -1 ? name : name.slice(0, end), name, file, undo: false };
    });
    return pairFiles(folder, files).map((found): FoundMigration => {
      const isCheckpoint = directive(folder.text(found.file), 'checkpoint') !== undefined;
      return isCheckpoint
        ? { ...found, kind: 'checkpoint' }
        : { ...found, undo: undoBelow(folder, found.file) ?? pairedUndo(folder, found.file) };
    });
  },
  divide(source) {
    const noTransaction = directive(source.text, 'txmode') === 'none';
    const delimiter = directive(source.text, 'delimiter') ?? ';';
    const part = (from: number, to: number) => {
      const text = withSemicolons(source.text.slice(from, to), delimiter);
      if (text === undefined) throw otherDelimiter(source, delimiter);
      return source.part(from, to, text);
    };
    if (directive(source.text, 'txtar') === undefined)
      return { up: part(0, source.text.length), noTransaction };
    return { ...partsOfArchive(source, part), noTransaction, downNoTransaction: noTransaction };
  },
  undoNoTransaction: ({ text }) => directive(text, 'txmode') === 'none',
  record({ file, name }, folder) {
    const hash = hashesOf(folder).find((each) => each.name === file)?.hash;
    const end = name.indexOf('_');
    return {
      ...(hash === undefined ? {} : { checksum: hash }),
      description: end === -1 ? '' : name.slice(end + 1),
    };
  },
};

/** `-- atlas:NAME value` in the comments that the file begins with. */
function directive(text: string, name: string): string | undefined {
  const head = /^(?:[ \t]*(?:--[^\n]*)?\n)*/.exec(text)?.[0] ?? '';
  return new RegExp(`^--[ \\t]*atlas:${name}\\b[ \\t]*(.*?)[ \\t]*$`, 'm').exec(head)?.[1];
}

const MEMBER = /^-- (\S+) --[ \t]*$/gm;

/** `-- atlas:txtar`: files within the file. */
function partsOfArchive(source: SourceText, part: (from: number, to: number) => SourceText): Parts {
  const members = sectionsOf(source, MEMBER);
  const member = (name: string) => members.find(({ mark }) => mark[1] === name);
  const check = members.find(({ mark }) => /^checks(?:\.sql$|\/)/.test(mark[1] ?? ''));
  const [up, down] = [member('migration.sql'), member('down.sql')];
  if (check !== undefined || up === undefined) {
    throw problemAt(source, {
      index: check?.index ?? Math.max(0, source.text.search(/^-- atlas:txtar/m)),
      sentence:
        check === undefined
          ? "This archive of Atlas's has no migration.sql."
          : "Atlas's checks before a migration are not run here.",
      advice:
        check === undefined
          ? 'Add the part to apply: -- migration.sql --'
          : 'Write what they ask as a DO block that raises, at the head of migration.sql, take them out, and write atlas.sum again: atlas migrate hash.',
    });
  }
  return { up: part(up.from, up.to), down: down && part(down.from, down.to) };
}

function otherDelimiter(source: SourceText, delimiter: string): FileRefused {
  return problemAt(source, {
    index: Math.max(0, source.text.search(/^--[ \t]*atlas:delimiter/m)),
    sentence: `This file's statements end with ${delimiter}, and PostgreSQL's end with a semicolon.`,
    advice: 'Write semicolons, and remove the directive.',
  });
}

/** As golang-migrate has them: Atlas only plans such a folder, and golang-migrate applies it. */
function isPaired(folder: Folder): boolean {
  const files = folder.sqlFiles();
  return files.length > 0 && files.every((file) => /\.(?:up|down)\.sql$/.test(file));
}

function filesOf(folder: Folder): readonly string[] {
  return folder.sqlFiles().filter((file) => !folder.isFolder(file) && !/\.down\.sql$/.test(file));
}

const sums = new WeakMap<Folder, readonly { readonly name: string; readonly hash: string }[]>();

/** Each file's hash is over all up to it. */
function hashesOf(folder: Folder): readonly { readonly name: string; readonly hash: string }[] {
  const known = sums.get(folder);
  if (known !== undefined) return known;
  const running: Hash = createHash('sha256');
  const hashes = filesOf(folder).flatMap((name) => {
    const bytes = folder.bytes(name);
    if (directive(bytes.toString('utf8'), 'sum') === 'ignore') return [];
    running.update(name).update(bytes);
    return [{ name, hash: running.copy().digest('base64') }];
  });
  sums.set(folder, hashes);
  return hashes;
}

function pairedUndo(folder: Folder, file: string): string | undefined {
  const undo = file.replace(/\.up\.sql$/, '.down.sql');
  return undo !== file && folder.has(undo) ? undo : undefined;
}

/** Refuses a folder that is not as its `atlas.sum` has it, whoever applies it. */
export function checkSum(folder: Folder): void {
  if (!folder.has(SUM)) return;
  const [first = '', ...lines] = folder.source(SUM).text.trim().split('\n');
  const hashes = hashesOf(folder);
  const listed = lines.map((line) => /^(.*) h1:(.*)$/.exec(line.trim()));
  const refuse = (file: string, sentence: string) =>
    new FileRefused({
      file,
      sentence,
      advice: 'Look what changed; then write atlas.sum again: atlas migrate hash.',
    });
  for (const [at, { name, hash }] of hashes.entries()) {
    const [, written, sum] = listed[at] ?? [];
    if (written !== name)
      throw refuse(SUM, `${name} is not what atlas.sum lists in its place (${written ?? 'nothing'}).`);
    if (sum !== hash)
      throw refuse(name, 'It is not as atlas.sum has it: it was changed, or one before it was.');
  }
  const extra = listed[hashes.length]?.[1];
  if (extra !== undefined) throw refuse(SUM, `atlas.sum lists ${extra}, which is not there.`);
  const all = createHash('sha256');
  for (const { name, hash } of hashes) all.update(name).update(hash);
  if (first.trim() !== `h1:${all.digest('base64')}`)
    throw refuse(SUM, 'The sum over all files is another one.');
}
