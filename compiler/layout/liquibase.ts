import { problemAt } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import { signIn } from './dbmate.ts';
import type { Folder } from './folder.ts';
import type { FoundMigration, Layout, Parts } from './layout.ts';
import { blank, isBlank, type Section, sectionsOf, withSemicolons } from './sections.ts';
import { setting, settingsBeside, tableNamed } from './settings-beside.ts';

const CHANGESET = /^[ \t]*--[ \t]*changeset[ \t]+(\S+?):(\S+)[ \t]*(.*)$/gim;
const ROLLBACK = /^([ \t]*--[ \t]*rollback)\b(.*)$/gim;
const COMMENT = /^[ \t]*--[ \t]*comment:?[ \t](.*)$/gim;
const NO_ROLLBACK = /^[ \t]*(?:empty|not required)?[ \t]*;?[ \t]*$/i;

/** Formatted SQL, each changeset a migration; AbstractFormattedChangeLogParser. */
export const liquibase: Layout = {
  name: 'liquibase',
  title: 'Liquibase',
  order: 'listed',
  sign: (folder) => signIn(folder, /^\s*--[ \t]*liquibase formatted sql/i, '--liquibase formatted sql'),
  find(folder) {
    const asked = askedOf(folder);
    const files = folder.sqlFiles().filter((file) => !folder.isFolder(file));
    const found = files.flatMap((file) => {
      const source = folder.attempt(() => folder.source(file));
      if (source === undefined) return [];
      const sections = sectionsOf(source, CHANGESET);
      const above = sections[0]?.index ?? source.text.length;
      folder.attempt(() => refuseCondition(source, [0, above], 'all of this file hangs'));
      if (!isBlank(source.text.slice(0, above))) {
        folder.problem({
          file,
          sentence:
            sections.length === 0 ? 'The file has no changeset.' : 'There is SQL above the first changeset.',
          advice: 'Write --changeset AUTHOR:ID above it, or move it to another folder.',
        });
      }
      return sections.flatMap((section) => folder.attempt(() => find(source, section, asked)) ?? []);
    });
    for (const [at, { id, file }] of found.entries()) {
      if (found.findIndex((each) => each.id === id) === at) continue;
      folder.problem({
        file,
        sentence: `The changeset ${id} is there twice.`,
        advice: 'Give one another id.',
      });
    }
    return found;
  },
  historyTable(folder) {
    const text = settingsBeside(folder, ['liquibase.properties']) ?? '';
    const read = (key: string) => setting(text, `(?:liquibase\\.)?(?:command\\.)?${key}`);
    const table = read('database-?changelog-?table-?name');
    return tableNamed({ table, schema: read('liquibase-?schema-?name') }, 'databasechangelog');
  },
  divide(source, { range }): Parts {
    const [from, to] = range ?? [0, source.text.length];
    const text = source.text.slice(from, to);
    const headline = source.text.slice(source.text.lastIndexOf('\n', from - 2) + 1, from);
    const delimiter = attributesOf(headline).get('enddelimiter');
    const sql = delimiter === undefined ? text : withSemicolons(text, delimiter);
    if (sql === undefined) {
      throw problemAt(source, {
        index: from,
        sentence: `Its statements end where the pattern ${delimiter} fits, and PostgreSQL's end with a semicolon.`,
        advice:
          'Write semicolons, and remove endDelimiter: Liquibase takes the changeset for the same where it has validCheckSum:ANY.',
      });
    }
    const rollbacks = [...text.matchAll(ROLLBACK)].filter((each) => !NO_ROLLBACK.test(each[2] ?? ''));
    return {
      up: source.part(from, to, sql),
      down: rollbacks.length === 0 ? undefined : source.part(from, to, undoOf(text)),
    };
  },
  record({ file, range }, folder) {
    const text = folder.source(file).text.slice(...(range ?? [0]));
    const comments = [...text.matchAll(COMMENT)].map(([, comment = '']) => comment.trim());
    return { description: comments.join('; ') };
  },
};

/** What Liquibase is told to run; undefined where its settings don't say. */
interface Asked {
  readonly contexts: readonly string[] | undefined;
  readonly labels: string | undefined;
}

const SETTINGS = ['liquibase.properties', 'application.properties'];

function askedOf(folder: Folder): Asked {
  const text = settingsBeside(folder, SETTINGS) ?? '';
  const read = (key: string) =>
    new RegExp(
      `^[ \\t]*(?:spring\\.)?(?:liquibase\\.)?(?:command\\.)?${key}[ \\t]*[=:][ \\t]*(.*?)[ \\t]*$`,
      'im',
    )
      .exec(text)?.[1]
      ?.toLowerCase();
  return {
    contexts: read('contexts')
      ?.split(/[\s,]+/)
      .filter((each) => each !== ''),
    labels: read('label-?filter'),
  };
}

/** Whether `a and !b, c or (d)` is true of these names. A comma is an `or`. */
function isTrueOf(expression: string, names: readonly string[]): boolean {
  const words = expression.toLowerCase().match(/[(),!]|[^\s(),!]+/g) ?? [];
  let at = 0;
  const next = (word: RegExp) => word.test(words[at] ?? '') && ++at > 0;
  const one = (): boolean => {
    if (next(/^(?:!|not)$/)) return !one();
    if (next(/^\($/)) {
      const value = any();
      next(/^\)$/);
      return value;
    }
    at += 1;
    return names.includes((words[at - 1] ?? '').replace(/^@/, ''));
  };
  const all = (): boolean => {
    let value = one();
    while (next(/^and$/)) value = one() && value;
    return value;
  };
  const any = (): boolean => {
    let value = all();
    while (next(/^(?:or|,)$/)) value = all() || value;
    return value;
  };
  return any();
}

/** Liquibase runs all where nobody names a context, or a label. */
function isAsked(attributes: ReadonlyMap<string, string>, { contexts, labels }: Asked): boolean | string {
  const context = attributes.get('contextfilter') ?? attributes.get('context') ?? '';
  const own = attributes.get('labels') ?? '';
  if (context !== '' && contexts === undefined) return 'contexts';
  if (own !== '' && labels === undefined) return 'label-filter';
  if (context !== '' && contexts !== undefined && contexts.length > 0 && !isTrueOf(context, contexts))
    return false;
  return (
    own === '' ||
    labels === undefined ||
    labels === '' ||
    isTrueOf(labels, own.toLowerCase().split(/\s*,\s*/))
  );
}

function refuseCondition(source: SourceText, [from, to]: readonly [number, number], what: string): void {
  const condition = /^[ \t]*--[ \t]*precondition.*$/im.exec(source.text.slice(from, to));
  if (condition === null) return;
  throw problemAt(source, {
    index: from + condition.index,
    sentence: `Preconditions of Liquibase are not read, and ${what} on one.`,
    advice:
      'Write what it asks as SQL (if not exists, or a DO block), and remove it: Liquibase takes the changeset for the same without it.',
  });
}

function find(
  source: SourceText,
  { mark, index, from, to }: Section,
  asked: Asked,
): readonly FoundMigration[] {
  const [, author = '', id = '', words = ''] = mark;
  const attributes = attributesOf(words);
  const refuse = (sentence: string, advice?: string) => problemAt(source, { index, sentence, advice });
  const databases =
    attributes
      .get('dbms')
      ?.toLowerCase()
      .split(/\s*,\s*/) ?? [];
  if (databases.length > 0 && !databases.some((each) => each === 'postgresql' || each === 'all')) {
    if (!databases.every((each) => each.startsWith('!')) || databases.includes('!postgresql')) return [];
  }
  if (isTrue(attributes.get('runalways'))) {
    throw refuse(
      'runAlways asks for this changeset at each deploy, which no migration does.',
      'Use runOnChange.',
    );
  }
  // Liquibase calls the file so, whatever its name.
  const [headline = ''] = /^[ \t]*--[ \t]*liquibase formatted sql.*$/im.exec(source.text) ?? [];
  const logical = attributes.get('logicalfilepath') ?? attributesOf(headline).get('logicalfilepath');
  const isOne = isAsked(attributes, asked);
  if (isOne === false) return [];
  if (typeof isOne === 'string') {
    throw refuse(
      `Whether this changeset is to run depends on what Liquibase is told of ${isOne}.`,
      `Say it in liquibase.properties beside the folder: ${isOne}=…, or nothing behind the sign where it is told none, and all run.`,
    );
  }
  refuseCondition(source, [from, to], 'this changeset hangs');
  return [
    {
      id: `${logical ?? source.file}::${id}::${author}`,
      name: `${(logical ?? source.file).replace(/\.sql$/, '')}::${id}::${author}`,
      file: source.file,
      undo: undefined,
      range: [from, to],
      noTransaction: /^false$/i.test(attributes.get('runintransaction') ?? ''),
      ...(isTrue(attributes.get('runonchange')) ? { kind: 'repeatable' as const } : {}),
    },
  ];
}

function isTrue(value: string | undefined): boolean {
  return value?.toLowerCase() === 'true';
}

function attributesOf(words: string): ReadonlyMap<string, string> {
  return new Map(
    [...words.matchAll(/(\w+):(?:"([^"]*)"|(\S+))/g)].map((each) => [
      (each[1] ?? '').toLowerCase(),
      each[2] ?? each[3] ?? '',
    ]),
  );
}

/** What its comments say of going back, each word at its place. */
function undoOf(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      const [, mark, sql] = new RegExp(ROLLBACK.source, 'i').exec(line) ?? [];
      return mark === undefined || sql === undefined ? blank(line) : blank(mark) + sql;
    })
    .join('\n');
}
