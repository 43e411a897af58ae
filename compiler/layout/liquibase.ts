import { problemAt } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import { signIn } from './dbmate.ts';
import type { FoundMigration, Layout, Parts } from './layout.ts';
import { blank, type Section, sectionsOf } from './sections.ts';
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
    const files = folder.sqlFiles().filter((file) => !folder.isFolder(file));
    return files.flatMap((file) => {
      const source = folder.attempt(() => folder.source(file));
      if (source === undefined) return [];
      return sectionsOf(source, CHANGESET).flatMap(
        (section) => folder.attempt(() => find(source, section)) ?? [],
      );
    });
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
    const rollbacks = [...text.matchAll(ROLLBACK)].filter((each) => !NO_ROLLBACK.test(each[2] ?? ''));
    return {
      up: source.part(from, to),
      down: rollbacks.length === 0 ? undefined : source.part(from, to, undoOf(text)),
    };
  },
  record({ file, range }, folder) {
    const text = folder.source(file).text.slice(...(range ?? [0]));
    const comments = [...text.matchAll(COMMENT)].map(([, comment = '']) => comment.trim());
    return { description: comments.join('; ') };
  },
};

function find(source: SourceText, { mark, index, from, to }: Section): readonly FoundMigration[] {
  const [, author = '', id = '', words = ''] = mark;
  const attributes = new Map(
    [...words.matchAll(/(\w+):(?:"([^"]*)"|(\S+))/g)].map((each) => [
      (each[1] ?? '').toLowerCase(),
      (each[2] ?? each[3] ?? '').toLowerCase(),
    ]),
  );
  const refuse = (sentence: string, advice?: string) => problemAt(source, { index, sentence, advice });
  const databases = attributes.get('dbms')?.split(/\s*,\s*/) ?? [];
  if (databases.length > 0 && !databases.some((each) => each === 'postgresql' || each === 'all')) {
    if (!databases.every((each) => each.startsWith('!')) || databases.includes('!postgresql')) return [];
  }
  if (attributes.get('runalways') === 'true') {
    throw refuse(
      'runAlways asks for this changeset at each deploy, which no migration does.',
      'Use runOnChange.',
    );
  }
  const delimiter = attributes.get('enddelimiter');
  if (delimiter !== undefined && delimiter !== ';') {
    throw refuse(`Its statements end with ${delimiter}, and PostgreSQL's end with a semicolon.`);
  }
  const condition = /^[ \t]*--[ \t]*precondition.*$/im.exec(source.text.slice(from, to));
  if (condition !== null) {
    throw problemAt(source, {
      index: from + condition.index,
      sentence: 'Preconditions of Liquibase are not read, and this changeset hangs on one.',
      advice: 'Write what it asks as SQL (if not exists, or a DO block), and remove it.',
    });
  }
  return [
    {
      id: `${source.file}::${id}::${author}`,
      name: `${source.file.replace(/\.sql$/, '')}::${id}::${author}`,
      file: source.file,
      undo: undefined,
      range: [from, to],
      noTransaction: attributes.get('runintransaction') === 'false',
      ...(attributes.get('runonchange') === 'true' ? { kind: 'repeatable' as const } : {}),
    },
  ];
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
