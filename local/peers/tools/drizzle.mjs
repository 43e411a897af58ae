import { createRequire } from 'node:module';
import pg from 'pg';

// Version 0 or 1, by the name under which it is installed.
const [, , name, url, migrationsFolder] = process.argv;
if (url === 'version') {
  const main = createRequire(import.meta.url).resolve(name);
  console.log(createRequire(main)('./package.json').version);
  process.exit();
}
const { drizzle } = await import(`${name}/node-postgres`);
const { migrate } = await import(`${name}/node-postgres/migrator`);
const pool = new pg.Pool({ connectionString: url });
await migrate(name === 'drizzle-orm' ? drizzle(pool) : drizzle({ client: pool }), { migrationsFolder });
await pool.end();
