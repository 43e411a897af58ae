import type { AllowedRule } from '../../lambda/migration/migration.ts';
import type { Comment } from './parse-file.ts';
import { problemAt } from './problem.ts';
import type { SourceText } from './source-text.ts';

/** What a file asks for in comments: `-- migrate: …`. */
export interface Directives {
  readonly wait: boolean;
  readonly noTransaction: boolean;
  readonly allowed: readonly AllowedRule[];
}

const KNOWN = `Known are:
    -- migrate: wait                 every index build before this file ends first
    -- migrate: no-transaction       each statement runs by itself, outside of a transaction
    -- migrate: allow RULE reason    accepts what the rule warns of, for a reason that you give`;

/** Comments by which other tools divide one file into a part to apply and a part to undo. */
const DIVIDED_FILES: readonly { readonly pattern: RegExp; readonly tool: string }[] = [
  { pattern: /^migrate:(?:up|down)\b/, tool: 'dbmate' },
  { pattern: /^\+goose\s+(?:up|down)\b/i, tool: 'goose' },
  { pattern: /^\+migrate\s+(?:up|down)\b/i, tool: 'sql-migrate' },
  { pattern: /^[\s-]*down\s+migration\b/i, tool: 'node-pg-migrate' },
];

/** @throws FileRefused at a directive that is unknown or incomplete */
export function readDirectives(source: SourceText, comments: readonly Comment[]): Directives {
  const allowed: AllowedRule[] = [];
  let wait = false;
  let noTransaction = false;
  for (const comment of comments) {
    const text = contentOf(comment);
    refuseDividedFile(source, { text, index: comment.index });
    if (!text.startsWith('migrate:')) continue;
    const [word = '', ...rest] = text.slice('migrate:'.length).trim().split(/\s+/);
    const refuse = (sentence: string) => problemAt(source, { index: comment.index, sentence, advice: KNOWN });
    if (word === 'allow') {
      const [rule, ...reason] = rest;
      if (rule === undefined) throw refuse('The directive "allow" names no rule.');
      if (reason.length === 0) throw refuse(`The directive "allow ${rule}" gives no reason.`);
      allowed.push({ rule, reason: reason.join(' '), position: source.positionOf(comment.index) });
    } else if (word === 'wait' || word === 'no-transaction') {
      if (rest.length > 0) throw refuse(`The directive "${word}" takes nothing after it.`);
      wait ||= word === 'wait';
      noTransaction ||= word === 'no-transaction';
    } else throw refuse(`The directive "${word}" is not known.`);
  }
  return { wait, noTransaction, allowed };
}

/** Run as it stands, such a file would undo at once what it did. */
function refuseDividedFile(source: SourceText, { text, index }: Comment): void {
  const divided = DIVIDED_FILES.find(({ pattern }) => pattern.test(text));
  if (divided === undefined) return;
  throw problemAt(source, {
    index,
    sentence: `This file is divided as ${divided.tool} does it, into a part to apply and a part to undo; that is not read yet.`,
    advice:
      'Leave the part to apply here, and move the other into a file of the same name that ends in .down.sql.',
  });
}

function contentOf({ text }: Comment): string {
  return (text.startsWith('--') ? text.slice(2) : text.slice(2, -2)).trim();
}
