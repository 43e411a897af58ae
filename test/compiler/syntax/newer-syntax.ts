import { serverMajor } from '../../support/server-major.ts';

/**
 * What the parser, PostgreSQL 18's, takes and older servers do not: the first major that does. Postgres refuses it
 * with `syntax_error`, or with `feature_not_supported` where its grammar was ahead of it.
 */
const FIRST_MAJOR: Readonly<Record<string, number>> = {
  'create publication pub3 for tables in schema sub': 15,
  'merge into a using b on a.id = b.id when matched then delete': 15,
  'alter table a set access method heap': 15,
  'cluster parted using parted_pkey': 15,
  '(id) nulls not distinct': 15,
  'reindex database': 16,
  'reindex system': 16,
  'reindex database concurrently': 16,
  'alter table t add column y int generated always as (x + 1) virtual': 18,
};

export function isNewerThanServer(sql: string): boolean {
  return serverMajor < (FIRST_MAJOR[sql] ?? 0);
}

/** SQLSTATEs of the refusal. */
export const NEWER_REFUSED: readonly unknown[] = ['42601', '0A000'];
