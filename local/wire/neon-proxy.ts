import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';
import { closeServer, listen } from '../aws/listen.ts';
import { NeonFront } from './neon-front.ts';
import { cancelRequest } from './protocol-messages.ts';
import {
  addressOf,
  controlsOf,
  type ProxyControls,
  RelayStation,
  type RelayStationOptions,
  type ServerAddress,
  throughAddress,
} from './relay-station.ts';

/** With these a Neon compute runs, as far as they matter to a build [neondatabase/neon, compute/manifest.yaml]. */
export const NEON_COMPUTE_SETTINGS = { client_connection_check_interval: 60_000 } as const;

export interface NeonProxyOptions extends RelayStationOptions {
  /** URL of the database; only its host and port are looked at. */
  readonly target: string;
  /** The compute sleeps until the first connection, which waits this long for it. @default 0 */
  readonly wakeMilliseconds?: number;
  /** Asked for each connection, counted from 1 on: a text is told to the client instead of connecting it. */
  readonly refuse?: (connection: number) => string | undefined;
}

export interface NeonProxy extends ProxyControls {
  /** `host:port/path` for the driver's `wsProxy`. */
  readonly wsProxy: string;
  /** The target's URL by way of the TCP side, for clients that are not Neon's driver. */
  readonly tcpUrl: string;
  /** CancelRequests sent because a client had gone, ended in order or not. */
  cancels(): number;
  /** The compute is suspended: its connections end, and the next one waits for it to wake. */
  suspend(): Promise<void>;
}

/** Starts a proxy, lends it to `work`, and ends it. */
export async function withNeonProxy<T>(
  options: NeonProxyOptions,
  work: (proxy: NeonProxy) => Promise<T>,
): Promise<T> {
  const proxy = await startNeonProxy(options);
  try {
    return await work(proxy);
  } finally {
    await proxy.stop();
  }
}

/**
 * Does to a connection what Neon's proxy does, over WebSocket and over TCP: it forwards bytes, and whenever the
 * client's connection ends, in whatever way, it asks the compute to cancel what the session is doing
 * [neondatabase/neon, proxy/src/pglb/passthrough.rs]. See NeonFront for what it does at startup.
 */
export async function startNeonProxy(options: NeonProxyOptions): Promise<NeonProxy> {
  const station = new RelayStation(options);
  const target = addressOf(options.target);
  const ending = new AbortController();
  let waking: Promise<void> | undefined;
  let asleep = true;
  let cancels = 0;

  const clients = new Set<Duplex>();
  const serve = (client: Duplex, asksClearText: boolean) => {
    clients.add(client);
    client.once('close', () => clients.delete(client));
    const connection = station.nextConnection();
    // A client that goes while the compute wakes is no fault of ours.
    client.on('error', () => {});
    const front = new NeonFront({
      asksClearText,
      refusal: options.refuse?.(connection),
      compute: connectOnceAwake,
    });
    const onClientGone = async (cancelKey: Buffer | undefined) => {
      if (cancelKey === undefined) return;
      cancels++;
      await cancel(target, cancelKey);
    };
    station.relay(client, front, { connection, onClientGone });
  };

  /** Whoever asks first wakes it; who gives up meanwhile doesn't put it to sleep again. */
  const connectOnceAwake = async (): Promise<Socket | undefined> => {
    if (asleep) {
      waking ??= sleep(options.wakeMilliseconds ?? 0, undefined, { signal: ending.signal }).then(() => {
        asleep = false;
        waking = undefined;
      });
      await waking.catch(() => {});
      if (ending.signal.aborted) return undefined;
    }
    return connected(target);
  };

  const http = createHttpServer();
  const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });
  const webSockets = new Set<WebSocket>();
  sockets.on('connection', (socket) => {
    webSockets.add(socket);
    socket.once('close', () => webSockets.delete(socket));
    serve(createWebSocketStream(socket), true);
  });
  const tcp = createServer({ noDelay: true }, (client) => serve(client, false));
  const wsPort = await listen(http);
  const tcpPort = await listen(tcp);

  const stop = async () => {
    ending.abort();
    const closed = Promise.all([closeServer(http), closeServer(tcp)]);
    await station.cutAll();
    for (const client of clients) client.destroy();
    http.closeAllConnections();
    await closed;
  };
  return Object.assign(controlsOf(station, stop), {
    wsProxy: `127.0.0.1:${wsPort}/v2`,
    tcpUrl: throughAddress(options.target, { host: '127.0.0.1', port: tcpPort }),
    cancels: () => cancels,
    suspend: async () => {
      asleep = true;
      await station.cutAll();
    },
    forgetFlows: () => {
      station.forgetFlows();
      // Pings are answered by the proxy's end of a WebSocket, which the client does not reach any more either.
      for (const socket of webSockets) socket.pause();
    },
  });
}

async function connected(target: ServerAddress): Promise<Socket | undefined> {
  const socket = connect({ ...target, noDelay: true });
  try {
    await once(socket, 'connect');
    return socket;
  } catch {
    return undefined;
  }
}

/** Resolves when the server has closed the connection: then it has passed the request on. */
async function cancel(target: ServerAddress, cancelKey: Buffer): Promise<void> {
  const socket = await connected(target);
  if (socket === undefined) return;
  socket.on('error', () => {});
  socket.resume();
  socket.end(cancelRequest(cancelKey));
  await new Promise((resolve) => socket.once('close', resolve));
}
