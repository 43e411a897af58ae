/** What `import … from 'cdk-postgres-migrations'` gives. */
export { MigrationError } from '../lambda/migration/migration-error.ts';
export type { IndexStrategy, WaitFor } from '../lambda/migration/options.ts';
export type { LintProps } from './lint-at-synth.ts';
export type { Level, Levels } from './lint-migrations.ts';
export { MigrationsStack, type MigrationsStackProps } from './migrations-stack.ts';
export { PostgresMigrations } from './postgres-migrations.ts';
export type { PostgresMigrationsProps } from './postgres-migrations-props.ts';
export type { PreflightHookProps } from './preflight-hook.ts';
