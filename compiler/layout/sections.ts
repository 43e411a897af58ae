import type { SourceText } from '../syntax/source-text.ts';

/** A line by which a tool divides a file, and what follows it up to the next such line. */
export interface Section {
  /** The mark's line. */
  readonly mark: RegExpExecArray;
  /** Where that line begins. */
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

/** `mark` is for one line, and has to have the flag `gm`. */
export function sectionsOf({ text }: SourceText, mark: RegExp): readonly Section[] {
  const marks = [...text.matchAll(mark)];
  return marks.map((each, at) => {
    const lineEnd = text.indexOf('\n', each.index + each[0].length);
    const from = lineEnd === -1 ? text.length : lineEnd + 1;
    return { mark: each, index: each.index, from, to: Math.max(from, marks[at + 1]?.index ?? text.length) };
  });
}

/** Whether there is nothing but comments and white space. */
export function isBlank(text: string): boolean {
  return text.split('\n').every((line) => /^\s*(?:--.*)?$/.test(line));
}

/**
 * Text of the same length in which semicolons stand for what ends the statements: alone on a line, or, of several
 * characters, at the end of one, as tools cut there. Undefined where the delimiter is a pattern.
 */
export function withSemicolons(text: string, delimiter: string): string | undefined {
  const alone = /^(?:\\n|\\r)/.test(delimiter);
  const plain = delimiter
    .replace(/\\[nr]/g, '')
    .replace(/\\(\W)/g, '$1')
    .trim();
  if (plain === '' || plain === ';') return text;
  if (/[\\[\](){}*+?|^]/.test(plain)) return undefined;
  const semicolon = `;${' '.repeat(plain.length - 1)}`;
  return text
    .split('\n')
    .map((line) => {
      const [, code = '', blanks = ''] = /^(.*?)(\s*)$/.exec(line) ?? [];
      if (!code.endsWith(plain)) return line;
      const before = code.slice(0, -plain.length);
      const cuts = before.trim() === '' || (!alone && plain.length > 1 && !before.includes('--'));
      return cuts ? before + semicolon + blanks : line;
    })
    .join('\n');
}

/** Text of the same length and lines with nothing in it. */
export function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ');
}
