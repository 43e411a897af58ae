import { createHash } from 'node:crypto';
import type { Position } from '../../lambda/migration/migration.ts';

/** Bytes between two entries of the table that maps bytes to characters. */
const STRIDE = 1024;

/** Other text from one index to another; in order, and without overlaps. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

interface Origin {
  readonly source: SourceText;
  readonly edits: readonly Edit[];
}

/** From the edited text back to the author's: what stands within other text is where that began. */
function indexBefore(edits: readonly Edit[], index: number): number {
  let shift = 0;
  for (const { from, to, text } of edits) {
    const begins = from + shift;
    if (index < begins) break;
    if (index < begins + text.length) return from;
    shift += text.length - (to - from);
  }
  return index - shift;
}

function indexAfter(edits: readonly Edit[], index: number): number {
  let shift = 0;
  for (const { from, to, text } of edits) {
    if (index <= from) break;
    if (index < to) return from + shift;
    shift += text.length - (to - from);
  }
  return index + shift;
}

/**
 * One SQL file as text, without BOM and with LF. The parser counts bytes, or code points in its errors; JavaScript
 * counts UTF-16 units, here called an index; a person counts lines and columns. This class converts between them.
 */
export class SourceText {
  /** Path relative to the migrations folder, with `/`. */
  readonly file: string;
  readonly text: string;
  /** SHA-256 (hex) of the text in UTF-8. */
  readonly checksum: string;
  readonly #bytes: Buffer;
  /** Lines of the file before the text, where it is a part of one. */
  readonly #linesBefore: number;
  /** The author's own text, if other text replaces parts of it. */
  readonly #origin: Origin | undefined;
  #indexes: Uint32Array | undefined;
  #lineStarts: number[] | undefined;

  constructor(file: string, text: string, linesBefore = 0, origin?: Origin) {
    this.#linesBefore = linesBefore;
    this.#origin = origin;
    this.file = file;
    this.text = text;
    this.#bytes = Buffer.from(text, 'utf8');
    this.checksum = createHash('sha256').update(this.#bytes).digest('hex');
  }

  /** A part of it that begins with a line; positions stay those of the file. `text` may stand for it, line by line. */
  part(from: number, to: number, text = this.text.slice(from, to)): SourceText {
    return new SourceText(this.file, text, this.#linesBefore + this.#lineOf(from));
  }

  /** From the parser's bytes. */
  indexOfByte(byte: number): number {
    if (this.#bytes.length === this.text.length) return byte;
    this.#indexes ??= indexTable(this.#bytes);
    const entry = Math.floor(byte / STRIDE);
    return countUnits(this.#bytes, entry * STRIDE, byte) + (this.#indexes[entry] ?? 0);
  }

  /** From the code points that the parser's errors count. */
  indexOfCodePoint(codePoint: number): number {
    let index = 0;
    for (let passed = 0; passed < codePoint && index < this.text.length; passed += 1) {
      index += isSurrogatePair(this.text, index) ? 2 : 1;
    }
    return index;
  }

  /** The same with other text in some places; positions stay those of what the author wrote. */
  edited(edits: readonly Edit[]): SourceText {
    let text = '';
    let end = 0;
    for (const edit of edits) {
      text += this.text.slice(end, edit.from) + edit.text;
      end = edit.to;
    }
    text += this.text.slice(end);
    return new SourceText(this.file, text, this.#linesBefore, { source: this, edits });
  }

  positionOf(index: number): Position {
    if (this.#origin !== undefined) {
      return this.#origin.source.positionOf(indexBefore(this.#origin.edits, index));
    }
    const line = this.#lineOf(index);
    const before = this.text.slice(this.#starts()[line], index);
    return { line: this.#linesBefore + line + 1, column: [...before].length + 1 };
  }

  /** The inverse of positionOf. */
  indexOf({ line, column }: Position): number {
    if (this.#origin !== undefined) {
      return indexAfter(this.#origin.edits, this.#origin.source.indexOf({ line, column }));
    }
    const start = this.#starts()[line - 1 - this.#linesBefore] ?? 0;
    return start + [...this.lineAround(start).text].slice(0, column - 1).join('').length;
  }

  /** The whole line around an index, without its end. */
  lineAround(index: number): { readonly text: string; readonly start: number } {
    const start = this.#starts()[this.#lineOf(index)] ?? 0;
    const end = this.text.indexOf('\n', start);
    return { text: this.text.slice(start, end === -1 ? undefined : end), start };
  }

  #starts(): readonly number[] {
    this.#lineStarts ??= lineStarts(this.text);
    return this.#lineStarts;
  }

  #lineOf(index: number): number {
    const starts = this.#starts();
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', end + 1)) starts.push(end + 1);
  return starts;
}

/** The index at each STRIDE-th byte, so that a look-up need not walk through a file of many megabytes. */
function indexTable(bytes: Uint8Array): Uint32Array {
  const table = new Uint32Array(Math.floor(bytes.length / STRIDE) + 1);
  for (let entry = 1; entry < table.length; entry += 1) {
    table[entry] = (table[entry - 1] ?? 0) + countUnits(bytes, (entry - 1) * STRIDE, entry * STRIDE);
  }
  return table;
}

/** UTF-16 units of the characters that begin in a range of UTF-8. */
function countUnits(bytes: Uint8Array, from: number, to: number): number {
  let units = 0;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte >= 0xf0) units += 2;
    else if ((byte & 0xc0) !== 0x80) units += 1;
  }
  return units;
}

function isSurrogatePair(text: string, index: number): boolean {
  return (text.codePointAt(index) ?? 0) > 0xffff;
}
