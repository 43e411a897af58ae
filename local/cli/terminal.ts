import colors from 'picocolors';

type Colors = ReturnType<typeof colors.createColors>;

/**
 * Where words for people go, and where the document for programs goes. Without `--json` people read standard output;
 * with it, standard output carries the one document and nothing else, and people read standard error.
 */
export class Terminal {
  readonly json: boolean;
  readonly stream: NodeJS.WriteStream;
  readonly colors: Colors;
  /** Whether a person is watching, so that lines may be redrawn. */
  readonly live: boolean;

  constructor({ json }: { readonly json: boolean }) {
    this.json = json;
    this.stream = json ? process.stderr : process.stdout;
    this.colors = colors.createColors(isColoured(this.stream));
    this.live = this.stream.isTTY === true && process.env.TERM !== 'dumb';
  }

  line(text = ''): void {
    this.stream.write(`${text}\n`);
  }

  /** Goes to standard error in both cases. */
  errorLine(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  document(value: object): void {
    process.stdout.write(`${JSON.stringify(value)}\n`);
  }
}

/** https://no-color.org: any value but the empty one turns colours off. */
export function isColoured(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0') return true;
  return stream.isTTY === true && TERM !== 'dumb';
}
