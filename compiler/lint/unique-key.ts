import type { IndexElem, IndexStmt } from 'libpg-query';
import type { UniqueKey } from '../../lambda/migration/deploy-check.ts';
import { as, relationOfParts, strings } from '../syntax/syntax-tree.ts';
import { closingBracket, isWord, splitAtCommas, type Token } from '../syntax/tokens.ts';
import type { StatementContext } from './statement-context.ts';
import { written } from './written-name.ts';

/** The key of a unique index, cut out of its statement; undefined where it can't be isolated. */
export function uniqueKeyOf(index: IndexStmt, context: StatementContext): UniqueKey | undefined {
  const { tokens, text } = context;
  const table = context.offsetOf(index.relation?.location ?? 0);
  const open = tokens.findIndex((token) => token.start > table && token.text === '(');
  if (open === -1) return undefined;
  const close = closingBracket(tokens, open);
  const elements = (index.indexParams ?? []).map((node) => as('IndexElem', node) ?? {});
  const pieces = splitAtCommas(tokens.slice(open + 1, close));
  if (pieces.length !== elements.length) return undefined;
  const operatorClasses = elements.map(({ opclass }) =>
    opclass === undefined || opclass.length === 0 ? null : relationOfParts(strings(opclass)),
  );
  const where = tokens.findIndex((token, at) => at > close && isWord(token, 'where'));
  return {
    parts: pieces.map((piece, at) => partOf(piece, elements[at] ?? {}, text)),
    ...(operatorClasses.some((each) => each !== null) && { operatorClasses }),
    where: where === -1 ? undefined : text.slice(tokens[where]?.end).trim(),
    nullsNotDistinct: index.nulls_not_distinct === true,
  };
}

/** Without operator class and order. An expression ends at its first closing bracket. */
function partOf(piece: readonly Token[], { name, collation }: IndexElem, text: string): string {
  const bracket = piece.findIndex((token) => token.text === '(');
  const end = bracket === -1 ? piece.at(-1) : piece[closingBracket(piece, bracket)];
  const value = name === undefined ? text.slice(piece[0]?.start, end?.end) : written(name);
  return collation === undefined ? value : `${value} collate ${strings(collation).map(written).join('.')}`;
}
