import type { SourceText } from './source-text.ts';

/** A longer line is cut, so that it does not wrap and the caret stays below its character. */
const CHARACTERS = 100;
const MARGIN = '    ';

/** The source line and a caret under the character at an index; a long line is cut around it. */
export function pointAt(source: SourceText, index: number): string {
  const line = source.lineAround(index);
  const before = [...line.text.slice(0, index - line.start)];
  const after = [...line.text.slice(index - line.start).trimEnd()];
  const room = Math.max(CHARACTERS - after.length, Math.floor(CHARACTERS / 2));
  const head = before.length > room ? ['…', ...before.slice(before.length - room + 1)] : before;
  const rest = CHARACTERS - head.length;
  const tail = after.length > rest ? [...after.slice(0, rest - 1), '…'] : after;
  return `${MARGIN}${[...head, ...tail].join('')}\n${MARGIN}${head.map(blankOf).join('')}^`;
}

/** White space as wide as a character: a tab stays a tab, since only the terminal knows its width. */
function blankOf(character: string): string {
  if (character === '\t') return '\t';
  if (/^[\p{Mark}\p{Default_Ignorable_Code_Point}]$/u.test(character)) return '';
  return isWide(character) ? '  ' : ' ';
}

/** Whether it takes two columns in a terminal, like East Asian wide characters and emoji. */
function isWide(character: string): boolean {
  return /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}])$/u.test(
    character,
  );
}
