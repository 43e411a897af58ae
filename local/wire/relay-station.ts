import type { Duplex } from 'node:stream';
import { FaultPlan, type InjectedFault } from './message-faults.ts';
import { Relay, type RelayOptions } from './relay.ts';
import { Traffic } from './traffic.ts';

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

export interface RelayStationOptions {
  /** Each way; a round trip takes twice as long. @default 0 */
  readonly latencyMilliseconds?: number;
  readonly faults?: readonly InjectedFault[];
}

/** What the proxies have in common: all their connections, counted, delayed and disturbed. */
export class RelayStation {
  readonly traffic = new Traffic();
  readonly #faults = new FaultPlan();
  readonly #relays = new Set<Relay>();
  readonly #latencyMilliseconds: number;
  #connections = 0;

  constructor(options: RelayStationOptions) {
    this.#latencyMilliseconds = options.latencyMilliseconds ?? 0;
    for (const fault of options.faults ?? []) void this.#faults.set(fault);
  }

  get firedFaults(): readonly InjectedFault[] {
    return this.#faults.fired;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#relays.size;
  }

  /** Numbers a connection, from 1, as injected faults name it. */
  nextConnection(): number {
    return ++this.#connections;
  }

  relay(client: Duplex, server: Duplex, options: Pick<RelayOptions, 'connection' | 'onClientGone'>): Relay {
    const relay = new Relay(client, server, {
      ...options,
      faults: this.#faults,
      traffic: this.traffic,
      latencyMilliseconds: this.#latencyMilliseconds,
    });
    this.#relays.add(relay);
    void relay.closed.then(() => this.#relays.delete(relay));
    return relay;
  }

  inject(fault: InjectedFault): Promise<void> {
    return this.#faults.set(fault);
  }

  release(): void {
    for (const relay of this.#relays) relay.release();
  }

  /** Silently stops traffic on all open connections. */
  forgetFlows(): void {
    for (const relay of this.#relays) relay.forget();
  }

  /** Breaks every open connection, and waits until both of its ends are closed. */
  async cutAll(): Promise<void> {
    const closed = [...this.#relays].map((relay) => relay.closed);
    for (const relay of this.#relays) relay.cut();
    await Promise.all(closed);
  }
}

/** What both proxies offer to those who watch or disturb them. */
export interface ProxyControls {
  readonly traffic: Traffic;
  readonly firedFaults: readonly InjectedFault[];
  /** Connections that are open now. */
  openConnections(): number;
  /** Adds a fault to inject; resolves when it has happened. */
  inject(fault: InjectedFault): Promise<void>;
  /** Releases what `stall` has stalled. */
  release(): void;
  /**
   * Silently stops traffic on all open connections, as a NAT that has forgotten them: nothing passes in either
   * direction, and neither side is told.
   */
  forgetFlows(): void;
  /** Breaks every open connection; new ones are still taken. */
  cutAll(): Promise<void>;
  /** Breaks every open connection and takes no more. */
  stop(): Promise<void>;
}

export function controlsOf(station: RelayStation, close: () => Promise<void>): ProxyControls {
  return {
    traffic: station.traffic,
    get firedFaults() {
      return station.firedFaults;
    },
    openConnections: () => station.open,
    inject: (fault) => station.inject(fault),
    release: () => station.release(),
    forgetFlows: () => station.forgetFlows(),
    cutAll: () => station.cutAll(),
    stop: close,
  };
}

/** The same database's URL with another address. */
export function throughAddress(url: string, { host, port }: ServerAddress): string {
  const through = new URL(url);
  through.hostname = host;
  through.port = String(port);
  return through.href;
}

/** The host and port of a URL. */
export function addressOf(url: string): ServerAddress {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 5432 : Number(port) };
}
