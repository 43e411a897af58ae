import type { AllowedRule } from '../../lambda/migration/migration.ts';
import { type BackfillDirective, parseBackfill } from './backfill-directive.ts';
import { contentOf } from './divided-file.ts';
import type { Comment } from './parse-file.ts';
import { problemAt } from './problem.ts';
import type { SourceText } from './source-text.ts';

/** What a file asks for in comments: `-- migrate: …`. */
export interface Directives {
  readonly wait: boolean;
  readonly noTransaction: boolean;
  /** Where it says so in the source, in order: each means the statement that follows. */
  readonly handOff: readonly number[];
  readonly allowed: readonly AllowedRule[];
  /** In the order written; each is about the statement after it. */
  readonly backfills: readonly PlacedBackfill[];
}

export interface PlacedBackfill {
  readonly index: number;
  readonly directive: BackfillDirective;
}

const KNOWN = `Known are:
    -- migrate: wait                 every index build before this file ends first
    -- migrate: no-transaction       each statement runs by itself, outside of a transaction
    -- migrate: backfill             the statement after it is done in batches, each its own transaction
    -- migrate: hand-off             the statement that follows runs in the loop, however long it takes
    -- migrate: allow RULE reason    accepts what the rule warns of, for a reason that you give`;

/** @throws FileRefused at a directive that is unknown or incomplete */
export function readDirectives(source: SourceText, comments: readonly Comment[]): Directives {
  const allowed: AllowedRule[] = [];
  const backfills: PlacedBackfill[] = [];
  let wait = false;
  let noTransaction = false;
  const handOff: number[] = [];
  for (const comment of comments) {
    const text = contentOf(comment);
    if (!text.startsWith('migrate:')) continue;
    const [word = '', ...rest] = text.slice('migrate:'.length).trim().split(/\s+/);
    const refuse = (sentence: string) => problemAt(source, { index: comment.index, sentence, advice: KNOWN });
    if (word === 'allow') {
      const [rule, ...reason] = rest;
      if (rule === undefined) throw refuse('The directive "allow" names no rule.');
      if (reason.length === 0) throw refuse(`The directive "allow ${rule}" gives no reason.`);
      allowed.push({ rule, reason: reason.join(' '), position: source.positionOf(comment.index) });
    } else if (word === 'backfill') {
      const directive = parseBackfill(rest.join(' '));
      if (typeof directive === 'string') throw refuse(`The directive "backfill": ${directive}`);
      backfills.push({ index: comment.index, directive });
    } else if (word === 'wait' || word === 'no-transaction' || word === 'hand-off') {
      if (rest.length > 0) throw refuse(`The directive "${word}" takes nothing after it.`);
      wait ||= word === 'wait';
      noTransaction ||= word === 'no-transaction';
      if (word === 'hand-off') handOff.push(comment.index);
    } else throw refuse(`The directive "${word}" is not known.`);
  }
  return { wait, noTransaction, handOff, allowed, backfills };
}
