import { migrate } from 'graphile-migrate';

const [, , connectionString, migrationsFolder] = process.argv;
await migrate({ connectionString, migrationsFolder });
