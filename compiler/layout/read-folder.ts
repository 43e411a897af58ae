import { type LayoutName, layoutNames } from '../../lambda/migration/layout.ts';
import type { Problem } from '../syntax/problem.ts';
import { alembic } from './alembic.ts';
import { atlas } from './atlas.ts';
import { dbmate } from './dbmate.ts';
import { diesel } from './diesel.ts';
import { drizzle } from './drizzle.ts';
import { flyway } from './flyway.ts';
import { Folder } from './folder.ts';
import { golangMigrate } from './golang-migrate.ts';
import { goose } from './goose.ts';
import { graphileMigrate } from './graphile-migrate.ts';
import type { FoundMigration, Layout } from './layout.ts';
import { liquibase } from './liquibase.ts';
import { nodePgMigrate } from './node-pg-migrate.ts';
import { plain } from './plain.ts';
import { prisma } from './prisma.ts';
import { sqlx } from './sqlx.ts';
import { supabase } from './supabase.ts';

const LAYOUTS: Readonly<Record<LayoutName, Layout>> = {
  plain,
  prisma,
  drizzle,
  dbmate,
  goose,
  'golang-migrate': golangMigrate,
  sqlx,
  supabase,
  'node-pg-migrate': nodePgMigrate,
  flyway,
  'graphile-migrate': graphileMigrate,
  atlas,
  alembic,
  diesel,
  liquibase,
};

/** Its names are those of others too: it counts where nothing else does. */
const WEAK: readonly LayoutName[] = ['golang-migrate'];

export interface MigrationFolder {
  readonly layout: Layout;
  readonly folder: Folder;
  /** In order. */
  readonly files: readonly FoundMigration[];
  readonly problems: readonly Problem[];
}

/** Lists the migrations of a folder. A missing folder is a problem, an empty one is not. */
export function readFolder(directory: string, given?: LayoutName): MigrationFolder {
  const folder = new Folder(directory);
  const layout = given === undefined ? find(folder) : LAYOUTS[given];
  const files = folder.problems.length > 0 ? [] : (folder.attempt(() => layout.find(folder)) ?? []);
  if (files.length === 0 && folder.problems.length === 0) refuseUnread(folder, layout);
  return { layout, folder, files, problems: folder.problems };
}

/** SQL that is passed over whole is no folder without migrations: the layout or the folder is another one. */
function refuseUnread(folder: Folder, { title }: Layout): void {
  const [first] = folder.entries().flatMap((entry) => sqlAt(folder, entry));
  if (first === undefined) return;
  folder.problem({
    file: first,
    sentence: `No migration of ${title} is found in this folder, and there is SQL in it.`,
    advice: 'Give another folder, or say whose it is: layout, on the command line --layout.',
  });
}

/** What graphile-migrate has not committed is no migration yet, and nothing in `down/` is one by itself. */
function sqlAt(folder: Folder, entry: string): readonly string[] {
  if (/^(?:\.|current(?:\.sql)?$|down$)/.test(entry)) return [];
  if (folder.attempt(() => folder.isFolder(entry)) !== true) return /\.sql$/i.test(entry) ? [entry] : [];
  return folder.sqlFiles(entry).map((file) => `${entry}/${file}`);
}

/** The layout whose sign is in the folder; where two are, the folder has a problem. */
function find(folder: Folder): Layout {
  if (folder.entries().length === 0) return plain;
  const signs = layoutNames.flatMap((name) => {
    const sign = folder.attempt(() => LAYOUTS[name].sign(folder));
    return sign === undefined ? [] : [{ layout: LAYOUTS[name], sign }];
  });
  const strong = signs.filter(({ layout }) => !WEAK.includes(layout.name));
  const [first, ...others] = strong.length > 0 ? strong : signs;
  if (first === undefined) return plain;
  if (others.length > 0) {
    const possible = [first, ...others];
    folder.problem({
      file: folder.directory,
      sentence: `This folder may be that of ${possible.map(({ layout, sign }) => `${layout.title} (${sign})`).join(' or of ')}.`,
      advice: `Say which: ${possible.map(({ layout }) => `layout: '${layout.name}'`).join(' or ')}; on the command line --layout ${first.layout.name}.`,
    });
  }
  return first.layout;
}
