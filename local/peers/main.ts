import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { compileMigrations } from '../../compiler/steps/compile-migrations.ts';
import { performAction } from '../../lambda/actions/perform-action.ts';
import { defaultOptions } from '../../lambda/migration/options.ts';
import type { Version } from '../../lambda/migration/version.ts';
import { parseConnectionUrl } from '../../lambda/postgres/session/connection-target.ts';
import type { RunRequest } from '../../lambda/run/run.ts';
import { runMigrations } from '../../lambda/run/run-migrations.ts';
import { type EmbeddedPostgres, withEmbeddedPostgres } from '../postgres/embedded-postgres.ts';
import { type Command, type Peer, type Place, peers } from './peer.ts';
import { query, rowsOf, writeTable } from './table.ts';

/**
 * `npm run test:peers`: each tool makes a history on a real server, we take over in the middle and apply the next. The
 * tool must find nothing to do and nothing wrong; then it applies one itself, and we must see it; what we undo,
 * it applies again. `--fixtures` has each tool write the histories of test/lambda/history/fixtures, with all three
 * migrations applied by itself.
 */
const TOOLS = join(import.meta.dirname, 'tools');
const FIXTURES = join(import.meta.dirname, '../../test/lambda/history/fixtures');
const run = promisify(execFile);

/** Milliseconds; a tool that takes longer hangs. */
const PATIENCE = 120_000;

class Missing extends Error {}

/** What it prints, on stdout and stderr. */
async function call([file, ...args]: Command, { url }: { readonly url?: string } = {}): Promise<string> {
  const env = { ...process.env, ...(url !== undefined && { DATABASE_URL: url }) };
  try {
    const { stdout, stderr } = await run(file, args, { cwd: TOOLS, env, timeout: PATIENCE });
    return stdout + stderr;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Missing(`${file} is not on PATH`);
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${[file, ...args].join(' ')}: ${stdout}${stderr}`, { cause: error });
  }
}

async function lay(place: Place, peer: Peer, count: number): Promise<void> {
  for (const [file, text] of Object.entries(peer.files(count))) {
    await mkdir(dirname(join(place.folder, file)), { recursive: true });
    await writeFile(join(place.folder, file), text);
  }
  for (const {
    command: [file, ...args],
    into,
  } of peer.prepare?.(place) ?? []) {
    const { stdout } = await run(file, args, {
      cwd: TOOLS,
      env: { ...process.env, DATABASE_URL: place.url },
    });
    if (into !== undefined) await writeFile(join(place.folder, into), stdout);
  }
}

async function requestOf(peer: Peer, { folder, url }: Place): Promise<RunRequest> {
  return {
    migrations: await compileMigrations(join(folder, peer.ours ?? '.'), { layout: layoutOf(peer) }),
    target: parseConnectionUrl(url, 'The URL'),
    options: defaultOptions,
    cause: { kind: 'command line', actor: 'test:peers' },
    deadline: undefined,
    report: () => undefined,
  };
}

function layoutOf({ name }: Peer): 'sqlx' | undefined {
  // Its reversible files are named like golang-migrate's, so the table tells which tool it is.
  return name === 'sqlx' ? 'sqlx' : undefined;
}

async function ours(peer: Peer, place: Place): Promise<readonly string[]> {
  return (await runMigrations(await requestOf(peer, place))).applied.map(
    ({ migration }) => migration.version,
  );
}

function check(what: string, is: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(is), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a}, expected ${b}`);
}

async function looks(peer: Peer, place: Place): Promise<void> {
  if (peer.check === undefined) return;
  const said = await call(peer.check(place), place);
  if (peer.clean?.test(said) === false) throw new Error(`It finds something wrong: ${said}`);
}

async function withPlace<Result>(
  server: EmbeddedPostgres,
  peer: Peer,
  work: (place: Place) => Promise<Result>,
): Promise<Result> {
  const database = `peer_${peer.name.replaceAll('-', '_')}`;
  await query(server.url, `drop database if exists ${database}`);
  await query(server.url, `create database ${database}`);
  const folder = await mkdtemp(join(tmpdir(), 'peer-'));
  try {
    return await work({ folder, url: server.urlOf({ database }) });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function handOver(peer: Peer, place: Place): Promise<void> {
  const expected = peer.rows ?? ((count: number) => count);
  const rows = async () => (await rowsOf(place.url, peer)).length;
  const theirs = async () => call(peer.apply(place), place);
  await lay(place, peer, 1);
  await theirs();
  check('rows of its own', await rows(), expected(1));
  await lay(place, peer, 2);
  check('files applied by us', new Set(await ours(peer, place)).size, 1);
  const mirrored = await rowsOf(place.url, peer);
  check('rows after us', mirrored.length, expected(2));
  await looks(peer, place);
  await theirs();
  check('it finds nothing to do', (await rowsOf(place.url, peer)).length, mirrored.length);
  await lay(place, peer, 3);
  await theirs();
  check('rows after it applied one more', await rows(), expected(3));
  check('left for us', await ours(peer, place), []);
  const states = async () =>
    (
      await query<{ state: string }>(
        place.url,
        'select distinct on (position) state from migrations.step order by position',
      )
    ).map(({ state }) => state);
  check('recorded', await states(), ['baselined', 'applied', 'baselined']);
  const request = await requestOf(peer, place);
  const [, second, third] = request.migrations.migrations;
  if (third?.undo === undefined || second === undefined) return;
  await performAction({ action: 'undo', to: second.version as Version, confirm: true }, request);
  check('recorded after undo', await states(), ['baselined', 'applied']);
  await theirs();
  check('rows after it applied that again', await rows(), expected(3));
  await looks(peer, place);
}

/** What is marked as applied by hand has to be applied for the tool too. */
async function takenByHand(peer: Peer, place: Place): Promise<void> {
  await lay(place, peer, 1);
  await call(peer.apply(place), place);
  await lay(place, peer, 3);
  const request = await requestOf(peer, place);
  const last = request.migrations.migrations.at(-1)?.version as Version;
  await performAction({ action: 'baseline', version: last, confirm: true }, request);
  const rows = await rowsOf(place.url, peer);
  await looks(peer, place);
  await call(peer.apply(place), place);
  check('it finds nothing to do', (await rowsOf(place.url, peer)).length, rows.length);
  check('tables made by anybody', await query(place.url, "select from pg_class where relname = 'c'"), []);
}

/** Writes a fixture with all three applied by the tool itself. */
async function writeFixture(peer: Peer, place: Place): Promise<void> {
  const folder = join(FIXTURES, peer.name);
  const theirs = async () => call(peer.apply(place), place);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await lay(place, peer, 1);
  await theirs();
  const said = await call(peer.version.command);
  const version = said
    .slice(Math.max(0, said.indexOf(peer.version.after ?? '')))
    .match(/v?\d+\.\d+\.\d+\S*/)?.[0];
  const by = `${peer.name} ${version ?? said.trim()}`;
  await writeFile(
    join(folder, 'history.sql'),
    `-- Written by ${by}, with the first migration applied.\n${await writeTable(place.url, peer.table)}`,
  );
  const first = await rowsOf(place.url, peer);
  await lay(place, peer, 3);
  await theirs();
  const all = await rowsOf(place.url, peer);
  if (peer.undo !== undefined) await call(peer.undo(place), place);
  const { layout } = (await requestOf(peer, place)).migrations;
  const fixture = {
    writtenBy: by,
    layout,
    folder: peer.ours ?? '.',
    table: peer.table,
    orderBy: peer.orderBy,
    inForce: peer.inForce,
    changing: peer.changing,
    first,
    all,
    ...(peer.undo !== undefined && { undone: await rowsOf(place.url, peer) }),
  };
  await writeFile(join(folder, 'history.json'), `${JSON.stringify(fixture, null, 2)}\n`);
  const inHome = { ...place, folder: join(folder, 'home') };
  await lay(inHome, peer, 3);
}

if (!existsSync(join(TOOLS, 'node_modules'))) {
  console.log('Installing the tools …');
  await run('npm', ['install', '--ignore-scripts'], { cwd: TOOLS });
}
const [writes, ...others] = process.argv
  .slice(2)
  .sort((a, b) => Number(b === '--fixtures') - Number(a === '--fixtures'));
const wanted = writes === '--fixtures' || writes === undefined ? others : [writes, ...others];
const works = writes === '--fixtures' ? [writeFixture] : [handOver, takenByHand];
let failed = 0;
await withEmbeddedPostgres({}, async (server) => {
  for (const peer of peers.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    try {
      for (const work of works) await withPlace(server, peer, (place) => work(peer, place));
      console.log(`ok       ${peer.name}`);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      const skipped = error instanceof Missing && peer.program !== undefined;
      if (!skipped) failed += 1;
      console.log(`${skipped ? 'skipped ' : 'FAILED  '} ${peer.name}: ${text}`);
    }
  }
});
process.exitCode = failed === 0 ? 0 : 1;
