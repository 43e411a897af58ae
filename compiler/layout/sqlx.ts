import { createHash } from 'node:crypto';
import { parseVersion } from '../../lambda/migration/version.ts';
import { FileRefused } from '../syntax/problem.ts';
import { signIn } from './dbmate.ts';
import type { Layout } from './layout.ts';
import { findNumbered } from './plain.ts';

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
          sentence: `sqlx takes '${digits}' for the version, and it is no number.`,
          advice: 'Expected <version>_<description>.sql.',
        });
      }
      const name = file.replace(/(?:\.(?:up|down))?\.sql$/, '');
      return [{ id: version, name, file, undo: direction === 'down' }];
    }),
  // The directive has to be the first bytes of the file.
  divide: (source) => ({ up: source, noTransaction: source.text.startsWith('-- no-transaction') }),
  record: ({ file, name }, folder) => ({
    checksum: createHash('sha384').update(folder.bytes(file)).digest('hex'),
    description: name.slice(name.indexOf('_') + 1).replaceAll('_', ' '),
  }),
};
