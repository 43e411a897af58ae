import type { SourceText } from '../syntax/source-text.ts';
import type { Layout } from './layout.ts';
import { pairFiles, undoBelow } from './version-files.ts';

const NAME = /^(\d+)_(.*)\.sql$/;

/** `supabase/migrations/<version>_<name>.sql`; apps/cli-go/pkg/migration. */
export const supabase: Layout = {
  name: 'supabase',
  title: 'Supabase',
  order: 'text',
  sign: (folder) =>
    /[\\/]supabase[\\/]migrations$/.test(folder.path) ? 'its place, supabase/migrations' : undefined,
  find(folder) {
    const files = folder.sqlFiles().filter((file) => !folder.isFolder(file));
    const found = files.flatMap((file, at) => {
      const [, id, name] = NAME.exec(file) ?? [];
      if (id === undefined || name === undefined) return [];
      // What old versions of the CLI wrote for themselves, and what they skip.
      if (at === 0 && name === 'init' && id.length === 14 && id < '20211209000000') return [];
      return [{ id, name: `${id}_${name}`, file, undo: false }];
    });
    return pairFiles(folder, found).map((each) => ({ ...each, undo: undoBelow(folder, each.file) }));
  },
  divide: (source) => ({ up: source, noTransaction: isAlone(source) }),
  undoNoTransaction: isAlone,
};

function isAlone({ text }: SourceText): boolean {
  return /^--[^\S\n]*supabase:disable-transaction\b/m.test(text);
}
