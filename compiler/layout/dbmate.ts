import { problemAt } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import type { Folder } from './folder.ts';
import type { Layout, Parts } from './layout.ts';
import { isBlank, type Section, sectionsOf } from './sections.ts';
import { setting, settingsBeside, tableNamed } from './settings-beside.ts';
import { pairFiles } from './version-files.ts';

const MARK = /^--[^\S\n]*migrate:(up|down)(?=[^\S\n]*$|[^\S\n]+\S)(.*)$/gm;

/** Up and down in one file; pkg/dbmate/migration.go. */
export const dbmate: Layout = {
  name: 'dbmate',
  title: 'dbmate',
  order: 'text',
  sign: (folder) => signIn(folder, /^--[^\S\n]*migrate:up\b/m, '-- migrate:up'),
  find(folder) {
    // By the file's name as a string, as dbmate has it: 10_b before 9_a.
    const found = folder.sqlFiles().flatMap((file) => {
      const id = /^(\d+).*\.sql$/.exec(file)?.[1];
      return id === undefined ? [] : [{ id, name: file.slice(0, -'.sql'.length), file, undo: false }];
    });
    return pairFiles(folder, found);
  },
  historyTable(folder) {
    const table = setting(settingsBeside(folder, ['.env']) ?? '', 'DBMATE_MIGRATIONS_TABLE');
    return tableNamed({ table }, 'schema_migrations');
  },
  divide(source): Parts {
    const sections = sectionsOf(source, MARK);
    const [up, down, more] = sections;
    const refuse = (index: number, sentence: string, advice?: string) =>
      problemAt(source, { index, sentence, advice });
    if (up?.mark[1] !== 'up') throw refuse(up?.index ?? 0, "dbmate's files begin with '-- migrate:up'.");
    if (!isBlank(source.text.slice(0, up.index))) {
      throw refuse(0, "dbmate allows no statements above '-- migrate:up'.", 'Move them below it.');
    }
    if (down?.mark[1] !== 'down') {
      throw refuse(
        down?.index ?? up.index,
        "dbmate asks for a '-- migrate:down' below each '-- migrate:up'.",
        'Add it; it may be empty.',
      );
    }
    if (more !== undefined) {
      throw refuse(
        more.index,
        'This file has several parts to apply, and on PostgreSQL dbmate itself gets no further than the first.',
        'Make each part a file of its own.',
      );
    }
    return {
      up: source.part(up.from, up.to),
      down: source.part(down.from, down.to),
      noTransaction: isAlone(up, source),
      downNoTransaction: isAlone(down, source),
    };
  },
};

/** `-- migrate:up transaction:false` */
function isAlone({ mark, index }: Section, source: SourceText): boolean {
  const options = (mark[2] ?? '')
    .trim()
    .split(/\s+/)
    .filter((option) => option !== '');
  for (const option of options) {
    if (/^transaction:(?:true|false)$/.test(option)) continue;
    throw problemAt(source, {
      index,
      sentence: `The option ${option} of dbmate is not known here.`,
      advice: 'Known is transaction:false.',
    });
  }
  return options.includes('transaction:false');
}

/** The first file that holds the sign. */
export function signIn(folder: Folder, sign: RegExp, shown: string): string | undefined {
  const file = folder.sqlFiles().find((each) => sign.test(folder.text(each)));
  return file === undefined ? undefined : `${shown} in ${file}`;
}
