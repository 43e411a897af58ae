import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { MigrationsStack } from '../../infra/migrations-stack.ts';

export const SECRET_NAME = 'postgres-migrations/database';

/** What `cdk synth` would write for this folder of migrations: template and assets, in a directory of their own. */
export function synthesize(migrations: string, outdir: string, maxConcurrentTables: number): string {
  const app = new App({ outdir, analyticsReporting: false });
  new MigrationsStack(app, 'PostgresMigrations', {
    migrations,
    secret: { kind: 'name', name: SECRET_NAME },
    maxConcurrentTables,
  });
  app.synth();
  return outdir;
}

/** The release before: the tables only, as they have been in use for a while. */
export function earlierRelease(migrations: string, directory: string): string {
  mkdirSync(directory, { recursive: true });
  for (const file of readdirSync(migrations)) {
    if (/^000[1-4]_/.test(file)) cpSync(join(migrations, file), join(directory, file));
  }
  return directory;
}
