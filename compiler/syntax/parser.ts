import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import vm from 'node:vm';
import type * as PgQuery from 'libpg-query';

/** The part of libpg-query that is used, all of it synchronous. */
type PgQueryModule = Pick<typeof PgQuery, 'parseSync' | 'scanSync' | 'parsePlPgSQLSync'>;

/** Our own error replaces what the parser would print when it gives up. */
const silent = { log: () => {}, warn: () => {}, error: () => {} };

let loaded: PgQueryModule | undefined;

/** PostgreSQL's own parser. */
export function parser(): PgQueryModule {
  loaded ??= load();
  return loaded;
}

/** After the parser has given up on a file, its memory is full, so the next file gets a new one. */
export function forgetParser(): void {
  loaded = undefined;
}

/**
 * Loads libpg-query without waiting.
 *
 * The package has synchronous functions, but only after an asynchronous start, and a CDK construct can't wait. A
 * top-level await is no solution: `require()` refuses a module graph that has one, and most CDK
 * apps are CommonJS. So its two scripts run in a context whose promises are settled before `runInContext`
 * returns, and its WebAssembly is compiled by the synchronous constructors.
 */
function load(): PgQueryModule {
  const resolve = createRequire(import.meta.url);
  const directory = dirname(resolve.resolve('libpg-query'));
  const webAssembly = new WebAssembly.Module(readFileSync(join(directory, 'libpg-query.wasm')));
  // JSON and Error come from this realm, so that trees and errors are ordinary ones here.
  const globals = { process, console: silent, TextDecoder, JSON, Error, __dirname: directory };
  const context = vm.createContext({ ...globals }, { microtaskMode: 'afterEvaluate', name: 'libpg-query' });
  const evaluate = (name: string, require: (id: string) => unknown): unknown => {
    const filename = join(directory, name);
    const module = { exports: {} };
    Object.assign(context, { module, exports: module.exports, require, __filename: filename });
    vm.runInContext(`{${readFileSync(filename, 'utf8')}\n}`, context, { filename });
    return module.exports;
  };
  const start = evaluate('libpg-query.js', resolve) as (options: object) => unknown;
  const instantiateWasm = (imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) =>
    done(new WebAssembly.Instance(webAssembly, imports));
  const factory = { __esModule: true, default: () => start({ instantiateWasm }) };
  // The entry's other import is of type definitions, which have no values that are needed here.
  const entry = evaluate('index.cjs', (id) => (id === './libpg-query.js' ? factory : {})) as PgQueryModule;
  assertStarted(entry);
  return entry;
}

function assertStarted(entry: PgQueryModule): void {
  try {
    entry.parseSync('select 1');
  } catch (cause) {
    throw new Error(
      'The PostgreSQL parser did not start. Install the version of libpg-query that package.json asks for.',
      { cause },
    );
  }
}
