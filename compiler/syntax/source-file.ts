import { isUtf8 } from 'node:buffer';
import { FileRefused, type Problem } from './problem.ts';
import { SourceText } from './source-text.ts';

/** The system's message without its path, which belongs to one machine. */
export function reasonOf(systemError: unknown): string {
  return (systemError as Error).message.split(', ')[0] ?? '';
}

/**
 * A SQL file's text: UTF-8, with or without BOM, LF or CRLF.
 *
 * @throws FileRefused naming the first byte that is anything else
 */
export function decodeSource(bytes: Buffer, file: string): SourceText {
  const fault = findFault(bytes);
  if (fault !== undefined) throw new FileRefused({ file, sentence: fault.sentence, advice: fault.advice });
  const text = bytes.subarray(hasBom(bytes) ? 3 : 0).toString('utf8');
  return new SourceText(file, text.replaceAll('\r\n', '\n'));
}

type Fault = Pick<Problem, 'sentence' | 'advice'>;

function findFault(bytes: Buffer): Fault | undefined {
  const first = bytes.subarray(0, 2).toString('hex');
  if (first === 'fffe' || first === 'feff') {
    return { sentence: 'The file is in UTF-16.', advice: 'Save it as UTF-8.' };
  }
  const nul = bytes.indexOf(0);
  if (nul !== -1) {
    const sentence = `There is a NUL byte ${placeOf(bytes, nul)}, which no SQL text can hold.`;
    return { sentence, advice: 'Save the file as UTF-8 text.' };
  }
  if (!isUtf8(bytes)) {
    const at = firstInvalidByte(bytes);
    const hex = bytes.subarray(at, at + 1).toString('hex');
    const sentence = `The byte 0x${hex} ${placeOf(bytes, at)} is not valid UTF-8.`;
    return { sentence, advice: 'Save the file as UTF-8.' };
  }
  const carriageReturn = loneCarriageReturn(bytes);
  if (carriageReturn !== -1) {
    const sentence = `There is a carriage return without a line feed ${placeOf(bytes, carriageReturn)}.`;
    return { sentence, advice: "End lines with LF or CRLF; in a string, write E'\\r'." };
  }
  return undefined;
}

function placeOf(bytes: Buffer, at: number): string {
  let line = 1;
  for (let end = bytes.indexOf(0x0a); end !== -1 && end < at; end = bytes.indexOf(0x0a, end + 1)) line += 1;
  return `at offset ${at} of the file (line ${line})`;
}

function hasBom(bytes: Buffer): boolean {
  return bytes.subarray(0, 3).toString('hex') === 'efbbbf';
}

/** Decoding puts U+FFFD where bytes are invalid: finds the first one that the file itself does not contain. */
function firstInvalidByte(bytes: Buffer): number {
  const text = bytes.toString('utf8');
  let byte = 0;
  let from = 0;
  for (let at = text.indexOf('\ufffd'); at !== -1; at = text.indexOf('\ufffd', from)) {
    byte += Buffer.byteLength(text.slice(from, at));
    if (bytes.subarray(byte, byte + 3).toString('hex') !== 'efbfbd') return byte;
    byte += 3;
    from = at + 1;
  }
  return byte;
}

function loneCarriageReturn(bytes: Buffer): number {
  let at = bytes.indexOf(0x0d);
  while (at !== -1 && bytes[at + 1] === 0x0a) at = bytes.indexOf(0x0d, at + 1);
  return at;
}
