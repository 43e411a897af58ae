import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import type { EmbeddedPostgres } from '../postgres/embedded-postgres.ts';
import { hardenDatabase, hardenObjects, hardenRoles } from '../postgres/hardened-profile.ts';
import { dumpCatalog, leftBehind } from './catalog-dump.ts';
import { deployAndLoop, type FaultDeploy } from './deploy-and-loop.ts';
import { compileReleases, type Releases } from './releases.ts';

const OWNER = 'owner';
const PASSWORD = 'owner-password';
const TEMPLATES = { loopback: 'template_loopback', orphan: 'template_orphan' } as const;

const ROLES = { login: OWNER, owner: 'tables_owner', stranger: 'stranger' };

/** `hardened`: as careful teams run it; see local/postgres/hardened-profile.ts. */
export type Profile = 'open' | 'hardened';

/** Where builds run: with dblink in loopback sessions, without it in attached ones. */
export type TriedSession = keyof typeof TEMPLATES;

/** A server with a database to copy for each injected fault, and the result of an undisturbed deploy. */
export class FaultServer {
  readonly releases: Releases;
  readonly server: EmbeddedPostgres;
  readonly #profile: Profile;
  readonly #admin: pg.Pool;
  readonly #expected = new Map<CompiledMigrations, readonly string[]>();
  #databases = 0;

  private constructor(server: EmbeddedPostgres, releases: Releases, profile: Profile) {
    this.#profile = profile;
    this.server = server;
    this.releases = releases;
    this.#admin = new pg.Pool({ connectionString: server.url, max: 2 });
    this.#admin.on('error', () => {});
  }

  static async prepare(server: EmbeddedPostgres, profile: Profile = 'open'): Promise<FaultServer> {
    const prepared = new FaultServer(server, await compileReleases(), profile);
    await prepared.#admin.query(`create role ${OWNER} login password '${PASSWORD}'`);
    if (profile === 'hardened') await prepared.#admin.query(hardenRoles(ROLES));
    for (const [kind, template] of Object.entries(TEMPLATES)) {
      await prepared.#admin.query(`create database ${template} owner ${OWNER}`);
      if (kind === 'loopback') {
        await queryOnce(
          server.urlOf({ database: template }),
          `create schema extensions; create extension dblink schema extensions; grant usage on schema extensions to ${profile === 'hardened' ? ROLES.owner : OWNER}`,
        );
      }
      await prepared.#harden(template, kind === 'loopback' ? 'loopback' : 'orphan');
      if (profile === 'hardened') await queryOnce(server.urlOf({ database: template }), hardenObjects(ROLES));
      await deployAndLoop({ url: prepared.#urlOf(template), migrations: prepared.releases.first });
    }
    const expect = (migrations: CompiledMigrations) =>
      prepared.withDatabase('loopback', async ({ url }) => {
        await deployAndLoop({ url, migrations });
        prepared.#expected.set(migrations, await withClient(url, dumpCatalog));
      });
    await Promise.all([expect(prepared.releases.second), expect(prepared.releases.slow)]);
    return prepared;
  }

  /** A copy of a database does not have the rights on it, nor its settings. */
  async #harden(database: string, kind: TriedSession): Promise<void> {
    if (this.#profile === 'open') return;
    await this.#admin.query(hardenDatabase(database, ROLES));
    // A loopback session needs a temporary table.
    if (kind === 'loopback')
      await this.#admin.query(`grant temporary on database ${database} to ${ROLES.owner}`);
  }

  #urlOf(database: string): string {
    return this.server.urlOf({ database, user: OWNER, password: PASSWORD });
  }

  /** A copy of the database as the first deploy left it. */
  async withDatabase<T>(
    kind: TriedSession,
    work: (database: { readonly url: string; readonly adminUrl: string }) => Promise<T>,
  ): Promise<T> {
    this.#databases += 1;
    const name = `fault_${this.#databases}`;
    await this.#admin.query(`create database ${name} template ${TEMPLATES[kind]} owner ${OWNER}`);
    try {
      await this.#harden(name, kind);
      return await work({ url: this.#urlOf(name), adminUrl: this.server.urlOf({ database: name }) });
    } finally {
      await this.#admin.query(`drop database if exists ${name} with (force)`);
    }
  }

  /**
   * Deploys again, as an operator or the next deploy would, until it is done; then compares. Throws if anything
   * differs from the undisturbed deploy, or if a session or a lock is left.
   */
  async expectHealed({ url, migrations, ...more }: FaultDeploy): Promise<void> {
    await deployAndLoop({ url, migrations, ...more });
    await withClient(url, async (client) => {
      const found = await dumpCatalog(client);
      const expected = this.#expected.get(migrations) ?? [];
      const missing = expected.filter((line) => !found.includes(line)).map((line) => `- ${line}`);
      const extra = found.filter((line) => !expected.includes(line)).map((line) => `+ ${line}`);
      if (missing.length + extra.length > 0) throw new Error([...missing, ...extra].join('\n'));
      let left: string[] = [];
      for (let look = 0; look < 100; look += 1) {
        left = await leftBehind(client);
        if (left.length === 0) return;
        await sleep(50);
      }
      throw new Error(`left behind: ${left.join('; ')}`);
    });
  }

  async strike(): Promise<void> {
    await this.#admin.end();
    await this.server.stop();
  }
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'observer' });
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

export function queryOnce(url: string, sql: string): Promise<pg.QueryResult> {
  return withClient(url, (client) => client.query(sql));
}
