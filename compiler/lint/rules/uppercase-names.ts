import { as } from '../../syntax/syntax-tree.ts';
import { splice } from '../../syntax/tokens.ts';
import type { Rule } from '../rule.ts';
import { written } from '../written-name.ts';

export const uppercaseName: Rule = {
  name: 'uppercase-name',
  severity: 'advice',
  title: 'a new table or column with upper-case letters in its name',
  aboutLocks: false,
  *check(context) {
    const { tree } = context;
    const create = as('CreateStmt', tree);
    const columns = (create?.tableElts ?? []).map((node) => as('ColumnDef', node)?.colname);
    const added = (as('AlterTableStmt', tree)?.cmds ?? []).map((node) => {
      const command = as('AlterTableCmd', node);
      return command?.subtype === 'AT_AddColumn' ? as('ColumnDef', command.def)?.colname : undefined;
    });
    const names = new Set(
      [create?.relation?.relname, ...columns, ...added].filter((name) => /\p{Lu}/u.test(name ?? '')),
    );
    if (names.size === 0) return;
    const tokens = context.tokens.filter(({ text }) => text.startsWith('"') && names.has(text.slice(1, -1)));
    const [first] = tokens;
    if (first === undefined) return;
    yield {
      index: context.statement.index + first.start,
      what: `${[...names].map((name) => `"${name}"`).join(', ')} must be quoted in every query, forever.`,
      instead: `${[...tokens].reverse().reduce((text, token) => splice(text, token, snakeCase(token.text.slice(1, -1))), context.text)};`,
    };
  },
};

/** `userId` → `user_id`, `HTTPStatus` → `http_status`. */
function snakeCase(name: string): string {
  const parted = name.replace(/(\p{Ll}|\d)(\p{Lu})/gu, '$1_$2').replace(/(\p{Lu}+)(\p{Lu}\p{Ll})/gu, '$1_$2');
  return written(parted.toLowerCase());
}
