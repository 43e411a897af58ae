import type { Direction, ProtocolMessage } from './protocol-messages.ts';

/** What has passed through a proxy since it started, or since `reset`. */
export class Traffic {
  connections = 0;
  /** Times that a client sent something and had to wait for the answer; the TCP handshake is not counted. */
  roundTrips = 0;
  messages: Record<Direction, number> = { 'to-server': 0, 'to-client': 0 };
  bytes: Record<Direction, number> = { 'to-server': 0, 'to-client': 0 };

  reset(): void {
    this.connections = 0;
    this.roundTrips = 0;
    this.messages = { 'to-server': 0, 'to-client': 0 };
    this.bytes = { 'to-server': 0, 'to-client': 0 };
  }
}

const AUTHENTICATION_DONE = new Set([0, 12]);

/**
 * Tells where one round trip of a connection ends and the next begins: where the client sends after it has received
 * what it waited for. Counting changes of direction would count a pipeline once for each time its answers
 * overlap its requests.
 */
export class RoundTripCounter {
  /** The client has received what it waited for; true at first, when it waits for nothing. */
  #heard = true;
  /** The current flush began after the client had its answer; not yet counted, as none of its messages is complete. */
  #fresh = false;
  #flushed = false;

  /**
   * @param continues the chunk begins within a message: the same flush continues
   * @returns whether a round trip begins
   */
  clientSpoke(messages: readonly ProtocolMessage[], continues: boolean): boolean {
    if (!continues) this.#fresh = this.#heard;
    const first = messages[0];
    if (first === undefined) return false;
    if (messages.some(({ type }) => type === 'H')) this.#flushed = true;
    const begins = this.#fresh && first.type !== 'X';
    this.#fresh = false;
    if (begins) this.#heard = false;
    return begins;
  }

  serverSpoke(messages: readonly ProtocolMessage[]): void {
    if (messages.some((message) => this.#flushed || endsWaiting(message))) this.#heard = true;
    if (messages.some(({ type }) => type === 'Z')) this.#flushed = false;
  }
}

/** Messages after which it is the client's turn: ready, an authentication question, COPY from the client. */
function endsWaiting({ type, bytes }: ProtocolMessage): boolean {
  if (type === 'R') return !AUTHENTICATION_DONE.has(bytes.readInt32BE(5));
  return type === 'Z' || type === 'G' || type === 'W' || type === 'encryption-answer' || type === 'opaque';
}
