import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Finding, type LintOptions, lintMigrations } from '../../../compiler/lint/lint-migrations.ts';
import type { Version } from '../../../lambda/migration/version.ts';
import { folderOf } from '../compile-text.ts';

const fixtures = new URL('./fixtures/', import.meta.url);

/** The tables that every fixture finds. */
export const SCHEMA = readFileSync(new URL('schema.sql', fixtures), 'utf8');

export function readFixture(rule: string, which: 'bad' | 'good'): string {
  return readFileSync(new URL(`${rule}/${which}.sql`, fixtures), 'utf8');
}

export const fixturesFolder = fileURLToPath(fixtures);

/** What is found in files that come after the schema, which itself is taken as it is. */
export function lintAfterSchema(files: readonly string[], options: LintOptions = {}): readonly Finding[] {
  const named = Object.fromEntries(files.map((sql, at) => [`${at + 2}_test.sql`, sql]));
  return lintMigrations(folderOf({ '1_schema.sql': SCHEMA, ...named }), {
    since: '1' as Version,
    ...options,
  });
}

/** The file with the finding's SQL in place of the statement that it is about. */
export function replaced(sql: string, finding: Finding, statement: { index: number; text: string }): string {
  const after = sql.slice(statement.index + statement.text.length).replace(/^\s*;/, '');
  return `${sql.slice(0, statement.index)}${finding.instead}${after}`;
}
