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

/** Whether nothing but comments and white space stands there. */
export function isBlank(text: string): boolean {
  return text.split('\n').every((line) => /^\s*(?:--.*)?$/.test(line));
}

/** Text of the same length and lines in which nothing stands. */
export function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ');
}
