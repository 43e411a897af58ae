import { as, type Node, strings, walk } from '../compile/syntax-tree.ts';
import type { Schema } from './schema.ts';

/**
 * Functions of Postgres that give another answer each time, of those that a default may call: `provolatile = 'v'` in
 * pg_proc. The test beside this asks a server for the list.
 */
export const volatileFunctions: ReadonlySet<string> = new Set([
  'array_sample',
  'array_shuffle',
  'clock_timestamp',
  'current_query',
  'currval',
  'gen_random_uuid',
  'lastval',
  'nextval',
  'random',
  'random_normal',
  'set_config',
  'setval',
  'timeofday',
  'txid_status',
  'uuidv4',
  'uuidv7',
]);

/** The same of extensions that come with Postgres: uuid-ossp and pgcrypto. */
const OF_EXTENSIONS: ReadonlySet<string> = new Set([
  'gen_random_bytes',
  'gen_salt',
  'uuid_generate_v1',
  'uuid_generate_v1mc',
  'uuid_generate_v4',
]);

/**
 * The first function in an expression that is, or may be, volatile. A function that neither Postgres nor the folder
 * shows is taken for one of Postgres's own, unless it is written with a schema: then somebody made it, and volatile is
 * what a function is when its maker says nothing.
 */
export function volatileFunctionIn(expression: Node, schema: Schema): string | undefined {
  let found: string | undefined;
  walk(expression, (object) => {
    const call = as('FuncCall', object as unknown as Node);
    if (call !== undefined && found === undefined && isVolatile(strings(call.funcname), schema)) {
      found = strings(call.funcname).join('.');
    }
    return found === undefined;
  });
  return found;
}

function isVolatile(parts: readonly string[], schema: Schema): boolean {
  const name = parts.at(-1) ?? '';
  const ofPostgres = parts.length > 1 && parts[0] === 'pg_catalog';
  const known = ofPostgres ? undefined : schema.volatility(name);
  if (known !== undefined) return known === 'volatile';
  if (volatileFunctions.has(name)) return true;
  return !ofPostgres && (OF_EXTENSIONS.has(name) || parts.length > 1);
}
