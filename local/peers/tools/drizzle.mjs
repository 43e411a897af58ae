import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';

const [, , url, migrationsFolder] = process.argv;
const pool = new pg.Pool({ connectionString: url });
await migrate(drizzle(pool), { migrationsFolder });
await pool.end();
