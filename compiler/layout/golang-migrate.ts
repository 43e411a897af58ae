import { parseVersion } from '../../lambda/migration/version.ts';
import { checkSum } from './atlas.ts';
import type { Layout } from './layout.ts';
import { findNumbered } from './plain.ts';
import { sqlx } from './sqlx.ts';
import { refuseCode } from './version-files.ts';

const NAME = /^(\d+)_(.*)\.(down|up)\.sql$/;

/** `<version>_<title>.up.sql` and `.down.sql`; source/parse.go. Other names are passed over, as golang-migrate does. */
export const golangMigrate: Layout = {
  name: 'golang-migrate',
  title: 'golang-migrate',
  order: 'number',
  /** Other tools name their files so too; what these do alone is looked for first. */
  sign(folder) {
    const versioned = folder.sqlFiles().filter((file) => /^\d/.test(file));
    const [first] = versioned;
    return first !== undefined && versioned.every((file) => NAME.test(file)) ? first : undefined;
  },
  find(folder) {
    refuseCode(folder, 'golang-migrate');
    folder.attempt(() => checkSum(folder));
    return findNumbered(folder, (file) => {
      const [, digits = '', , direction] = NAME.exec(file) ?? [];
      const version = parseVersion(digits);
      if (version === undefined || folder.isFolder(file)) return [];
      const name = file.slice(0, -`.${direction}.sql`.length);
      return [{ id: version, name, file, undo: direction === 'down' }];
    });
  },
  // sqlx names its reversible migrations so too: which of the two it was, only the database knows.
  divide: (source, found) => sqlx.divide?.(source, found) ?? { up: source },
  undoNoTransaction: (...undo) => sqlx.undoNoTransaction?.(...undo) ?? false,
  record: (...found) => sqlx.record?.(...found) ?? {},
};
