import { spawn } from 'node:child_process';

export interface ProcessGuard {
  /** Ends the guard without triggering it. */
  dismiss(): void;
}

/**
 * However this process ends, SIGKILL included, the pipe that the guard reads from closes. The guard then stops the
 * server whose pid is in the file and removes the directory. It runs in its own session, so that Ctrl-C on
 * the terminal does not reach it. Our own handler for `exit` and signals could not see a SIGKILL.
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
