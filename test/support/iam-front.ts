import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { closeServer, listen } from '../../local/aws/listen.ts';
import { fatalError, ProtocolReader } from '../../local/wire/protocol-messages.ts';
import { serverCertificate } from './certificates.ts';

/** Whose tokens are good. */
export interface Signing {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

export interface IamFront {
  readonly port: number;
  /** The authority of its certificate, as a PEM file. */
  readonly rootFile: string;
  /** Every password that a client has sent, in order. */
  readonly tokens: readonly string[];
}

/**
 * In front of a real server, what RDS does for IAM authentication: TLS or nothing, the password in clear text, and that
 * is a token, whose signature, user, address and time are checked. The server behind asks for `target`'s password.
 */
export async function startIamFront(target: string, signing: Signing): Promise<IamFront> {
  const { hostname, port: targetPort, username, password } = new URL(target);
  const { settings, rootFile } = await serverCertificate('localhost');
  const [cert, key] = [settings.ssl_cert_file, settings.ssl_key_file].map((file) =>
    readFileSync(String(file)),
  );
  const tokens: string[] = [];
  const sockets = new Set<Socket>();
  const remember = <S extends Socket>(socket: S): S => {
    sockets.add(socket);
    socket.on('error', () => {});
    return socket;
  };

  const server = createServer((raw) => {
    remember(raw).once('data', () => {
      raw.write('S');
      const client = remember(new TLSSocket(raw, { isServer: true, cert, key }));
      const upstream = remember(connect(Number(targetPort), hostname));
      const reader = new ProtocolReader();
      client.on('data', (chunk: Buffer) => {
        for (const { type, bytes } of reader.read('to-server', chunk)) {
          if (type !== 'p') upstream.write(bytes);
          else {
            const token = bytes.toString('utf8', 5, bytes.length - 1);
            tokens.push(token);
            const user = decodeURIComponent(username);
            if (isGood(token, { ...signing, address: `localhost:${port}`, user }))
              upstream.write(passwordMessage(decodeURIComponent(password)));
            else client.end(fatalError('28000', `PAM authentication failed for user "${user}"`));
          }
        }
      });
      upstream.on('data', (chunk: Buffer) => client.write(chunk));
      upstream.on('close', () => client.end());
      client.on('close', () => upstream.destroy());
    });
  });
  const port = await listen(server);
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await closeServer(server);
  });
  return { port, rootFile, tokens };
}

const FIFTEEN_MINUTES = 900_000;

/** By the letter of AWS Signature Version 4, and with nothing of the SDK's. */
function isGood(
  token: string,
  wanted: Signing & { readonly address: string; readonly user: string },
): boolean {
  const url = new URL(`https://${token}`);
  const query = Object.fromEntries(url.searchParams);
  const time = query['X-Amz-Date'] ?? '';
  const scope = `${time.slice(0, 8)}/${wanted.region}/rds-db/aws4_request`;
  const { 'X-Amz-Signature': signature, ...signed } = query;
  const encode = (text: string) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const canonicalQuery = Object.entries(signed)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  const request = ['GET', '/', canonicalQuery, `host:${wanted.address}`, '', 'host', sha256('')].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(request)].join('\n');
  const signingKey = scope
    .split('/')
    .reduce<string | Buffer>((key, part) => hmac(key, part), `AWS4${wanted.secretAccessKey}`);
  const signedAt = Date.parse(
    time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'),
  );
  return (
    url.host === wanted.address &&
    query.Action === 'connect' &&
    query.DBUser === wanted.user &&
    query['X-Amz-Credential'] === `${wanted.accessKeyId}/${scope}` &&
    Math.abs(Date.now() - signedAt) < FIFTEEN_MINUTES &&
    signature === hmac(signingKey, toSign).toString('hex')
  );
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

function passwordMessage(password: string): Buffer {
  const body = Buffer.from(`${password}\0`);
  const header = Buffer.alloc(5);
  header.write('p', 0, 'latin1');
  header.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([header, body]);
}
