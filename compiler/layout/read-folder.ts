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
  const files = folder.problems.length > 0 ? [] : layout.find(folder);
  return { layout, folder, files, problems: folder.problems };
}

/** The layout whose sign lies in the folder; where two do, the folder has a problem. */
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
