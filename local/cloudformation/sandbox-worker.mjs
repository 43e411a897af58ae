import { existsSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * The inside of a sandbox: loads a function's code as Lambda's runtime does, and answers one event after the other.
 * Plain JavaScript, since a worker starts without the loader that the project's TypeScript runs with.
 */
const { directory, handler, answers } = workerData;

// CloudFormation's answers go by https to port 443 of a host of Amazon's. Only those are led elsewhere.
const { request } = https;
https.request = (options, ...more) =>
  options?.hostname === answers.host
    ? http.request({ ...options, hostname: '127.0.0.1', port: answers.port }, ...more)
    : request(options, ...more);

const [module, name] = handler.split('.');
const file = ['mjs', 'js', 'cjs'].map((end) => join(directory, `${module}.${end}`)).find(existsSync);
const loading = import(pathToFileURL(file).href);

const now = Date.now;
let ahead = 0;
Date.now = () => now() + ahead;

parentPort.on('message', async ({ id, payload, milliseconds, passed }) => {
  if (passed !== undefined) {
    ahead += passed;
    return;
  }
  const begun = Date.now();
  const context = { getRemainingTimeInMillis: () => milliseconds - (Date.now() - begun) };
  try {
    const exported = await loading;
    const handle = exported[name] ?? exported.default[name];
    parentPort.postMessage({
      id,
      payload: JSON.stringify((await handle(JSON.parse(payload), context)) ?? null),
    });
  } catch (error) {
    const { name: type, message, stack } = error instanceof Error ? error : new Error(String(error));
    parentPort.postMessage({ id, error: { type, message, stack } });
  }
});
