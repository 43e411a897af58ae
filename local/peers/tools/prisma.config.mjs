import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';

/** The engine asks the catalog for names, whose type the adapter does not know; as text it does. */
class Pool extends pg.Pool {
  async query(...args) {
    const result = await super.query(...args);
    for (const field of result.fields ?? []) {
      if (field.dataTypeID === 19) field.dataTypeID = 25;
    }
    return result;
  }
}

// With an adapter Prisma migrates by its engine in WebAssembly, which the package has: no binary is fetched.
export default {
  experimental: { adapter: true },
  engine: 'js',
  schema: `${process.env.PEER_HOME}/schema.prisma`,
  migrations: { path: `${process.env.PEER_HOME}/migrations` },
  adapter: async () => new PrismaPg(new Pool({ connectionString: process.env.DATABASE_URL })),
};
