import { WebSocket } from 'ws';

export interface WebSocketOptions {
  /** As for node:tls; absent if the connection is not encrypted. */
  readonly tls: object;
  /** @default 20 s */
  readonly pingMilliseconds?: number;
}

const PING_MILLISECONDS = 20_000;
/** After this many pings without an answer, the connection counts as lost. */
const MOST_UNANSWERED = 3;

/**
 * The class that Neon's driver makes its connection of: the same on every version of Node, with the certificates that
 * the connection asks for. It pings, since NAT or a load balancer drops a silent connection without telling either
 * side.
 */
export function webSocketClass({ tls, pingMilliseconds = PING_MILLISECONDS }: WebSocketOptions) {
  return class extends WebSocket {
    #pings: NodeJS.Timeout | undefined;
    #unanswered = 0;

    constructor(address: string | URL) {
      super(address, { ...tls, perMessageDeflate: false });
      this.once('open', () => {
        this.#pings = setInterval(() => this.#ping(), pingMilliseconds);
        this.#pings.unref();
      });
      this.on('pong', () => {
        this.#unanswered = 0;
      });
      this.once('close', () => clearInterval(this.#pings));
    }

    #ping(): void {
      if (this.#unanswered < MOST_UNANSWERED) {
        this.#unanswered += 1;
        this.ping();
        return;
      }
      const seconds = (pingMilliseconds * MOST_UNANSWERED) / 1000;
      this.emit('error', new Error(`nothing has answered for ${seconds} s`));
      this.terminate();
    }
  };
}
