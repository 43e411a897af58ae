import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type pg from 'pg';
import { inject, onTestFinished } from 'vitest';
import type { EmbeddedPostgres } from '../../local/postgres/embedded-postgres.ts';
import { changesSessions, KeptSessions } from './kept-sessions.ts';
import { TEMPLATE } from './query-once.ts';

/** An empty database of one test, owned by a role that is no superuser, as an application's database is. */
export interface FreshDatabase {
  readonly name: string;
  /** As the owner. */
  readonly url: string;
  /** As the server's superuser. */
  readonly adminUrl: string;
  readonly host: string;
  readonly port: number;
  readonly owner: string;
  readonly password: string;
  /** One statement or several, as the owner, in a session that nobody has used, as far as one can tell. */
  query<Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /** The same as superuser. */
  adminQuery<Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Ends its sessions and drops database and owner. */
  drop(): Promise<void>;
}

const servers = new Map<string, KeptSessions>();

/** A process keeps those of the shared server to its end. */
function sessionsOf(serverUrl: string): KeptSessions {
  const known = servers.get(serverUrl) ?? new KeptSessions(serverUrl);
  servers.set(serverUrl, known);
  return known;
}

type Server = Pick<EmbeddedPostgres, 'host' | 'port' | 'user' | 'password' | 'major'>;

/** By way of the write-ahead log, the default since 15, it takes two to three times as long to create and to drop. */
const copying = ({ major }: Server): string => (major >= 15 ? 'strategy file_copy' : '');

/**
 * A database that goes away with the test (or the `beforeEach`) that asked for it. It lies in the shared server
 * unless another one is given.
 */
export async function freshDatabase(server: Server = inject('sharedPostgres')): Promise<FreshDatabase> {
  const database = await createDatabase(server);
  onTestFinished(() => database.drop());
  return database;
}

/** The same for a whole file's `beforeAll`: the caller drops it. */
export async function createDatabase(server: Server = inject('sharedPostgres')): Promise<FreshDatabase> {
  const template = server.port === inject('sharedPostgres').port ? TEMPLATE : 'template0';
  const id = randomBytes(6).toString('hex');
  const name = `test_${id}`;
  const owner = `owner_${id}`;
  const password = randomBytes(12).toString('base64url');
  const urlFor = (role: string, secret: string, database: string): string =>
    `postgresql://${role}:${secret}@${server.host}:${server.port}/${database}`;
  const serverUrl = urlFor(server.user, server.password, 'postgres');
  const adminUrl = urlFor(server.user, server.password, name);
  const url = urlFor(owner, password, name);

  const sessions = sessionsOf(serverUrl);
  await sessions.query(`create role ${owner} login createdb createrole password '${password}'`);
  await sessions.query(`create database ${name} owner ${owner} template ${template} ${copying(server)}`);
  const ofOwner = new KeptSessions(url);
  const ofAdmin = new KeptSessions(adminUrl);
  return {
    name,
    url,
    adminUrl,
    host: server.host,
    port: server.port,
    owner,
    password,
    query: (sql, values) => ofOwner.query(sql, values),
    adminQuery: async (sql, values) => {
      try {
        return await ofAdmin.query(sql, values);
      } finally {
        if (changesSessions(sql)) await ofOwner.end();
      }
    },
    drop: async () => {
      await Promise.all([ofOwner.end(), ofAdmin.end()]);
      await sessions.query(`drop database if exists ${name} with (force)`);
      await sessions.query(`drop role if exists ${owner}`);
      if (server.port !== inject('sharedPostgres').port) await sessions.end();
    },
  };
}

/** What the shared server has logged since it started, other tests' lines included. */
export function sharedServerLog(): Promise<string> {
  return readFile(inject('sharedPostgres').logFile, 'utf8');
}
