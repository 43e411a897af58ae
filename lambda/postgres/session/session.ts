import { fromDriver, type Notice, noticeFrom, SessionLost, StatementFault } from './fault.ts';
import { OWN_PATH, Question, type TypeParser } from './own-path.ts';

/** The result of one message of many statements. */
export interface ScriptOutcome {
  /** How many statements completed; the next one is the one that failed. */
  readonly completed: number;
  /** Result rows by statement, as text; empty for statements without rows. */
  readonly rows: readonly (readonly TextRow[])[];
  /** Why it stopped, if it did not complete. */
  readonly fault: StatementFault | undefined;
}

export type TextRow = Readonly<Record<string, string | null>>;

/** Receives a notice as it arrives; `completed` statements of the message had completed by then. */
export type NoticeListener = (notice: Notice, completed: number) => void;

/** One database session, whichever driver carries it. */
export interface Session {
  /** Runs one of our own statements with bound values, under OWN_PATH. Throws StatementFault or SessionLost. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /**
   * Runs many of our own statements in one round trip, under OWN_PATH up to the message's first COMMIT or
   * ROLLBACK. Throws only SessionLost.
   */
  script(text: string): Promise<ScriptOutcome>;
  /**
   * The same under the session's own search path, and with nothing before the text: for an author's statements, and for
   * what can't run in a transaction. Rows are discarded as they arrive; notices are passed on.
   */
  execute(text: string, heard?: NoticeListener): Promise<Omit<ScriptOutcome, 'rows'>>;
  /**
   * The same, with the number of rows that each statement wrote, and the rows of the statements at given positions,
   * which are our own queries.
   */
  executeAround(
    text: string,
    own: ReadonlySet<number>,
    heard?: NoticeListener,
  ): Promise<ScriptOutcome & { readonly written: readonly number[] }>;
  /** Sends data into `copy … from stdin`, the only way to pass a value that no server logs. */
  copyIn(text: string, data: Buffer): Promise<void>;
  /** When the message under way was sent or last heard of, in milliseconds since 1970; undefined if none is. */
  silentSince(): number | undefined;
  /** Says goodbye and closes. Never throws. */
  close(): Promise<void>;
  /** Drops the connection without a goodbye, as a killed process would; pending calls throw SessionLost. */
  abandon(because?: Error): void;
}

/** The part of pg's Client that we use; the Neon driver's Client is the same class under another socket. */
export interface DriverClient {
  connect(): Promise<unknown>;
  query(submittable: object): unknown;
  getTypeParser: TypeParser;
  end(): Promise<void>;
  on(event: 'error' | 'end', listener: (error: Error) => void): unknown;
  on(event: 'notice', listener: (notice: object) => void): unknown;
  readonly connection?: {
    readonly stream?: DriverStream;
    once(event: 'connect', listener: () => void): unknown;
    on(
      event: 'parameterStatus',
      listener: (status: { readonly parameterName: string; readonly parameterValue: string }) => void,
    ): unknown;
    prependListener(
      event: 'authenticationCleartextPassword' | 'authenticationMD5Password' | 'authenticationSASL',
      listener: (asked: { readonly mechanisms?: readonly string[] }) => void,
    ): unknown;
  };
}

interface DriverStream {
  destroy(error?: Error): void;
  /** Neon's driver, whose close waits for the other side. */
  readonly ws?: { terminate?(): void };
}

/** How long a server may take to answer a goodbye. */
const GOODBYE_MILLISECONDS = 2_000;

export function sessionOver(client: DriverClient): Session {
  let lost: unknown;
  let closed = false;
  // Without a listener, an error on an idle connection would end the process.
  client.on('error', (error) => {
    lost ??= error;
  });
  client.on('end', () => {
    lost ??= new Error('connection ended');
  });

  // Messages are sent one at a time, so a notice belongs to the one under way.
  let underWay: Script | undefined;
  client.on('notice', (notice) => underWay?.handleNotice(noticeFrom(notice)));

  const speaks = () => {
    heardAt = Date.now();
  };
  function sendScript(text: string, options: ScriptOptions): Promise<CountedOutcome> {
    return send(
      () =>
        new Promise((resolve, reject) => {
          const script = new Script(text, { ...options, resolve, reject, speaks });
          underWay = script;
          client.query(script);
        }),
    );
  }

  let waiting = 0;
  let heardAt = 0;
  let giveUp: (because: Error) => void = () => {};
  const givenUp = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  givenUp.catch(() => undefined);
  const breakOff = () => {
    client.connection?.stream?.destroy();
    client.connection?.stream?.ws?.terminate?.();
  };

  async function send<T>(work: () => Promise<T>): Promise<T> {
    if (lost !== undefined || closed) throw new SessionLost(lost ?? new Error('the session was closed'));
    heardAt = Date.now();
    waiting += 1;
    try {
      return await Promise.race([work(), givenUp]);
    } catch (error) {
      throw fromDriver(error);
    } finally {
      waiting -= 1;
    }
  }

  return {
    query: (text, values = []) =>
      send(
        () =>
          new Promise((resolve, reject) => {
            underWay = undefined;
            const parserOf: TypeParser = (type, format) => client.getTypeParser(type, format);
            client.query(new Question({ text, values, parserOf }, resolve, reject));
          }),
      ),
    script: async (text) => {
      // In a failed transaction, nothing may precede it.
      const before = text.startsWith('rollback') ? '' : `${OWN_PATH};\n`;
      const outcome = await sendScript(before + text, { keepsRows: true, heard: undefined });
      return before === '' ? outcome : withoutFirst(outcome, before.length);
    },
    execute: (text, heard) => sendScript(text, { keepsRows: false, heard }),
    executeAround: (text, own, heard) => sendScript(text, { keepsRows: own, heard }),
    copyIn: (text, data) =>
      send(() => new Promise((resolve, reject) => client.query(new CopyIn(text, data, resolve, reject)))),
    silentSince: () => (waiting > 0 ? heardAt : undefined),
    async close() {
      if (closed) return;
      closed = true;
      // A driver whose connection has already ended would wait forever.
      if (lost !== undefined) return breakOff();
      const goodbye = client.end().catch(() => undefined);
      // A vanished peer would never answer the goodbye.
      let patience: NodeJS.Timeout | undefined;
      const enough = new Promise<void>((resolve) => {
        patience = setTimeout(() => {
          breakOff();
          resolve();
        }, GOODBYE_MILLISECONDS);
      });
      await Promise.race([goodbye, enough]);
      clearTimeout(patience);
    },
    abandon(because = new Error('the session was abandoned')) {
      closed = true;
      breakOff();
      giveUp(because);
    },
  };
}

/** The result without the message's first statement, which has this many characters. */
function withoutFirst({ completed, rows, fault }: ScriptOutcome, characters: number): ScriptOutcome {
  return {
    completed: Math.max(0, completed - 1),
    rows: rows.slice(1),
    fault:
      fault?.position === undefined ? fault : new StatementFault(fault.fault, fault.position - characters),
  };
}

interface DriverConnection {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

interface RowDescription {
  readonly fields: readonly { readonly name: string }[];
}

interface ScriptOptions {
  /** Rows of all statements, of none, or of those at these positions. */
  readonly keepsRows: boolean | ReadonlySet<number>;
  readonly heard: NoticeListener | undefined;
}

interface CountedOutcome extends ScriptOutcome {
  readonly written: readonly number[];
}

interface ScriptEnd {
  /** The server has said something. */
  readonly speaks: () => void;
  readonly resolve: (outcome: CountedOutcome) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A simple query that counts completed statements. The driver's own query object discards its results when a statement
 * fails, and with them which one it was.
 */
class Script {
  #completed = 0;
  #columns: string[] = [];
  #rows: TextRow[][] = [[]];
  #written: number[] = [];
  readonly #text: string;
  readonly #options: ScriptOptions & ScriptEnd;

  constructor(text: string, options: ScriptOptions & ScriptEnd) {
    this.#text = text;
    this.#options = options;
  }

  submit(connection: DriverConnection): undefined {
    connection.query(this.#text);
  }

  handleNotice(notice: Notice): void {
    this.#options.speaks();
    this.#options.heard?.(notice, this.#completed);
  }

  handleRowDescription(message: RowDescription): void {
    this.#columns = message.fields.map((field) => field.name);
  }

  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    this.#options.speaks();
    const { keepsRows } = this.#options;
    if (typeof keepsRows === 'boolean' ? !keepsRows : !keepsRows.has(this.#completed)) return;
    const row: Record<string, string | null> = {};
    for (const [index, column] of this.#columns.entries()) row[column] = message.fields[index] ?? null;
    this.#rows[this.#completed]?.push(row);
  }

  /** The tag ends in the number of rows: `UPDATE 12`, `INSERT 0 12`. */
  handleCommandComplete(message: { readonly text?: string }): void {
    this.#options.speaks();
    this.#completed += 1;
    this.#rows.push([]);
    this.#written.push(Number(/(\d+)$/.exec(message.text ?? '')?.[1] ?? 0));
  }

  handleEmptyQuery(): void {}

  handleCopyInResponse(connection: DriverConnection): void {
    connection.endCopyFrom();
  }

  handleCopyData(): void {}

  handlePortalSuspended(): void {}

  handleReadyForQuery(): void {
    this.#resolve(undefined);
  }

  handleError(error: unknown): void {
    const said = fromDriver(error);
    if (said instanceof SessionLost) this.#options.reject(said);
    else this.#resolve(said);
  }

  #resolve(fault: StatementFault | undefined): void {
    this.#options.resolve({ completed: this.#completed, rows: this.#rows, written: this.#written, fault });
  }
}

class CopyIn {
  #text: string;
  #data: Buffer;
  #resolve: () => void;
  #reject: (error: Error) => void;

  constructor(text: string, data: Buffer, resolve: () => void, reject: (error: Error) => void) {
    this.#text = text;
    this.#data = data;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  submit(connection: DriverConnection): undefined {
    connection.query(this.#text);
  }

  handleCopyInResponse(connection: DriverConnection): void {
    connection.sendCopyFromChunk(this.#data);
    connection.endCopyFrom();
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handleCopyData(): void {}
  handlePortalSuspended(): void {}

  handleReadyForQuery(): void {
    this.#resolve();
  }

  handleError(error: unknown): void {
    this.#reject(fromDriver(error));
  }
}
