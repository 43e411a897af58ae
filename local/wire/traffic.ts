import type { Direction, ProtocolMessage } from './protocol-messages.ts';

/** What has passed through a proxy since it started, or since `reset`. */
export class Traffic {
  connections = 0;
  /** Times that a client spoke and then had to hear something before it could continue; connecting by TCP not counted. */
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
 * Tells where one round trip of a connection ends and the next begins: where the client speaks after it has heard
 * what it waited for. Counting changes of direction instead would count a pipeline as often as its answers happen
 * to overlap with its questions.
 */
export class RoundTripCounter {
  /** What the client waited for has been said: before the first word nothing has to be. */
  #heard = true;
  /** The flush under way began after the client had heard; not yet counted, as no message of it was complete. */
  #fresh = false;
  #flushed = false;

  /**
   * @param continues the chunk begins amid a message: the same flush continues
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
