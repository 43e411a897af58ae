import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { compileMigrations } from '../../compiler/steps/compile-migrations.ts';
import { defaultOptions } from '../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../lambda/postgres/session/connection-target.ts';
import { runMigrations } from '../../lambda/run/run-migrations.ts';
import { type EmbeddedPostgres, withEmbeddedPostgres } from '../postgres/embedded-postgres.ts';
import { type Peer, peers } from './peer.ts';

/**
 * `npm run test:peers`: each tool makes a history on a real server, we take over in the middle and apply the next, the
 * tool must find nothing to do and nothing wrong; then it applies one by itself, and we have to see it.
 */
const TOOLS = join(import.meta.dirname, 'tools');
const run = promisify(execFile);

async function query(url: string, text: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<{ row: string }>(text)).rows.map(({ row }) => row);
  } finally {
    await client.end();
  }
}

async function lay(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }
}

async function ours(folder: string, url: string): Promise<number> {
  const result = await runMigrations({
    migrations: await compileMigrations(folder),
    target: parseConnectionUrl(url, 'The URL'),
    options: defaultOptions,
    cause: { kind: 'command line', actor: 'test:peers' },
    deadline: undefined,
    report: () => undefined,
  });
  return result.applied.length;
}

function check(what: string, is: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(is), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a}, expected ${b}`);
}

async function handOver(server: EmbeddedPostgres, peer: Peer): Promise<void> {
  const database = `peer_${peer.name.replaceAll('-', '_')}`;
  await query(server.url, `create database ${database}`);
  const url = server.urlOf({ database });
  const folder = await mkdtemp(join(tmpdir(), 'peer-'));
  const theirs = async () => {
    const [file, ...args] = peer.command(folder, url);
    await run(file, args, { cwd: TOOLS, env: { ...process.env, DATABASE_URL: url } });
  };
  try {
    await lay(folder, peer.files(1));
    await theirs();
    check('rows of its own', (await query(url, peer.history)).length, 1);
    await lay(folder, peer.files(2));
    check('applied by us', await ours(folder, url), 1);
    const mirrored = await query(url, peer.history);
    check('rows after us', mirrored.length, 2);
    await theirs();
    check('it finds nothing to do', await query(url, peer.history), mirrored);
    await lay(folder, peer.files(3));
    await theirs();
    check('rows after it applied one more', (await query(url, peer.history)).length, 3);
    check('left for us', await ours(folder, url), 0);
    const recorded = `select state as row from migrations.step order by position`;
    check('recorded', await query(url, recorded), ['baselined', 'applied', 'baselined']);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

if (!existsSync(join(TOOLS, 'node_modules'))) {
  console.log('Installing the tools …');
  await run('npm', ['install'], { cwd: TOOLS });
}
const wanted = process.argv.slice(2);
let failed = 0;
await withEmbeddedPostgres({}, async (server) => {
  for (const peer of peers.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    try {
      await handOver(server, peer);
      console.log(`ok       ${peer.name}`);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      // Its engine is no part of the package: it is fetched from Prisma's own server.
      const skipped = /binaries\.prisma\.sh/.test(text);
      if (!skipped) failed += 1;
      console.log(
        skipped
          ? `skipped  ${peer.name}: its engine can't be fetched from binaries.prisma.sh`
          : `FAILED   ${peer.name}: ${text}`,
      );
    }
  }
});
process.exitCode = failed === 0 ? 0 : 1;
