/** What `import … from 'cdk-postgres-migrations'` gives. */

export type { Level, Levels } from '../compiler/lint/lint-migrations.ts';
export { MigrationError } from '../lambda/migration/migration-error.ts';
export type { IndexStrategy, WaitFor } from '../lambda/migration/options.ts';
export { MigrationsStack, type MigrationsStackProps } from './app/migrations-stack.ts';
export type { Authentication, ConnectableDatabase, DatabaseEndpoint } from './database-access.ts';
export type { LintProps } from './lint-at-synth.ts';
export { PostgresMigrations } from './postgres-migrations.ts';
export type { PostgresMigrationsProps } from './postgres-migrations-props.ts';
export type { PreflightHookProps } from './preflight-hook.ts';
