import { createHash } from 'node:crypto';
import { problemAt } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import type { Folder } from './folder.ts';
import type { FoundMigration, Layout } from './layout.ts';
import { byText, undoBelow } from './version-files.ts';

const NAME = /^(\d+)(-[-_a-zA-Z0-9]*)?\.sql$/;
const PREVIOUS = /^--! Previous:/m;

/** `committed/<number>-<message>.sql`; the work that is not committed is never run. src/migration.ts, src/header.ts. */
export const graphileMigrate: Layout = {
  name: 'graphile-migrate',
  title: 'graphile-migrate',
  order: 'text',
  sign(folder) {
    const home = homeOf(folder);
    const file = folder.sqlFiles(home).find((each) => PREVIOUS.test(folder.text(pathOf(home, each))));
    return file === undefined ? undefined : `--! Previous: in ${pathOf(home, file)}`;
  },
  find(folder) {
    const home = homeOf(folder);
    const found = folder.sqlFiles(home).flatMap((file): FoundMigration[] => {
      const number = NAME.exec(file)?.[1];
      if (number === undefined) return [];
      // The table has the name without what the message made of it.
      return [
        {
          id: `${number}.sql`,
          name: file.slice(0, -'.sql'.length),
          file: pathOf(home, file),
          undo: undoBelow(folder, file),
        },
      ];
    });
    return found.sort((a, b) => byText(a.id, b.id));
  },
  divide(source) {
    const { hash, previous, allowsInvalid, body, index } = headersOf(source);
    const own = hashOf(previous, body);
    if (hash !== own && !allowsInvalid) {
      throw problemAt(source, {
        index,
        sentence: `The file was changed after it was committed: its hash is ${own}, and the header has ${hash ?? 'none'}.`,
        advice: 'Restore it; or, where the change is meant, put "--! AllowInvalidHash" into the header.',
      });
    }
    return { up: source, noTransaction: /^--! no-transaction\b/.test(body.trimStart()) };
  },
  record(found, folder) {
    const { hash, previous } = headersOf(folder.source(found.file));
    return {
      ...(hash === undefined ? {} : { checksum: hash }),
      previous: previous === undefined ? [] : [previous],
    };
  },
};

interface Headers {
  readonly hash: string | undefined;
  readonly previous: string | undefined;
  readonly allowsInvalid: boolean;
  readonly body: string;
  /** Of the line with the hash. */
  readonly index: number;
}

/** Lines `--! Key: value` up to the first empty one. */
function headersOf({ text }: SourceText): Headers {
  const head = /^(?:--! ?[A-Z][^\n]*\n)*/.exec(text)?.[0] ?? '';
  const header = (key: string) => new RegExp(`^--! ?${key}:[ \\t]*(.*?)[ \\t]*$`, 'm').exec(head)?.[1];
  const previous = header('Previous');
  return {
    hash: header('Hash'),
    previous: previous === '-' ? undefined : previous,
    allowsInvalid: /^--! ?AllowInvalidHash\b/m.test(head),
    body: text.slice(head.length),
    index: Math.max(0, head.search(/^--! ?Hash:/m)),
  };
}

function hashOf(previous: string | undefined, body: string): string {
  const content = `${`${previous ?? ''}\n${body.trim()}`.trim()}\n`;
  return `sha1:${createHash('sha1').update(content).digest('hex')}`;
}

function homeOf(folder: Folder): string {
  return !folder.isScript && folder.has('committed') ? 'committed' : '.';
}

function pathOf(home: string, file: string): string {
  return home === '.' ? file : `${home}/${file}`;
}
