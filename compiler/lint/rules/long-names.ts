import { nameFrom, splice, type Token } from '../../syntax/tokens.ts';
import type { Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';
import { NAME_BYTES, shortened, written } from '../written-name.ts';

export const nameTooLong: Rule = {
  name: 'name-too-long',
  severity: 'warning',
  title: 'a name of more than 63 bytes, which Postgres truncates',
  aboutLocks: false,
  *check(context) {
    // Most statements have no word that long, and need not be scanned.
    if (
      !/[^\s().,]{64,}|"[^"]{64,}"/u.test(context.text) &&
      Buffer.byteLength(context.text) === context.text.length
    )
      return;
    const long = context.tokens.filter((token) => Buffer.byteLength(nameIn(token)) > NAME_BYTES);
    const [first] = long;
    if (first === undefined) return;
    const name = nameIn(first);
    yield {
      index: context.statement.index + first.start,
      what: `${name} has ${Buffer.byteLength(name)} bytes; Postgres keeps the first ${NAME_BYTES}, so two such names may be the same, and looking up the full name finds nothing.`,
      instead: `${replaced(context, long)};`,
    };
  },
};

function nameIn({ kind, text }: Token): string {
  return kind === 'identifier' ? nameFrom(text) : '';
}

function replaced(context: StatementContext, tokens: readonly Token[]): string {
  return [...tokens]
    .reverse()
    .reduce((text, token) => splice(text, token, written(shortened(nameIn(token)))), context.text);
}
