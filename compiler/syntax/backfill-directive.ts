import { codeTokensOf, nameFrom } from './tokens.ts';

/** `-- migrate: backfill by (a, b), batch 200ms, pause 0`: how the statement after it is to be walked. */
export interface BackfillDirective {
  readonly by?: readonly string[];
  readonly batchMilliseconds?: number;
  readonly pause?: number;
}

/** How to write it, for errors. */
export const BACKFILL_USAGE = '-- migrate: backfill [by (column, …)] [batch 200ms] [pause 0]';

/** Reads what follows the word `backfill`; a text says what is wrong. */
export function parseBackfill(text: string): BackfillDirective | string {
  let rest = text.trim();
  let directive: BackfillDirective = {};
  while (rest !== '') {
    const [read, word = ''] = /^,?\s*([a-z]+)\s*/.exec(rest) ?? [];
    if (read === undefined) return `"${rest}" is not understood.`;
    const after = rest.slice(read.length);
    const option = optionOf(word, after);
    if (typeof option === 'string') return option;
    directive = { ...directive, ...option.says };
    rest = after.slice(option.length).trim();
  }
  return directive;
}

interface Read {
  readonly says: BackfillDirective;
  readonly length: number;
}

function optionOf(word: string, text: string): Read | string {
  switch (word) {
    case 'by':
      return columnsOf(text);
    case 'batch': {
      const [all, number, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s)(?![a-z0-9])/.exec(text) ?? [];
      const milliseconds = Number(number) * (unit === 's' ? 1000 : 1);
      if (all === undefined || milliseconds < 1) return '"batch" takes a time such as 200ms or 2s.';
      return { says: { batchMilliseconds: milliseconds }, length: all.length };
    }
    case 'pause': {
      const [all, times] = /^(\d+(?:\.\d+)?)(?![a-z0-9.])/.exec(text) ?? [];
      if (all === undefined) return '"pause" takes a number: how many lengths of a batch to rest after it.';
      return { says: { pause: Number(times) }, length: all.length };
    }
    default:
      return `"${word}" is not known here.`;
  }
}

function columnsOf(text: string): Read | string {
  const wrong = '"by" takes the columns of a key, such as (tenant_id, id).';
  const close = text.indexOf(')');
  if (!text.startsWith('(') || close === -1) return wrong;
  const tokens = scan(text.slice(1, close));
  const columns = tokens.filter((_, index) => index % 2 === 0);
  const commas = tokens.filter((_, index) => index % 2 === 1);
  if (columns.length !== commas.length + 1 || commas.some((comma) => comma !== ',')) return wrong;
  if (columns.some((column) => !/^(?:"|[A-Za-z_\u0080-\uffff])/.test(column))) return wrong;
  return { says: { by: columns.map(nameFrom) }, length: close + 1 };
}

function scan(text: string): string[] {
  try {
    return codeTokensOf(text).map((token) => token.text);
  } catch {
    return [];
  }
}
