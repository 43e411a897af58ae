import { FileRefused } from '../syntax/problem.ts';
import type { Folder } from './folder.ts';
import type { FoundMigration, Layout } from './layout.ts';
import { setting } from './settings-beside.ts';
import { byText, pairFiles } from './version-files.ts';

/** As `diesel migration generate` and `diesel setup` name folders. */
const GENERATED = /^(?:\d{4}-\d{2}-\d{2}-\d{6}(?:-\d{4})?_|00000000000000_diesel_)/;

/** `<version>_<name>/up.sql` and `down.sql`; diesel_migrations, file_based_migrations.rs. */
export const diesel: Layout = {
  name: 'diesel',
  title: 'Diesel',
  order: 'text',
  sign(folder) {
    const below = folder.entries().find((entry) => GENERATED.test(entry) && folder.has(`${entry}/up.sql`));
    return below === undefined ? undefined : `${below}/up.sql`;
  },
  find(folder) {
    const found = folder.entries().flatMap((entry) => folder.attempt(() => look(folder, entry)) ?? []);
    // Diesel's version is the part before the first underscore, without its dashes.
    const files = found.map((name) => ({
      id: (name.split('_')[0] ?? '').replaceAll('-', ''),
      name,
      file: `${name}/up.sql`,
      undo: false,
    }));
    return pairFiles(folder, files)
      .map((each): FoundMigration => {
        const undo = `${each.name}/down.sql`;
        const alone = folder.attempt(() => runsAlone(folder, each.name)) === true;
        return { ...each, undo: folder.has(undo) ? undo : undefined, ...(alone && { noTransaction: true }) };
      })
      .sort((a, b) => byText(a.id, b.id));
  },
  undoNoTransaction: (_, { noTransaction }) => noTransaction === true,
};

/** Files beside the folders are not Diesel's. */
function look(folder: Folder, name: string): readonly string[] {
  if (name.startsWith('.') || !folder.isFolder(name)) return [];
  if (folder.has(`${name}/up.sql`)) return [name];
  throw new FileRefused({
    file: name,
    sentence: 'The folder has no up.sql.',
    advice: 'Bring the file back, or remove the folder.',
  });
}

/** `run_in_transaction = false` in the `metadata.toml` beside a migration. */
function runsAlone(folder: Folder, name: string): boolean {
  const file = `${name}/metadata.toml`;
  return folder.has(file) && setting(folder.source(file).text, 'run_in_transaction') === 'false';
}
