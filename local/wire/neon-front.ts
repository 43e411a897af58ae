import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import sasl from 'pg/lib/crypto/sasl.js';
import { sqlstate } from '../../lambda/migration/sqlstate.ts';
import { fatalError, type ProtocolMessage, ProtocolReader } from './protocol-messages.ts';

export interface NeonFrontOptions {
  /** Over WebSocket the client is asked for its password in clear text; over TCP it does SCRAM. */
  readonly asksClearText: boolean;
  /** The text of a refusal, once the client has identified itself. */
  readonly refusal: string | undefined;
  /** Waits until the compute is awake; undefined if there is no compute. */
  readonly compute: () => Promise<Socket | undefined>;
}

/** The SQLSTATE of everything that the compute or the proxy refuses at startup. */
const PROXY_SQLSTATE = sqlstate.internalError;

const AUTHENTICATION_OK = 0;
const CLEAR_TEXT = 3;
const SASL = 10;
const SASL_CONTINUE = 11;
const SASL_FINAL = 12;

/**
 * The server as clients of Neon's proxy see it: they are authenticated before there is a compute to talk to, and what
 * is refused at startup has one SQLSTATE and no detail [neondatabase/neon, proxy/src/stream.rs throw_error]. The
 * password is checked by Postgres itself here; Neon's proxy knows it from its control plane.
 */
export class NeonFront extends Duplex {
  readonly #options: NeonFrontOptions;
  readonly #fromClient = new ProtocolReader();
  readonly #fromCompute = new ProtocolReader();
  #compute: Socket | undefined;
  #startup: Buffer | undefined;
  #password = '';
  #scram: sasl.Session | undefined;
  /** What a client sends without waiting for an answer, as Neon's driver does by default. */
  readonly #early: Buffer[] = [];
  /** The compute has reported that it is ready: from then on bytes pass unchanged. */
  #through = false;

  constructor(options: NeonFrontOptions) {
    super();
    this.#options = options;
    this.on('error', () => {});
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    for (const message of this.#fromClient.read('to-server', chunk)) this.#clientSaid(message);
    if (this.#compute?.writableNeedDrain) this.#compute.once('drain', () => done());
    else done();
  }

  override _read(): void {
    this.#compute?.resume();
  }

  override _final(done: () => void): void {
    if (this.#compute === undefined) this.destroy();
    else this.#compute.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#compute?.destroy();
    done(error);
  }

  #clientSaid({ type, bytes }: ProtocolMessage): void {
    switch (type) {
      case 'encryption-request':
        this.push('N');
        return;
      case 'cancel':
      case 'startup':
        this.#startup = bytes;
        if (type === 'startup' && this.#options.asksClearText) this.push(authentication(CLEAR_TEXT));
        else void this.#connect();
        return;
      default:
        if (this.#through || !this.#options.asksClearText) this.#compute?.write(bytes);
        else if (type === 'p') {
          this.#password = bytes.toString('utf8', 5, bytes.length - 1);
          void this.#connect();
        } else this.#early.push(bytes);
    }
  }

  async #connect(): Promise<void> {
    if (this.#options.refusal !== undefined) return this.#refuse(this.#options.refusal);
    const compute = await this.#options.compute();
    if (compute === undefined) return this.#refuse("Couldn't connect to compute node");
    if (this.destroyed) return void compute.destroy();
    this.#compute = compute;
    compute.on('error', () => {});
    compute.on('data', (chunk: Buffer) => {
      if (this.#through) {
        if (!this.push(chunk)) compute.pause();
      } else for (const message of this.#fromCompute.read('to-client', chunk)) this.#computeSaid(message);
    });
    compute.once('end', () => this.push(null));
    compute.once('close', () => this.destroy());
    compute.write(this.#startup ?? Buffer.alloc(0));
  }

  #computeSaid(message: ProtocolMessage): void {
    const { type, bytes } = message;
    if (type === 'E') {
      this.#refuse(fieldOf(bytes, 'M'));
    } else if (type === 'R' && this.#options.asksClearText && bytes.readInt32BE(5) !== AUTHENTICATION_OK) {
      void this.#authenticate(bytes);
    } else {
      this.push(bytes);
      if (type !== 'Z') return;
      this.#through = true;
      for (const early of this.#early.splice(0)) this.#compute?.write(early);
    }
  }

  /** Answers the compute for the client, with the password that the client gave. */
  async #authenticate(asked: Buffer): Promise<void> {
    const rest = asked.subarray(9);
    switch (asked.readInt32BE(5)) {
      case CLEAR_TEXT:
        return this.#answer(Buffer.from(`${this.#password}\0`));
      case SASL: {
        const mechanisms = rest.toString('utf8').split('\0').filter(Boolean);
        this.#scram = sasl.startSession(mechanisms, false);
        const { mechanism, response } = this.#scram;
        const length = Buffer.alloc(4);
        length.writeInt32BE(Buffer.byteLength(response));
        return this.#answer(Buffer.concat([Buffer.from(`${mechanism}\0`), length, Buffer.from(response)]));
      }
      case SASL_CONTINUE:
        if (this.#scram === undefined) break;
        await sasl.continueSession(this.#scram, this.#password, rest.toString('utf8'), false);
        return this.#answer(Buffer.from(this.#scram.response));
      case SASL_FINAL:
        return;
      default:
    }
    this.#refuse('Unsupported authentication method');
  }

  #answer(body: Buffer): void {
    const header = Buffer.from([0x70, 0, 0, 0, 0]);
    header.writeInt32BE(body.length + 4, 1);
    this.#compute?.write(Buffer.concat([header, body]));
  }

  #refuse(text: string): void {
    this.push(fatalError(PROXY_SQLSTATE, text));
    this.push(null);
    this.#compute?.destroy();
  }
}

function authentication(kind: number): Buffer {
  const message = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]);
  message.writeInt32BE(kind, 5);
  return message;
}

/** One field of an ErrorResponse. */
function fieldOf(error: Buffer, letter: string): string {
  const fields = error.toString('utf8', 5).split('\0');
  return fields.find((field) => field.startsWith(letter))?.slice(1) ?? '';
}
