import { spawn } from 'node:child_process';

/** Runs a program to its end; shows its output only if it fails. Resolves with the seconds that it took. */
export function runChild(
  command: readonly [string, ...string[]],
  environment: Readonly<Record<string, string>> = {},
): Promise<number> {
  const [file, ...parameters] = command;
  const begun = performance.now();
  const child = spawn(file, parameters, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const output of [child.stdout, child.stderr]) {
    output.setEncoding('utf8');
    output.on('data', (chunk: string) => {
      said = (said + chunk).slice(-4_000);
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve((performance.now() - begun) / 1000);
      else reject(new Error(`${file} ended with ${code}:\n${said}`));
    });
  });
}

/** The environment variables from which psql and other users of libpq read their connection. */
export function libpqEnvironment(url: string): Record<string, string> {
  const { hostname, port, username, password, pathname } = new URL(url);
  return {
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: decodeURIComponent(username),
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: decodeURIComponent(pathname.slice(1)),
    PGSSLMODE: 'disable',
    PGAPPNAME: 'bench',
  };
}
