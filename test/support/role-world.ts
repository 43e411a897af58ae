import { onTestFinished } from 'vitest';
import { type FreshDatabase, freshDatabase } from './fresh-database.ts';

/**
 * How the role that logs in comes to its rights on the tables, which lie in the schema `fin`.
 * - `owner`: they are its own.
 * - `SET ROLE`: it inherits nothing, and each file takes on the role that owns them.
 * - `role's own SET role`: the same, by `alter role … set role`, so that each of its sessions begins as that role.
 * - `no USAGE`: as `SET ROLE`, and it may not even use their schema.
 */
export const roleKinds = ['owner', 'SET ROLE', "role's own SET role", 'no USAGE'] as const;
export type RoleKind = (typeof roleKinds)[number];

export interface RoleWorld {
  /** Its `url` and `query` are those of the role that logs in. */
  readonly database: FreshDatabase;
  /** What each file begins with. */
  readonly head: string;
  /** Owns the tables. */
  readonly tableOwner: string;
}

/** A database of one test with roles of that kind. */
export async function roleWorld(kind: RoleKind): Promise<RoleWorld> {
  const database = await freshDatabase();
  const { name, owner, adminQuery } = database;
  if (kind === 'owner') {
    await adminQuery(`create schema fin authorization ${owner}`);
    return { database, head: '', tableOwner: owner };
  }
  const tableOwner = `tables_of_${owner}`;
  const all = kind === "role's own SET role" ? tableOwner : owner;
  // The login role is the one that freshDatabase() has made, less all that it owns.
  await adminQuery(`create role ${tableOwner} nologin`);
  onTestFinished(async () => {
    await adminQuery(`drop owned by ${tableOwner}, ${owner} cascade; drop role ${tableOwner}`);
  });
  await adminQuery(`alter database ${name} owner to current_user;
    alter role ${owner} noinherit nocreatedb nocreaterole;
    grant ${tableOwner} to ${owner};
    grant create, temporary on database ${name} to ${all};
    create schema fin authorization ${tableOwner};
    ${kind === 'SET ROLE' ? `grant usage on schema fin to ${owner};` : ''}
    ${kind === "role's own SET role" ? `alter role ${owner} set role = ${tableOwner};` : ''}`);
  const set = `set role ${tableOwner};\n`;
  const head = kind === "role's own SET role" ? '' : set;
  return { database, head, tableOwner };
}
