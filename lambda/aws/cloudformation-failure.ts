import { publicText } from './public-error.ts';

/**
 * CloudFormation takes 4,096 bytes of response, in which the framework puts the message, a link to the log, and the
 * names of the stack and the resource. Counted as JSON, where a quote or a line break takes two bytes.
 */
const MOST_BYTES = 2_600;

/** Limit for a line where not all fits: one long error from Postgres must not push out what to do next. */
const MOST_BYTES_OF_A_LINE = 700;

/** The error as CloudFormation shows it: cut to its limit, and without a stack trace. */
export function cloudFormationFailure(error: unknown): Error {
  const failure = new Error(cutToResponse(publicText(error)));
  failure.name = error instanceof Error ? error.name : 'Error';
  // The framework appends the trace to the message; the whole error is in the log.
  failure.stack = '';
  return failure;
}

/** Cuts each long line first, then the end: our messages begin with what a person needs most. */
export function cutToResponse(text: string): string {
  if (bytesAsJson(text) <= MOST_BYTES) return text;
  const lines = text.split('\n').map((line) => cutToBytes(line, MOST_BYTES_OF_A_LINE));
  return cutToBytes(lines.join('\n'), MOST_BYTES);
}

const CUT = '… (the rest is in the log)';

/** Cuts between two characters, and marks the cut. */
function cutToBytes(text: string, most: number): string {
  if (bytesAsJson(text) <= most) return text;
  const room = most - bytesAsJson(CUT);
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += bytesAsJson(character);
    if (bytes > room) break;
    end += character.length;
  }
  return `${text.slice(0, end)}${CUT}`;
}

/** Without the quotes around it. */
function bytesAsJson(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2;
}
