import { hostname, userInfo } from 'node:os';

/** For the ledger: `user@host`. */
export function whoAsks(): string {
  return `${userName()}@${hostname()}`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without an entry in the password file, as in many containers.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
