/** Which way a message travels. */
export type Direction = 'to-server' | 'to-client';

/** One whole message of the Postgres wire protocol, version 3, with its header. */
export interface ProtocolMessage {
  /**
   * The letter that Postgres documents (`Q`, `Z`, …), or a word for a message without one: `startup`, `cancel` and
   * `encryption-request` from a client, `encryption-answer` from a server, and `opaque` for all that is encrypted.
   */
  readonly type: string;
  readonly bytes: Buffer;
}

const CANCEL_REQUEST = 80_877_102;
const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
const TLS_HANDSHAKE = 0x16;

/**
 * Cuts both streams of one connection into messages. It needs both: what a server's first byte means depends
 * on the client's request.
 */
export class ProtocolReader {
  readonly #buffers: Record<Direction, ByteQueue> = {
    'to-server': new ByteQueue(),
    'to-client': new ByteQueue(),
  };
  #started = false;
  #encryptionAsked = false;
  #opaque = false;
  #cancelKey: Buffer | undefined;

  /** The messages that this chunk completes; an incomplete one is kept until the rest arrives. */
  read(direction: Direction, chunk: Buffer): ProtocolMessage[] {
    const buffer = this.#buffers[direction];
    buffer.push(chunk);
    const messages: ProtocolMessage[] = [];
    for (;;) {
      const message = this.#opaque
        ? asMessage('opaque', buffer.take(buffer.length))
        : direction === 'to-server'
          ? this.#fromClient(buffer)
          : this.#fromServer(buffer);
      if (message === undefined) return messages;
      messages.push(message);
    }
  }

  /** Whether an incomplete message is kept. */
  isMidMessage(direction: Direction): boolean {
    return this.#buffers[direction].length > 0;
  }

  /** BackendKeyData as a CancelRequest wants it: process id and secret, 4 to 256 bytes long. */
  get cancelKey(): Buffer | undefined {
    return this.#cancelKey;
  }

  #fromClient(buffer: ByteQueue): ProtocolMessage | undefined {
    if (this.#started) return typed(buffer);
    const header = buffer.peek(8);
    if (header === undefined) return undefined;
    if (header[0] === TLS_HANDSHAKE) {
      this.#opaque = true;
      return asMessage('opaque', buffer.take(buffer.length));
    }
    const bytes = buffer.take(header.readInt32BE(0));
    if (bytes === undefined) return undefined;
    switch (header.readInt32BE(4)) {
      case SSL_REQUEST:
      case GSS_REQUEST:
        this.#encryptionAsked = true;
        return { type: 'encryption-request', bytes };
      case CANCEL_REQUEST:
        return { type: 'cancel', bytes };
      default:
        this.#started = true;
        return { type: 'startup', bytes };
    }
  }

  #fromServer(buffer: ByteQueue): ProtocolMessage | undefined {
    if (!this.#encryptionAsked) {
      const message = typed(buffer);
      if (message?.type === 'K') this.#cancelKey = Buffer.from(message.bytes.subarray(5));
      return message;
    }
    const bytes = buffer.take(1);
    if (bytes === undefined) return undefined;
    this.#encryptionAsked = false;
    this.#opaque = bytes.toString() !== 'N';
    return { type: 'encryption-answer', bytes };
  }
}

function typed(buffer: ByteQueue): ProtocolMessage | undefined {
  const header = buffer.peek(5);
  if (header === undefined) return undefined;
  return asMessage(header.toString('latin1', 0, 1), buffer.take(1 + header.readInt32BE(1)));
}

function asMessage(type: string, bytes: Buffer | undefined): ProtocolMessage | undefined {
  return bytes === undefined ? undefined : { type, bytes };
}

/** Bytes in the order they came, joined only when a whole message is there: a long one arrives in many chunks. */
class ByteQueue {
  #chunks: Buffer[] = [];
  length = 0;

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  peek(count: number): Buffer | undefined {
    if (count > this.length) return undefined;
    while ((this.#chunks[0]?.length ?? 0) < count) {
      const [first, second, ...rest] = this.#chunks;
      this.#chunks = [Buffer.concat([first ?? Buffer.alloc(0), second ?? Buffer.alloc(0)]), ...rest];
    }
    return this.#chunks[0]?.subarray(0, count);
  }

  take(count: number): Buffer | undefined {
    if (count <= 0 || count > this.length) return undefined;
    const first = this.#chunks[0];
    const all = first !== undefined && first.length >= count ? first : Buffer.concat(this.#chunks);
    const rest = all.subarray(count);
    const others = all === first ? this.#chunks.slice(1) : [];
    this.#chunks = rest.length > 0 ? [rest, ...others] : others;
    this.length -= count;
    return all.subarray(0, count);
  }
}

/** Sends a CancelRequest, over a separate connection, for the session with this key. */
export function cancelRequest(key: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeInt32BE(8 + key.length, 0);
  header.writeInt32BE(CANCEL_REQUEST, 4);
  return Buffer.concat([header, key]);
}

/** What a server sends before it closes a connection. */
export function fatalError(sqlstate: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${sqlstate}\0M${message}\0\0`, 'utf8');
  const header = Buffer.alloc(5);
  header.write('E', 0, 'latin1');
  header.writeInt32BE(4 + fields.length, 1);
  return Buffer.concat([header, fields]);
}
