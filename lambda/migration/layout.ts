/** How a folder names, orders and divides its migrations: as one tool does it. */
export type LayoutName = (typeof layoutNames)[number];

/** In the order in which docs/coming-from.md has them; `plain` is what docs/migration-files.md describes. */
export const layoutNames = [
  'plain',
  'prisma',
  'drizzle',
  'dbmate',
  'goose',
  'golang-migrate',
  'sqlx',
  'supabase',
  'node-pg-migrate',
  'flyway',
  'graphile-migrate',
  'atlas',
  'alembic',
  'diesel',
  'liquibase',
] as const;

/**
 * How two identities compare: as numbers, as strings, as Flyway's dotted versions; `listed` where only the folder's own
 * list tells.
 */
export type LayoutOrder = 'number' | 'text' | 'dotted' | 'listed';

/** What the tool's own table holds for a migration, as far as the file tells it. */
export interface ToolRecord {
  /** As the tool makes it. */
  readonly checksum?: string;
  /** Other checksums that the tool accepts for the same file. */
  readonly alsoChecksums?: readonly string[];
  /** Drizzle's time, in milliseconds. */
  readonly when?: number;
  readonly description?: string;
  /** The file's path as the tool writes it. */
  readonly script?: string;
  /** graphile-migrate's chain, Alembic's parents. */
  readonly previous?: readonly string[];
}
