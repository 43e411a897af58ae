import { createHash } from 'node:crypto';
import { FileRefused } from '../syntax/problem.ts';
import type { Folder } from './folder.ts';
import type { FoundMigration, Layout } from './layout.ts';

const LOCK = 'migration_lock.toml';

/** One folder to a migration, whatever its name; prisma-engines, schema-engine. */
export const prisma: Layout = {
  name: 'prisma',
  title: 'Prisma',
  order: 'text',
  sign: (folder) => (folder.has(LOCK) ? LOCK : undefined),
  find(folder) {
    if (folder.has(LOCK)) folder.attempt(() => checkProvider(folder));
    return findFolders(folder);
  },
  record: ({ file }, folder) => {
    const text = folder.bytes(file).toString('utf8');
    const unix = text.replaceAll('\r\n', '\n');
    const others = [unix, unix.replaceAll('\n', '\r\n')].map(sha256);
    const checksum = sha256(text);
    // Old versions wrote each byte without its leading zero.
    const unpadded = [checksum, ...others].map((hex) =>
      hex.replace(/(.)(.)/g, (pair) => pair.replace(/^0/, '')),
    );
    return { checksum, alsoChecksums: [...others, ...unpadded] };
  },
};

function checkProvider(folder: Folder): void {
  const source = folder.source(LOCK);
  const provider = /^\s*provider\s*=\s*"([^"]*)"/m.exec(source.text)?.[1];
  if (provider === undefined || ['postgresql', 'postgres', 'cockroachdb'].includes(provider)) return;
  throw new FileRefused({
    file: LOCK,
    sentence: `These migrations are for ${provider}, and only PostgreSQL is deployed here.`,
  });
}

/** `<name>/migration.sql`, in the order of names; with `down.sql` beside it, its undo. */
export function findFolders(folder: Folder): readonly FoundMigration[] {
  const names = folder.entries().filter((entry) => !entry.startsWith('.'));
  const found = names.flatMap((name) => folder.attempt(() => look(folder, name)) ?? []);
  return found.sort((a, b) => a.id.localeCompare(b.id, 'en'));
}

function look(folder: Folder, name: string): readonly FoundMigration[] {
  if (!folder.isFolder(name)) return [];
  const entries = folder.entries(name);
  // Drizzle keeps its journal so, and other tools their pictures.
  if (!entries.some((entry) => entry.endsWith('.sql')) && !/^\d/.test(name)) return [];
  if (!entries.includes('migration.sql')) {
    throw new FileRefused({
      file: name,
      sentence: 'The folder has no migration.sql.',
      advice: 'Bring the file back, or remove the folder.',
    });
  }
  const undo = entries.includes('down.sql') ? `${name}/down.sql` : undefined;
  return [{ id: name, name, file: `${name}/migration.sql`, undo }];
}

export function sha256(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('hex');
}
