import { fromDriver } from './fault.ts';

/**
 * The search path of our own statements: nobody but Postgres puts objects there. With any other path a role that may
 * create some could slip in a function, an operator, a type or a relation of its own, and have it run as ours
 * (CVE-2018-1058). It is set for one transaction at a time: an author's statements see the path of their role and file,
 * RESET works, and a pooler passes nothing on.
 *
 * Unless pg_temp is listed, it is searched first for types and relations.
 */
export const OWN_PATH = 'set local search_path = pg_catalog, pg_temp';

/**
 * Undoes OWN_PATH within its transaction: from here on a name means what it means to the role, or to the file whose
 * settings follow. Our queries there must qualify each function, operator, type and relation.
 */
export const ROLE_PATH = 'set local search_path to default';

interface DriverConnection {
  parse(statement: { text: string }): void;
  bind(portal: { values?: (string | null)[] }): void;
  describe(portal: { type: 'P' }): void;
  execute(portal: object): void;
  sync(): void;
  readonly stream: { cork?(): void; uncork?(): void };
}

export type TypeParser = (type: number, format: 'text') => (text: string) => unknown;

interface Field {
  readonly name: string;
  readonly dataTypeID: number;
}

/** One statement with bound values under OWN_PATH: two statements, one transaction and one round trip. */
export class Question {
  /** Undefined until the statement itself is described: earlier rows belong to the first statement. */
  #columns: { readonly name: string; readonly parse: (text: string) => unknown }[] | undefined;
  #rows: Record<string, unknown>[] = [];
  readonly #text: string;
  readonly #values: readonly unknown[];
  readonly #parserOf: TypeParser;
  readonly #resolve: (rows: Record<string, unknown>[]) => void;
  readonly #reject: (error: Error) => void;

  constructor(
    { text, values, parserOf }: { text: string; values: readonly unknown[]; parserOf: TypeParser },
    resolve: (rows: Record<string, unknown>[]) => void,
    reject: (error: Error) => void,
  ) {
    this.#text = text;
    this.#values = values;
    this.#parserOf = parserOf;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  submit(connection: DriverConnection): undefined {
    // Otherwise each of these would be a packet of its own.
    connection.stream.cork?.();
    // As a function, since SET LOCAL warns where no transaction block is begun.
    connection.parse({ text: "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)" });
    connection.bind({});
    connection.execute({});
    connection.parse({ text: this.#text });
    connection.bind({ values: this.#values.map(asText) });
    connection.describe({ type: 'P' });
    connection.execute({});
    connection.sync();
    connection.stream.uncork?.();
  }

  /** Of the statement itself only; the first one's are not needed. */
  handleRowDescription(message: { readonly fields: readonly Field[] }): void {
    this.#columns = message.fields.map(({ name, dataTypeID }) => ({
      name,
      parse: this.#parserOf(dataTypeID, 'text'),
    }));
  }

  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    if (this.#columns === undefined) return;
    const row: Record<string, unknown> = {};
    for (const [index, { name, parse }] of this.#columns.entries()) {
      const text = message.fields[index] ?? null;
      row[name] = text === null ? null : parse(text);
    }
    this.#rows.push(row);
  }

  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handleCopyInResponse(): void {}
  handleCopyData(): void {}
  handlePortalSuspended(): void {}

  handleReadyForQuery(): void {
    this.#resolve(this.#rows);
  }

  handleError(error: unknown): void {
    this.#reject(fromDriver(error));
  }
}

/** As Postgres reads it. The caller formats values of other types. */
function asText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
    return String(value);
  if (Array.isArray(value)) return `{${value.map(asElement).join(',')}}`;
  throw new TypeError(`a value of type ${typeof value} can't be bound`);
}

function asElement(value: unknown): string {
  const text = asText(value);
  return text === null ? 'null' : `"${text.replace(/[\\"]/g, '\\$&')}"`;
}
