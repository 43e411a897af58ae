// The x509 library asks for it, and does not bring it.
import 'reflect-metadata';
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { userForPostgres } from '../../local/postgres/unprivileged-user.ts';
import { temporaryFolder } from './temporary-folder.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const HOUR = 3_600_000;

export interface ServerCertificate {
  /** Settings with which a server presents it. */
  readonly settings: Readonly<Record<string, string | boolean>>;
  /** The authority's own, as a PEM file. */
  readonly rootFile: string;
}

/** An authority of the test's own, and a certificate that it gave to a server of this name. */
export async function serverCertificate(name: string): Promise<ServerCertificate> {
  x509.cryptoProvider.set(crypto);
  const lifetime = { notBefore: new Date(Date.now() - HOUR), notAfter: new Date(Date.now() + HOUR) };
  const [authorityKeys, serverKeys] = [await newKeys(), await newKeys()];
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    ...lifetime,
    name: 'CN=authority of a test',
    keys: authorityKeys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const server = await x509.X509CertificateGenerator.create({
    ...lifetime,
    subject: `CN=${name}`,
    issuer: authority.subject,
    publicKey: serverKeys.publicKey,
    signingKey: authorityKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }])],
  });
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  const files = {
    root: join(folder, 'root.pem'),
    cert: join(folder, 'server.pem'),
    key: join(folder, 'server.key'),
  };
  writeFileSync(files.root, authority.toString('pem'));
  writeFileSync(files.cert, server.toString('pem'));
  writeFileSync(files.key, await privateKeyPem(serverKeys), { mode: 0o600 });
  // Postgres wants its key for itself alone.
  const user = userForPostgres();
  if (user !== undefined) chownSync(files.key, user.uid, user.gid);
  return {
    settings: { ssl: true, ssl_cert_file: files.cert, ssl_key_file: files.key },
    rootFile: files.root,
  };
}

async function newKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function privateKeyPem({ privateKey }: CryptoKeyPair): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY');
}
