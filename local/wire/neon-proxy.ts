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

/** The settings of a Neon compute that matter to a build [neondatabase/neon, compute/manifest.yaml]. */
export const NEON_COMPUTE_SETTINGS = { client_connection_check_interval: 60_000 } as const;

export interface NeonProxyOptions extends RelayStationOptions {
  /** URL of the database; only its host and port are used. */
  readonly target: string;
  /** The compute sleeps until the first connection, which waits this long for it. @default 0 */
  readonly wakeMilliseconds?: number;
  /** Called for each connection, counted from 1: a text is the client's refusal. */
  readonly refuse?: (connection: number) => string | undefined;
}

export interface NeonProxy extends ProxyControls {
  /** `host:port/path` for the driver's `wsProxy`. */
  readonly wsProxy: string;
  /** The target's URL through the TCP side, for clients other than Neon's driver. */
  readonly tcpUrl: string;
  /** CancelRequests sent because a client disconnected, cleanly or not. */
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
 * Treats a connection as Neon's proxy does, over WebSocket and over TCP: it forwards bytes, and whenever the
 * client's connection ends, cleanly or not, it tells the compute to cancel what the session is doing
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
    // A client may well disconnect while the compute wakes.
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

  /** The first connection wakes it; one that gives up meanwhile doesn't put it back to sleep. */
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
      // Pings are answered by the proxy's end of a WebSocket, which the client can no longer reach either.
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
