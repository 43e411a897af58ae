import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { FileRefused } from './problem.ts';
import { SourceText } from './source-text.ts';

/**
 * Reads a SQL file: UTF-8, with or without BOM, LF or CRLF.
 *
 * @throws FileRefused naming the first byte that is anything else
 */
export function readSource(path: string, file: string): SourceText {
  return decodeSource(readBytes(path, file), file);
}

function readBytes(path: string, file: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new FileRefused(
      { file, sentence: `The file can't be read: ${(cause as Error).message}.` },
      { cause },
    );
  }
}

/** @throws FileRefused as readSource does */
export function decodeSource(bytes: Buffer, file: string): SourceText {
  const fault = findFault(bytes);
  if (fault !== undefined) {
    const line = lineOfByte(bytes, fault.byte);
    const where = `line ${line}, byte ${fault.byte} of the file (counted from 0)`;
    throw new FileRefused({ file, sentence: `${fault.what} (${where}).`, advice: fault.advice });
  }
  const text = bytes.subarray(hasBom(bytes) ? 3 : 0).toString('utf8');
  return new SourceText(file, text.replaceAll('\r\n', '\n'));
}

interface Fault {
  readonly byte: number;
  readonly what: string;
  readonly advice: string;
}

function findFault(bytes: Buffer): Fault | undefined {
  const first = bytes.subarray(0, 2).toString('hex');
  if (first === 'fffe' || first === 'feff') {
    return { byte: 0, what: 'The file is in UTF-16', advice: 'Save it as UTF-8.' };
  }
  const nul = bytes.indexOf(0);
  if (nul !== -1) {
    return {
      byte: nul,
      what: 'The file holds a NUL byte, which no SQL text can',
      advice: 'Save it as UTF-8 text.',
    };
  }
  if (!isUtf8(bytes)) {
    const byte = firstInvalidByte(bytes);
    const hex = bytes.subarray(byte, byte + 1).toString('hex');
    return { byte, what: `The byte 0x${hex} is not valid UTF-8 here`, advice: 'Save the file as UTF-8.' };
  }
  const carriageReturn = loneCarriageReturn(bytes);
  if (carriageReturn !== -1) {
    const what = 'A carriage return stands here without a line feed';
    return { byte: carriageReturn, what, advice: "End lines with LF or CRLF; in a string, write E'\\r'." };
  }
  return undefined;
}

function hasBom(bytes: Buffer): boolean {
  return bytes.subarray(0, 3).toString('hex') === 'efbbbf';
}

/** Decoding puts U+FFFD where bytes are invalid: the first one that the file itself does not hold. */
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

function lineOfByte(bytes: Buffer, byte: number): number {
  let line = 1;
  for (let at = bytes.indexOf(0x0a); at !== -1 && at < byte; at = bytes.indexOf(0x0a, at + 1)) line += 1;
  return line;
}
