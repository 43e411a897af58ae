import { createHash, type Hash } from 'node:crypto';
import { FileRefused, problemAt } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import type { Folder } from './folder.ts';
import type { FoundMigration, Layout } from './layout.ts';
import { pairFiles, undoBelow } from './version-files.ts';

const SUM = 'atlas.sum';

/** `<version>_<description>.sql` with `atlas.sum` over all of them; sql/migrate/dir.go. */
export const atlas: Layout = {
  name: 'atlas',
  title: 'Atlas',
  order: 'text',
  sign: (folder) => (folder.has(SUM) ? SUM : undefined),
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
        : { ...found, undo: undoBelow(folder, found.file) };
    });
  },
  divide(source) {
    if (directive(source.text, 'txtar') !== undefined) {
      throw problemAt(source, {
        index: Math.max(0, source.text.search(/^-- atlas:txtar/m)),
        sentence: "This file is an archive of Atlas's, with parts to check, to apply and to undo.",
        advice: `Leave the part to apply here, and move the one to undo into down/${source.file}.`,
      });
    }
    const delimiter = directive(source.text, 'delimiter');
    if (delimiter !== undefined && !/^(?:;|\\n|\s)*$/.test(delimiter))
      throw otherDelimiter(source, delimiter);
    return { up: source, noTransaction: directive(source.text, 'txmode') === 'none' };
  },
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

function otherDelimiter(source: SourceText, delimiter: string): FileRefused {
  return problemAt(source, {
    index: Math.max(0, source.text.search(/^--[ \t]*atlas:delimiter/m)),
    sentence: `This file's statements end with ${delimiter}, and PostgreSQL's end with a semicolon.`,
    advice: 'Write semicolons, and remove the directive.',
  });
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

function checkSum(folder: Folder): void {
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
