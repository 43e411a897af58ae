import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Lane } from './lane.ts';
import type { FaultAction, FaultPlan } from './message-faults.ts';
import { type Direction, type ProtocolMessage, ProtocolReader } from './protocol-messages.ts';
import { RoundTripCounter, type Traffic } from './traffic.ts';

export interface RelayOptions {
  /** 1-based, in the order of connecting. */
  readonly connection: number;
  readonly faults: FaultPlan;
  readonly traffic: Traffic;
  /** Each way. */
  readonly latencyMilliseconds: number;
  /** Called once, when the client's side ends; the server's socket closes when it resolves. */
  readonly onClientGone?: (cancelKey: Buffer | undefined) => Promise<void>;
}

/** Relays one connection between a client and a server, message by message, and injects faults. */
export class Relay {
  readonly #client: Duplex;
  readonly #server: Duplex;
  readonly #options: RelayOptions;
  readonly #reader = new ProtocolReader();
  readonly #roundTrips = new RoundTripCounter();
  readonly #lanes: Record<Direction, Lane>;
  #cut = false;
  #forgotten = false;
  /** Resolves when both ends are closed. */
  readonly closed: Promise<void>;

  constructor(client: Duplex, server: Duplex, options: RelayOptions) {
    this.#client = client;
    this.#server = server;
    this.#options = options;
    this.#lanes = {
      'to-server': new Lane(client, server, options.latencyMilliseconds),
      'to-client': new Lane(server, client, options.latencyMilliseconds),
    };
    options.traffic.connections++;
    client.on('data', (chunk: Buffer) => this.#arrived('to-server', chunk));
    server.on('data', (chunk: Buffer) => this.#arrived('to-client', chunk));
    const clientGone = whenGone(client).then(() => this.#clientGone());
    const serverGone = whenGone(server)
      .then(() => this.#lanes['to-client'].settled())
      .then(() => this.#client.end());
    this.closed = Promise.all([clientGone, serverGone]).then(() => undefined);
  }

  /** Releases what a fault has stalled. */
  release(): void {
    for (const lane of Object.values(this.#lanes)) lane.release();
  }

  /** Silently stops traffic, as a NAT that has forgotten the flow. */
  forget(): void {
    this.#forgotten = true;
    this.#cut = true;
    for (const lane of Object.values(this.#lanes)) lane.drop();
  }

  /** Breaks the connection on both sides, as a failing network does. */
  cut(): void {
    this.#cut = true;
    for (const lane of Object.values(this.#lanes)) lane.drop();
    breakOff(this.#client);
    if (this.#options.onClientGone === undefined || this.#forgotten) breakOff(this.#server);
  }

  #arrived(direction: Direction, chunk: Buffer): void {
    if (this.#cut) return;
    const continues = this.#reader.isMidMessage(direction);
    const messages = this.#reader.read(direction, chunk);
    const { traffic, faults, connection } = this.#options;
    traffic.bytes[direction] += chunk.length;
    traffic.messages[direction] += messages.length;
    if (direction === 'to-client') this.#roundTrips.serverSpoke(messages);
    else if (this.#roundTrips.clientSpoke(messages, continues)) traffic.roundTrips++;

    // Undisturbed messages are written together, as they came: a write for each would be slow.
    let run: Buffer[] = [];
    const flush = () => {
      if (run.length > 0)
        this.#lanes[direction].send(run.length === 1 && run[0] ? run[0] : Buffer.concat(run));
      run = [];
    };
    for (const message of messages) {
      const action = faults.at(message, direction, connection);
      if (action === undefined) {
        run.push(message.bytes);
        continue;
      }
      flush();
      this.#suffer(action, direction, message);
      if (this.#cut) return;
    }
    flush();
  }

  #suffer(action: FaultAction, direction: Direction, { bytes }: ProtocolMessage): void {
    const lane = this.#lanes[direction];
    switch (action) {
      case 'cut-before':
        this.cut();
        break;
      case 'cut-after':
        this.#cut = true;
        lane.send(bytes);
        // The receiver is closed cleanly, or it might lose what it has not read yet; the sender gets a reset.
        lane.afterwards(() => {
          (direction === 'to-server' ? this.#server : this.#client).end();
          breakOff(direction === 'to-server' ? this.#client : this.#server);
        });
        break;
      case 'stall':
        lane.stall();
        lane.send(bytes);
        break;
      case 'duplicate':
        lane.send(Buffer.concat([bytes, bytes]));
        break;
      default:
        lane.send(bytes, action.delayMilliseconds);
    }
  }

  async #clientGone(): Promise<void> {
    await this.#lanes['to-server'].settled();
    if (this.#forgotten) return;
    await this.#options.onClientGone?.(this.#reader.cancelKey);
    this.#server.end();
    this.#client.destroy();
  }
}

function whenGone(end: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (end.destroyed || end.readableEnded) resolve();
    end.once('end', resolve);
    end.once('close', resolve);
    end.on('error', () => resolve());
  });
}

function breakOff(end: Duplex): void {
  if (end instanceof Socket && !end.connecting) end.resetAndDestroy();
  else end.destroy();
}
