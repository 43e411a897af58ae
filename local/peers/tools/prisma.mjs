import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Prisma finds its migrations beside the schema.
const [, , verb, url, folder] = process.argv;
if (verb === 'version') {
  console.log(createRequire(import.meta.url)('prisma/package.json').version);
  process.exit();
}
const home = mkdtempSync(join(tmpdir(), 'prisma-'));
try {
  cpSync(folder, join(home, 'migrations'), { recursive: true });
  writeFileSync(
    join(home, 'schema.prisma'),
    'datasource db {\n  provider = "postgresql"\n  url = env("DATABASE_URL")\n}\n',
  );
  execFileSync('node_modules/.bin/prisma', ['migrate', verb, '--config', 'prisma.config.mjs'], {
    stdio: 'inherit',
    env: {
      ...process.env,
      PEER_HOME: home,
      DATABASE_URL: url,
      // Else it would fetch binaries, which it does not need here.
      PRISMA_QUERY_ENGINE_LIBRARY: process.execPath,
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    },
  });
} finally {
  rmSync(home, { recursive: true });
}
