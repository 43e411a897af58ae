import { readFileSync } from 'node:fs';
import { MigrationError } from '../../lambda/migration/migration-error.ts';

/** The user that a process runs as; empty if it runs as the current user. */
export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Postgres refuses to run as root, and initdb also refuses a user without an entry in the password file. No user
 * is created for it: every system already has an unprivileged one, at least `nobody`.
 */
export function userForPostgres(): UserIds | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const user = chooseUser(readFileSync('/etc/passwd', 'utf8'));
  if (user !== undefined) return user;
  throw new MigrationError({
    code: 'no-unprivileged-user',
    what: 'Postgres does not run as root, and /etc/passwd has no other user.',
    next: 'Run this as a user other than root, or add one to the system.',
  });
}

const PREFERRED = ['postgres', 'nobody', 'daemon'];

/** Pure: picks a user from the text of a password file. Personal accounts come last. */
export function chooseUser(passwordFile: string): UserIds | undefined {
  const users = passwordFile
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name = '', , uid, gid]) => ({ name, uid: Number(uid || 'x'), gid: Number(gid || 'x') }))
    .filter(({ uid, gid }) => Number.isInteger(uid) && Number.isInteger(gid) && uid > 0);
  const chosen =
    PREFERRED.map((name) => users.find((user) => user.name === name)).find((user) => user) ?? users[0];
  return chosen && { uid: chosen.uid, gid: chosen.gid };
}
