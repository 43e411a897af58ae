import { createRequire } from 'node:module';
import { migrate } from 'graphile-migrate';

const [, , connectionString, migrationsFolder] = process.argv;
if (connectionString === 'version') {
  console.log(createRequire(import.meta.url)('graphile-migrate/package.json').version);
  process.exit();
}
await migrate({ connectionString, migrationsFolder });
