import { steadyFunctions } from '../syntax/postgres-functions.ts';
import { as, type Node, strings, walk } from '../syntax/syntax-tree.ts';
import type { Schema } from './schema.ts';

/**
 * The first function in an expression that has to be called for each row. A function that neither Postgres nor the
 * folder shows to be stable counts as volatile, which is the default.
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
  const ofPostgres = parts.length === 1 || parts[0] === 'pg_catalog';
  const known = parts[0] === 'pg_catalog' ? undefined : schema.volatility(name);
  if (known !== undefined) return known === 'volatile';
  return !(ofPostgres && steadyFunctions.has(name));
}
