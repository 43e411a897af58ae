import { spawn } from 'node:child_process';

export interface ProcessGuard {
  /** Ends the guard without its doing anything. */
  dismiss(): void;
}

/**
 * Whatever ends this process, a SIGKILL included, closes the pipe that the guard reads from. It then stops the
 * server whose pid stands in the file and removes the directory. It is a session of its own, so that Ctrl-C on
 * the terminal does not reach it. A handler of our own for `exit` and signals could not see a SIGKILL.
 */
const SCRIPT = `
cat >/dev/null
pid=$(head -n 1 "$1" 2>/dev/null)
if [ -n "$pid" ]; then
  kill -QUIT "$pid" 2>/dev/null
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL "$pid" 2>/dev/null
fi
rm -rf -- "$2"
`;

/** Guards a server, known by its pid file, and its directory. */
export function guardServer(pidFile: string, directory: string): ProcessGuard {
  const guard = spawn('/bin/sh', ['-c', SCRIPT, 'guard', pidFile, directory], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  // A pipe is a socket here, and an open one would keep this process alive.
  (guard.stdin as unknown as { unref(): void }).unref();
  return { dismiss: () => void guard.kill('SIGKILL') };
}
