import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { closeServer, listen } from '../../local/aws/listen.ts';
import { fatalError, ProtocolReader } from '../../local/wire/protocol-messages.ts';

export interface PoolerOptions {
  /** URL of the server, which asks for the password in clear text. */
  readonly target: string;
  /** A server session belongs to a client for a transaction, or for as long as the client is there. */
  readonly mode: 'transaction' | 'session';
  /** What becomes of `options` in a client's startup: PgBouncer refuses them, or is told to leave them out. */
  readonly startupOptions: 'refused' | 'refused as by RDS Proxy' | 'left out';
}

interface ServerSession {
  readonly socket: Socket;
  toClient: ((message: Buffer) => void) | undefined;
  /** Called at each ReadyForQuery. */
  idle: () => void;
}

/** A pooler as PgBouncer is one, with real sessions of a real server behind it. Gives the URL through it. */
export async function startPooler(options: PoolerOptions): Promise<string> {
  const target = new URL(options.target);
  const free: ServerSession[] = [];
  const sockets = new Set<Socket>();
  const remember = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on('error', () => {});
  };

  const open = async (): Promise<ServerSession> => {
    const socket = remember(connect(Number(target.port), target.hostname));
    const session: ServerSession = { socket, toClient: undefined, idle: () => {} };
    const reader = new ProtocolReader();
    const ready = new Promise<void>((resolve) => {
      session.idle = resolve;
    });
    socket.on('data', (chunk: Buffer) => {
      for (const { type, bytes } of reader.read('to-client', chunk)) {
        if (type === 'R' && bytes.readInt32BE(5) === 3) socket.write(passwordMessage(target.password));
        session.toClient?.(bytes);
        if (type === 'Z' && bytes.toString('latin1', 5, 6) === 'I') session.idle();
      }
    });
    socket.write(startupMessage({ user: target.username, database: target.pathname.slice(1) }));
    await ready;
    return session;
  };

  const server = createServer((client) => {
    remember(client);
    const reader = new ProtocolReader();
    let mine: ServerSession | undefined;
    let queue = Promise.resolve();
    const release = () => {
      if (mine === undefined) return;
      mine.toClient = undefined;
      free.push(mine);
      mine = undefined;
    };
    const forward = async (bytes: Buffer) => {
      if (mine === undefined) {
        mine = free.pop() ?? (await open());
        mine.toClient = (message) => void client.write(message);
        mine.idle = options.mode === 'transaction' ? release : () => {};
      }
      mine.socket.write(bytes);
    };
    client.on('data', (chunk: Buffer) => {
      for (const { type, bytes } of reader.read('to-server', chunk)) {
        if (type === 'encryption-request') client.write('N');
        else if (type === 'startup' && options.startupOptions !== 'left out' && bytes.includes('options\0'))
          client.end(
            options.startupOptions === 'refused'
              ? fatalError('08P01', 'unsupported startup parameter: options')
              : fatalError('0A000', "RDS Proxy currently doesn't support command-line options."),
          );
        else if (type === 'startup') client.write(Buffer.concat([AUTHENTICATED, READY]));
        else if (type === 'X') client.end();
        else queue = queue.then(() => forward(bytes));
      }
    });
    client.on('close', () => mine?.socket.destroy());
  });
  const port = await listen(server);
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await closeServer(server);
  });
  return Object.assign(new URL(target), { port: String(port) }).toString();
}

const AUTHENTICATED = message('R', Buffer.alloc(4));
const READY = message('Z', Buffer.from('I'));

function message(type: string, body: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.write(type, 0, 'latin1');
  header.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([header, body]);
}

function passwordMessage(password: string): Buffer {
  return message('p', Buffer.from(`${decodeURIComponent(password)}\0`));
}

function startupMessage(parameters: Readonly<Record<string, string>>): Buffer {
  const body = Buffer.from(`${Object.entries(parameters).flat().join('\0')}\0\0`);
  const header = Buffer.alloc(8);
  header.writeInt32BE(8 + body.length, 0);
  header.writeInt32BE(196_608, 4);
  return Buffer.concat([header, body]);
}
