import { BACKFILL_USAGE } from '../syntax/backfill-directive.ts';
import type { ParsedStatement } from '../syntax/parse-file.ts';
import type { Finding } from '../syntax/problem.ts';
import { isCopyFromStdin, refusedCopy } from '../syntax/syntax-error.ts';

export function refusedClientCopy({ tree, index }: ParsedStatement): Finding {
  if (isCopyFromStdin(tree)) return refusedCopy(index);
  return {
    index,
    sentence: 'COPY … TO STDOUT sends rows to a client, and a migration has none that would read them.',
    advice: 'Remove it.',
  };
}

export function nestedBegin({ index }: ParsedStatement, begin: ParsedStatement): Finding {
  return {
    index,
    sentence: `This BEGIN is inside the transaction that line ${begin.position.line} began.`,
    advice: 'COMMIT that one first, or write SAVEPOINT.',
  };
}

export function unended({ index }: ParsedStatement): Finding {
  return {
    index,
    sentence: 'Nothing ends the transaction that begins here.',
    advice: 'Add COMMIT, or remove this: the statements of a file run in one transaction anyway.',
  };
}

export function preparedTransaction({ index }: ParsedStatement): Finding {
  return {
    index,
    sentence: 'PREPARE TRANSACTION would leave open whether the migration is applied.',
    advice: 'Write COMMIT.',
  };
}

export function rollback({ index }: ParsedStatement): Finding {
  return {
    index,
    sentence: 'ROLLBACK would undo what the migration did, and it would be recorded as applied.',
    advice: 'Remove it together with the statements before it. (ROLLBACK TO a savepoint is fine.)',
  };
}

export function otherStrings({ index }: ParsedStatement): Finding {
  return {
    index,
    sentence:
      'With standard_conforming_strings off a backslash in a string means something else on the server than here, where the file is divided.',
    advice: "Remove it, and write E'…' around the strings that need it.",
  };
}

export function otherEncoding({ index }: ParsedStatement): Finding {
  return {
    index,
    sentence:
      'Files are UTF-8, and are sent as such: with another client_encoding the server would take the letters of this file that are not ASCII for others.',
    advice: 'Remove it: the server converts what it gets into the encoding of its database.',
  };
}

export function lateSetTransaction({ index }: ParsedStatement): Finding {
  return {
    index,
    sentence: 'SET TRANSACTION must come before the other statements of its transaction.',
    advice:
      'Make it the first statement of the file, or write BEGIN ISOLATION LEVEL … and COMMIT around what needs it.',
  };
}

export function insideTransaction(
  { index }: ParsedStatement,
  { what, begin }: { readonly what: string; readonly begin: ParsedStatement },
): Finding {
  return {
    index,
    sentence: `${what} cannot run inside a transaction, and line ${begin.position.line} began one.`,
    advice: 'COMMIT before it, or remove BEGIN and COMMIT: it then gets a step of its own.',
  };
}

const BACKFILL_PLACE = `Put it on a line of its own right before the statement: ${BACKFILL_USAGE}`;

export function backfillOfNothing({ index }: { readonly index: number }): Finding {
  return { index, sentence: 'No statement follows the directive "backfill".', advice: BACKFILL_PLACE };
}

export function backfillWithin({ index }: { readonly index: number }): Finding {
  return { index, sentence: 'The directive "backfill" is inside a statement.', advice: BACKFILL_PLACE };
}

export function backfillTwice({ index }: { readonly index: number }): Finding {
  return {
    index,
    sentence: 'This directive "backfill" is the second one before the same statement.',
    advice: 'Keep one of them.',
  };
}

export function nothingToHandOff(index: number): Finding {
  return {
    index,
    sentence: 'No statement follows this "hand-off".',
    advice: 'Write it before the statement that the loop is to run.',
  };
}

export function handOffInTransaction({ index }: ParsedStatement, begin: ParsedStatement): Finding {
  return {
    index,
    sentence: `The loop can't run a statement of the transaction that line ${begin.position.line} began.`,
    advice: 'COMMIT before it: handed off, it runs in a transaction of its own.',
  };
}

export function notHandedOff(
  { index }: ParsedStatement,
  { kind, what }: { readonly kind: 'autocommit' | 'index-operation'; readonly what: string },
): Finding {
  return {
    index,
    sentence: `${what} can't be handed off.`,
    advice:
      kind === 'index-operation'
        ? 'Remove the directive: it is handed off by itself, unless its table is small.'
        : 'Remove the directive: handed off, a statement runs in one transaction together with its row in the ledger.',
  };
}
