import { connect, createServer } from 'node:net';
import { closeServer, listen } from '../aws/listen.ts';
import {
  addressOf,
  controlsOf,
  type ProxyControls,
  RelayStation,
  type RelayStationOptions,
  throughAddress,
} from './relay-station.ts';

export interface TcpProxyOptions extends RelayStationOptions {
  /** URL of the database; only its host and port are used. */
  readonly target: string;
}

export interface TcpProxy extends ProxyControls {
  readonly host: string;
  readonly port: number;
  /** The target's URL, through the proxy. */
  readonly url: string;
}

/** Starts a proxy, lends it to `work`, and ends it. */
export async function withTcpProxy<T>(
  options: TcpProxyOptions,
  work: (proxy: TcpProxy) => Promise<T>,
): Promise<T> {
  const proxy = await startTcpProxy(options);
  try {
    return await work(proxy);
  } finally {
    await proxy.stop();
  }
}

/** A proxy in front of Postgres that counts what passes, adds latency, and breaks connections when told. */
export async function startTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const station = new RelayStation(options);
  const target = addressOf(options.target);
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ ...target, noDelay: true });
    station.relay(client, upstream, { connection: station.nextConnection() });
  });
  const port = await listen(server);
  const stop = async () => {
    await Promise.all([closeServer(server), station.cutAll()]);
  };
  const host = '127.0.0.1';
  const controls = controlsOf(station, stop);
  return Object.assign(controls, { host, port, url: throughAddress(options.target, { host, port }) });
}
