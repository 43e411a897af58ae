import { problemAt } from './problem.ts';
import type { SourceText } from './source-text.ts';

/** Values by name, as a prop or flags give them. */
export type Placeholders = Readonly<Record<string, string>>;

/** Whose placeholders a file has: psql's `:'name'`, `:"name"` and `:name`, or `${name}` of Flyway and goose. */
export type PlaceholderStyle = 'psql' | 'dollar';

export interface Filling {
  readonly values: Placeholders;
  /** Whether what looks like one at an index of the text is one. @default always */
  readonly isOne?: ((index: number) => boolean) | undefined;
}

/** Where in the SQL a placeholder is; a value is written as that place wants it. */
type Place = 'code' | 'string' | 'name' | 'body' | 'comment';

interface Span {
  readonly place: Place;
  readonly from: number;
  readonly to: number;
}

/** Comments, strings, quoted names and bodies between dollar signs, each to its end; a comment may hold another. */
const SPAN =
  /--[^\n]*|\/\*[\s\S]*?\*\/|\b[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/g;

const PSQL = /(?<![:\w]):(?:'(\w+)'|"(\w+)"|([A-Za-z_]\w*))/g;
const DOLLAR = /\$\{\s*([\w.:-]+?)(?::-([^}]*))?\s*\}/g;

/**
 * Writes each value in its place: as a literal, a name, or text within one, so that no value can be more than that.
 *
 * @throws FileRefused at a placeholder that has no value, or whose value is not allowed there
 */
export function fillPlaceholders(
  source: SourceText,
  style: PlaceholderStyle,
  { values, isOne = () => true }: Filling,
): SourceText {
  const known = new Map(Object.entries(values).map(([name, value]) => [keyOf(name, style), value]));
  const edits: { readonly from: number; readonly to: number; readonly text: string }[] = [];
  for (const match of source.text.matchAll(style === 'psql' ? PSQL : DOLLAR)) {
    const from = match.index;
    if (!isOne(from)) continue;
    const place = placeOf(source.text, from, style);
    // psql itself leaves quoted text alone.
    if (place === 'comment' || (style === 'psql' && place !== 'code')) continue;
    const [whole, first = '', second, third] = match;
    const name = style === 'psql' ? first || second || third || '' : first;
    const value = known.get(keyOf(name, style)) ?? (style === 'dollar' ? second : undefined);
    // A slice of an array, `a[1:n]`, has colons too: without a value of that name it is the parser's.
    if (value === undefined && third !== undefined) continue;
    if (value === undefined) {
      throw problemAt(source, {
        index: from,
        sentence: `${whole} has no value.`,
        advice: `Give it one: placeholders: { ${JSON.stringify(name)}: '…' }, on the command line --placeholder ${name}=….`,
      });
    }
    const as =
      style === 'dollar' ? place : first !== '' ? 'literal' : second !== undefined ? 'identifier' : 'code';
    const text = written(value, as);
    if (text === undefined) {
      throw problemAt(source, {
        index: from,
        sentence: `The value of ${whole} can't be used here: it is neither a name nor a number.`,
        advice: 'Put the placeholder into quotes, so that its value is a string or a name.',
      });
    }
    edits.push({ from, to: from + whole.length, text });
  }
  return edits.length === 0 ? source : source.edited(edits);
}

/** Flyway doesn't tell upper from lower case. */
function keyOf(name: string, style: PlaceholderStyle): string {
  return style === 'dollar' ? name.toLowerCase() : name;
}

function written(value: string, as: Place | 'literal' | 'identifier'): string | undefined {
  if (value.includes('\0')) return undefined;
  switch (as) {
    case 'literal':
      return `${value.includes('\\') ? ' E' : ''}'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
    case 'identifier':
      return `"${value.replaceAll('"', '""')}"`;
    case 'string':
      return value.includes('\\') ? undefined : value.replaceAll("'", "''");
    case 'name':
      return value.replaceAll('"', '""');
    default:
      // Where any text could be more than one word, only a word or a number is allowed.
      return /^(?:[A-Za-z_][\w$]*|-?\d+(?:\.\d+)?)$/.test(value) ? value : undefined;
  }
}

function placeOf(text: string, at: number, style: PlaceholderStyle): Place {
  const span = spansOf(text).find(({ from, to }) => from < at && at < to);
  if (span === undefined) return 'code';
  // psql has the quotes of `:'name'` for its own.
  if (style === 'psql' && span.from === at + 1) return 'code';
  if (span.place !== 'body') return span.place;
  // A body has strings and names of its own.
  const inner = text.indexOf('$', span.from + 1) + 1;
  const place = within(text.slice(inner, text.lastIndexOf('$', span.to - 2)), at - inner)?.place;
  return place === undefined || place === 'comment' ? 'body' : place;
}

function within(text: string, at: number): Span | undefined {
  return spansIn(text).find(({ from, to }) => from < at && at < to);
}

let lastText: string | undefined;
let lastSpans: readonly Span[] = [];

function spansOf(text: string): readonly Span[] {
  if (text === lastText) return lastSpans;
  lastText = text;
  lastSpans = spansIn(text);
  return lastSpans;
}

function spansIn(text: string): readonly Span[] {
  return [...text.matchAll(SPAN)].map(({ index, 0: whole }) => ({
    place: /^(?:--|\/\*)/.test(whole)
      ? 'comment'
      : /^[eE]?'/.test(whole)
        ? 'string'
        : whole.startsWith('"')
          ? 'name'
          : 'body',
    from: index,
    to: index + whole.length,
  }));
}
