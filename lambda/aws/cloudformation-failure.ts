/**
 * CloudFormation takes 4,096 bytes of response, in which the framework puts the message, a link to the log, and the
 * trace. What a person needs first comes first in our messages, so the end can go.
 */
const MOST_BYTES = 2_400;

/** The error as CloudFormation shows it: cut to what it can carry, and without a trace. */
export function cloudFormationFailure(error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  const failure = new Error(cutToBytes(message, MOST_BYTES), { cause: error });
  failure.name = error instanceof Error ? error.name : 'Error';
  // The framework appends the trace to the message; the whole error is in the log.
  failure.stack = '';
  return failure;
}

/** Cuts at the end of a character, and says that it did. */
export function cutToBytes(text: string, most: number): string {
  if (Buffer.byteLength(text) <= most) return text;
  const end = '… (the rest is in the log)';
  const room = most - Buffer.byteLength(end);
  let bytes = 0;
  let cut = '';
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > room) break;
    cut += character;
  }
  return `${cut}${end}`;
}
