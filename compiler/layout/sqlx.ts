import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { parseVersion } from '../../lambda/migration/version.ts';
import { FileRefused } from '../syntax/problem.ts';
import type { SourceText } from '../syntax/source-text.ts';
import { signIn } from './dbmate.ts';
import type { Folder } from './folder.ts';
import type { Layout } from './layout.ts';
import { findNumbered } from './plain.ts';
import { section, setting, settingsBeside, tableNamed } from './settings-beside.ts';

const NAME = /^([^_]+)_(.*?)(?:\.(up|down))?\.sql$/;

/** `<version>_<description>.sql`, or `.up.sql` and `.down.sql`; sqlx-core/src/migrate. */
export const sqlx: Layout = {
  name: 'sqlx',
  title: 'sqlx',
  order: 'number',
  sign: (folder) =>
    folder.has('../sqlx.toml')
      ? 'sqlx.toml beside it'
      : signIn(folder, /^-- no-transaction/, '-- no-transaction'),
  find: (folder) =>
    findNumbered(folder, (file) => {
      const [, digits = '', , direction] = NAME.exec(file) ?? [];
      if (!NAME.test(file) || folder.isFolder(file)) return [];
      const version = parseVersion(digits);
      if (version === undefined) {
        throw new FileRefused({
          file,
          sentence: `sqlx takes '${digits}' for the version, and it is not a number.`,
          advice: 'Expected <version>_<description>.sql.',
        });
      }
      const name = file.replace(/(?:\.(?:up|down))?\.sql$/, '');
      return [{ id: version, name, file, undo: direction === 'down' }];
    }),
  historyTable(folder) {
    return tableNamed({ table: setting(migrateSettings(folder), 'table-name') }, '_sqlx_migrations');
  },
  // The directive has to be the first bytes of the file.
  divide: (source) => ({ up: source, noTransaction: isAlone(source) }),
  undoNoTransaction: isAlone,
  record: ({ file, name }, folder) => ({
    checksum: createHash('sha384').update(counted(folder, file)).digest('hex'),
    description: name.slice(name.indexOf('_') + 1).replaceAll('_', ' '),
  }),
};

function isAlone({ text }: SourceText): boolean {
  return text.startsWith('-- no-transaction');
}

function migrateSettings(folder: Folder): string {
  return section(settingsBeside(folder, ['sqlx.toml']) ?? '', 'migrate');
}

/** What of a file sqlx's checksum is made of: `ignored-chars` are left out. */
function counted(folder: Folder, file: string): string | Buffer {
  const list = /^[ \t]*ignored-chars[ \t]*=[ \t]*(\[[^\]]*\])/m.exec(migrateSettings(folder))?.[1];
  if (list === undefined) return folder.bytes(file);
  const ignored = new Set(v.parse(v.array(v.string()), JSON.parse(list.replaceAll("'", '"'))));
  return [...folder.bytes(file).toString('utf8')].filter((each) => !ignored.has(each)).join('');
}
