import { parseVersion } from '../../lambda/migration/version.ts';
import { problemAt } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import { signIn } from './dbmate.ts';
import type { Layout, Parts } from './layout.ts';
import { findNumbered } from './plain.ts';
import { blank, isBlank, sectionsOf } from './sections.ts';
import { setting, settingsBeside, tableNamed } from './settings-beside.ts';
import { refuseCode } from './version-files.ts';

const DIVISION = /^--[^\S\n-]*\+goose[^\S\n]+(up|down)[^\S\n]*$/gim;
const ANNOTATION = /^[^\S\n]*--[^\S\n]*\+goose\b[^\S\n]*(.*?)[^\S\n]*$/gim;
const KNOWN = ['up', 'down', 'statementbegin', 'statementend', 'no transaction', 'envsub on', 'envsub off'];

/** SQL files of goose; internal/sqlparser/parser.go. */
export const goose: Layout = {
  name: 'goose',
  title: 'goose',
  order: 'number',
  sign: (folder) => signIn(folder, /^--\s*\+goose\s+up\b/im, '-- +goose Up'),
  find(folder) {
    refuseCode(folder, 'goose');
    return findNumbered(folder, (file) => {
      const version = parseVersion(/^(\d+)_.*\.sql$/.exec(file)?.[1] ?? '');
      // goose begins with 1.
      if (version === undefined || version === '0' || folder.isFolder(file)) return [];
      return [{ id: version, name: file.slice(0, -'.sql'.length), file, undo: false }];
    });
  },
  placeholders: (source) => (/^--\s*\+goose\s+envsub\s+on\b/im.test(source.text) ? 'dollar' : 'none'),
  // The last of the two words above it counts, wherever that is.
  isPlaceholder({ text }, index) {
    const words = [...text.slice(0, index).matchAll(/^--\s*\+goose\s+envsub\s+(on|off)\b/gim)];
    return words.at(-1)?.[1]?.toLowerCase() === 'on';
  },
  historyTable(folder) {
    const table = setting(settingsBeside(folder, ['.env']) ?? '', 'GOOSE_TABLE');
    return tableNamed({ table }, 'goose_db_version');
  },
  divide(source): Parts {
    const noTransaction = checkAnnotations(source).has('no transaction');
    const [up, down, more] = sectionsOf(source, DIVISION);
    if (up?.mark[1]?.toLowerCase() !== 'up' || !isBlank(source.text.slice(0, up.index))) {
      throw problemAt(source, { index: 0, sentence: "goose's files begin with '-- +goose Up'." });
    }
    const odd = down?.mark[1]?.toLowerCase() === 'up' ? down : more;
    if (odd !== undefined) {
      throw problemAt(source, {
        index: odd.index,
        sentence: `'${odd.mark[0].trim()}' appears here for the second time, which goose refuses.`,
        advice: 'Keep one part to apply and one to undo.',
      });
    }
    return {
      up: partOf(source, up),
      down: down === undefined ? undefined : partOf(source, down),
      noTransaction,
      downNoTransaction: noTransaction,
    };
  },
};

function checkAnnotations(source: SourceText): ReadonlySet<string> {
  const found = new Set<string>();
  for (const { index, 0: line, 1: words = '' } of source.text.matchAll(ANNOTATION)) {
    const word = words.toLowerCase().replace(/\s+/g, ' ');
    const refuse = (sentence: string) => problemAt(source, { index, sentence });
    if (!KNOWN.includes(word)) throw refuse(`The annotation "${words}" of goose is not known.`);
    if (/^\s/.test(line)) throw refuse('goose takes its annotations only at the beginning of a line.');
    found.add(word);
  }
  return found;
}

/** A statement between StatementBegin and StatementEnd may lack its semicolon. */
function partOf(
  source: SourceText,
  { from, to }: { readonly from: number; readonly to: number },
): SourceText {
  const text = source.text.slice(from, to);
  return source.part(
    from,
    to,
    text.replace(ANNOTATION, (line, words: string) =>
      words.toLowerCase() === 'statementend' ? `;${blank(line).slice(1)}` : blank(line),
    ),
  );
}
