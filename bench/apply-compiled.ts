import { readFile } from 'node:fs/promises';
import type { CompiledMigrations } from '../lambda/migration/migration.ts';
import { defaultOptions } from '../lambda/migration/options.ts';
import { parseConnectionUrl } from '../lambda/postgres/session/connection-target.ts';
import { runMigrations } from '../lambda/run/run-migrations.ts';

// What the migrator Lambda does once it has its secret, as a program: measured in its own process, like the peers.
const [file = ''] = process.argv.slice(2);
const { outcome } = await runMigrations({
  migrations: JSON.parse(await readFile(file, 'utf8')) as CompiledMigrations,
  target: parseConnectionUrl(process.env.DATABASE_URL ?? '', 'DATABASE_URL'),
  options: defaultOptions,
  cause: { kind: 'command line', actor: 'bench' },
  deadline: undefined,
  report: () => {},
});
if (outcome !== 'done') throw new Error(`the run ended ${outcome}`);
