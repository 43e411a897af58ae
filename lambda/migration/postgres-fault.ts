import type { Text } from './row-values.ts';

/** What Postgres said, in its own words. */
export interface PostgresFault {
  readonly sqlstate: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  readonly context?: string | undefined;
  /** The statement within a function that failed. */
  readonly query?: string | undefined;
  readonly schema?: string | undefined;
  readonly table?: string | undefined;
  readonly column?: string | undefined;
  readonly dataType?: string | undefined;
  readonly constraint?: string | undefined;
  /** The message and the detail as we say them where values of rows are hidden. */
  readonly plainMessage?: string | undefined;
  readonly plainDetail?: string | undefined;
  /** The server said it before there was a session: it can't quote a row. */
  readonly fromStartup?: true;
}

/**
 * Classes of SQLSTATE of which Postgres's own words have names and numbers only. All others may quote values: those of
 * data (22), of functions (P0, 38), of extensions (XX), and whatever anybody makes up.
 */
const IN_NAMES = new Set('08 0A 25 28 2B 2D 3D 3F 40 42 53 54 55 57 58'.split(' '));
/** Of which the message has, and the detail quotes the row. */
const MESSAGE_IN_NAMES = new Set(['23', '44']);

/** Replaces the message, by class. */
const INSTEAD: Readonly<Record<string, string>> = {
  '00': 'a notice',
  '01': 'a warning',
  '22': 'a value is not as its type or function needs it',
  '23': 'rows violate a constraint',
  '38': 'a function of another language failed',
  '57': 'the server ended the statement',
  P0: 'a function raised an error',
};

/**
 * The same without what may quote values of rows. It is told by the SQLSTATE, since a server may speak any language;
 * and by the context, which is there where a function was at work: its words, like its SQLSTATE, may be anybody's.
 */
export function withoutRowValues(fault: PostgresFault): PostgresFault {
  const {
    sqlstate,
    message,
    detail,
    hint,
    context,
    query,
    plainMessage,
    plainDetail,
    fromStartup,
    ...names
  } = fault;
  const kind = sqlstate.slice(0, 2);
  const ownWords = context === undefined && query === undefined;
  const inNames = fromStartup === true || (ownWords && IN_NAMES.has(kind));
  const shown = inNames || (ownWords && MESSAGE_IN_NAMES.has(kind));
  const plain = plainDetail ?? (inNames ? detail : undefined);
  return {
    sqlstate,
    message: plainMessage ?? (shown ? message : (INSTEAD[kind] ?? 'words that may quote rows')),
    ...(plain !== undefined && { detail: plain }),
    ...(shown && hint !== undefined && { hint }),
    ...names,
  };
}

/** `division by zero, SQLSTATE 22012`, within a sentence. */
export function wordsOf(fault: PostgresFault): Text {
  return (rows) => {
    const { message, sqlstate } = rows === 'hidden' ? withoutRowValues(fault) : fault;
    return `${message}, SQLSTATE ${sqlstate}`;
  };
}

/** Whether there is more to it than withoutRowValues() leaves. */
export function mayQuoteRows(fault: PostgresFault): boolean {
  const { message, detail } = withoutRowValues(fault);
  return message !== fault.message || detail !== fault.detail || fault.context !== undefined;
}

/** Puts our own words before Postgres's. */
export function withWords(words: string, fault: PostgresFault): PostgresFault {
  return {
    ...fault,
    message: `${words}: ${fault.message}`,
    plainMessage: `${words}: ${withoutRowValues(fault).message}`,
  };
}

/** Appends our own sentence to Postgres's detail; `plain` is the same without values of rows. */
export function withDetail(fault: PostgresFault, sentence: string, plain: string): PostgresFault {
  const joined = (detail: string | undefined, more: string) => (detail ? `${detail} ${more}` : more);
  return {
    ...fault,
    detail: joined(fault.detail, sentence),
    plainDetail: joined(withoutRowValues(fault).detail, plain),
  };
}
