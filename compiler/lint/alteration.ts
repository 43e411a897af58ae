import type { AlterTableCmd } from 'libpg-query';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import { as, type Node, relationOf } from '../syntax/syntax-tree.ts';
import { splitAtCommas, type Token } from '../syntax/tokens.ts';

/** One ALTER TABLE, split so that it can be written without one of its subcommands. */
export interface Alteration {
  readonly table: RelationName;
  /** `alter table only messages`, as written. */
  readonly head: string;
  readonly commands: readonly Command[];
}

export interface Command {
  readonly tree: AlterTableCmd;
  readonly text: string;
  /** Where it begins in the statement. */
  readonly start: number;
}

/** A statement, and where in its text the parser's places are. */
export interface TokenizedStatement {
  readonly tree: Node;
  readonly text: string;
  readonly tokens: readonly Token[];
  offsetOf(byte: number): number;
}

/** Undefined for any other statement. */
export function alterationOf(statement: TokenizedStatement): Alteration | undefined {
  const alter = as('AlterTableStmt', statement.tree);
  if (alter?.relation === undefined || alter.objtype === 'OBJECT_INDEX') return undefined;
  const table = relationOf(alter.relation);
  const { tokens } = statement;
  const nameAt = statement.offsetOf(alter.relation.location ?? 0);
  let first = tokens.findIndex(({ start }) => start >= nameAt) + 1;
  while (tokens[first]?.text === '.') first += 2;
  if (tokens[first]?.text === '*') first += 1;
  const pieces = splitAtCommas(tokens.slice(first));
  const trees = (alter.cmds ?? []).map((node) => as('AlterTableCmd', node) ?? {});
  if (pieces.length !== trees.length) return undefined;
  const commands = pieces.map((piece, at) => {
    const start = piece[0]?.start ?? 0;
    return { tree: trees[at] as AlterTableCmd, start, text: statement.text.slice(start, piece.at(-1)?.end) };
  });
  return { table, head: statement.text.slice(0, tokens[first - 1]?.end), commands };
}

/** The statement with one subcommand written in another way, or without it; empty where nothing remains. */
export function withCommand(
  { head, commands }: Alteration,
  command: Command,
  text: string | undefined,
): string {
  const texts = commands.flatMap((each) => (each === command ? (text ?? []) : each.text));
  return texts.length === 0 ? '' : `${head} ${texts.join(', ')};\n`;
}
