import { FileRefused } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import { signIn } from './dbmate.ts';
import type { Folder } from './folder.ts';
import type { FoundMigration, Layout } from './layout.ts';
import { blank, sectionsOf } from './sections.ts';
import { tableNamed } from './settings-beside.ts';

/** What offline mode writes above each revision; alembic/runtime/migration.py. */
const RUNNING = /^-- Running upgrade ([^\n]*?)[ \t]*-> ([^\s,]+)(?:[ \t]*\(.*\))?[^\n]*$/gm;
/** Its own table. */
const MADE = /^CREATE TABLE ((?:"(?:[^"]|"")+"|\w+)(?:\.(?:"(?:[^"]|"")+"|\w+))?) \(\s*version_num\b/m;
const DOWNGRADE = /^-- Running downgrade ([^\s,]+)[ \t]*->[^\n]*$/gm;

/**
 * The script that `alembic upgrade base:head --sql` writes: each revision in it is a migration. What
 * `alembic downgrade head:base --sql` writes, as `….down.sql` beside it, undoes them.
 */
export const alembic: Layout = {
  name: 'alembic',
  title: 'Alembic',
  order: 'listed',
  sign: (folder) =>
    signIn(folder, /^-- Running upgrade .*-> /m, '-- Running upgrade') ??
    (folder.has('env.py') ? 'env.py' : undefined),
  find(folder) {
    const script = folder.attempt(() => scriptOf(folder));
    if (script === undefined) return [];
    const source = folder.attempt(() => folder.source(script));
    if (source === undefined) return [];
    const undo = script.replace(/\.sql$/i, '.down.sql');
    const down = folder.has(undo) ? folder.attempt(() => folder.source(undo)) : undefined;
    const undos = new Map(
      (down === undefined ? [] : sectionsOf(down, DOWNGRADE)).map(({ mark, from, to }) => [
        mark[1],
        [from, to] as const,
      ]),
    );
    const found = sectionsOf(source, RUNNING).map(({ mark, index, to }, at): FoundMigration => {
      const revision = mark[2] ?? '';
      const undoRange = undos.get(revision);
      // What is above the first revision creates Alembic's own table.
      return {
        id: revision,
        name: revision,
        file: script,
        undo: undoRange === undefined ? undefined : undo,
        ...(undoRange !== undefined && { undoRange }),
        range: [at === 0 ? 0 : index, to],
      };
    });
    const downgrade = source.text.search(DOWNGRADE);
    if (found.length === 0 || downgrade !== -1) {
      folder.problem({
        file: script,
        sentence: downgrade === -1 ? 'The script has no revision.' : 'The script holds a downgrade.',
        advice: `Write it again: ${COMMAND}`,
      });
    }
    return found;
  },
  historyTable(folder) {
    const script = folder.sqlFiles().find((file) => MADE.test(folder.text(file)));
    const name = script === undefined ? undefined : MADE.exec(folder.text(script))?.[1];
    return name === undefined ? undefined : tableNamed({ table: name }, 'alembic_version');
  },
  divide(source, { range }) {
    return { up: sqlOf(source, range ?? [0, source.text.length]) };
  },
  undo: (source, { undoRange }) => sqlOf(source, undoRange ?? [0, source.text.length]),
  record({ file, id }, folder) {
    const { text } = folder.source(file);
    const mark = [...text.matchAll(RUNNING)].find((each) => each[2] === id);
    return { previous: (mark?.[1] ?? '').split(/[\s,]+/).filter((parent) => parent !== '') };
  },
};

const COMMAND = 'alembic upgrade base:head --sql > migrations/alembic.sql';

/** One transaction around all, or one to each revision: either way our own steps take its place. */
function sqlOf(source: SourceText, [from, to]: readonly [number, number]): SourceText {
  return source.part(from, to, source.text.slice(from, to).replace(/^BEGIN;[ \t]*$/gm, blank));
}

function scriptOf(folder: Folder): string {
  if (folder.has('env.py') && !folder.isScript) {
    throw new FileRefused({
      file: 'env.py',
      sentence: "Alembic's revisions are written in Python, and only SQL can be read.",
      advice: `Have Alembic write the script before synth, and name it: ${COMMAND}`,
    });
  }
  const [script, other] = folder.sqlFiles().filter((file) => !/\.down\.sql$/i.test(file));
  if (script !== undefined && other === undefined) return script;
  throw new FileRefused({
    file: other ?? folder.directory,
    sentence:
      script === undefined
        ? 'There is no script of Alembic here.'
        : `There are several scripts here, ${script} and ${other}.`,
    advice: `Expected is one file, which holds all revisions: ${COMMAND}`,
  });
}
