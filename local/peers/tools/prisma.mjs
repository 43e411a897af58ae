import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Prisma finds its migrations beside the schema.
const [, , url, folder] = process.argv;
const home = mkdtempSync(join(tmpdir(), 'prisma-'));
cpSync(folder, join(home, 'migrations'), { recursive: true });
writeFileSync(
  join(home, 'schema.prisma'),
  `datasource db {\n  provider = "postgresql"\n  url = "${url}"\n}\n`,
);
execFileSync('node_modules/.bin/prisma', ['migrate', 'deploy', '--schema', join(home, 'schema.prisma')], {
  stdio: 'inherit',
});
