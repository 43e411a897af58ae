import { execFile } from 'node:child_process';
import { chown, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import type { EmbeddedPostgres } from '../../local/postgres/embedded-postgres.ts';
import { freePort } from '../../local/postgres/free-port.ts';
import {
  chosenBinaries,
  prepareBinaries,
  removeScratch,
  scratchDirectory,
} from '../../local/postgres/postgres-binaries.ts';
import { PostgresServer } from '../../local/postgres/postgres-server.ts';
import { guardServer } from '../../local/postgres/process-guard.ts';
import { userForPostgres } from '../../local/postgres/unprivileged-user.ts';
import { withClient } from './query-once.ts';

/**
 * A streaming replica of a server, made as pg_basebackup makes one, which is not among the embedded binaries: the files
 * are copied between the beginning and the end of a backup. Returns its URL; it ends with the test.
 */
export async function startReplica(primary: EmbeddedPostgres): Promise<string> {
  const user = userForPostgres();
  const scratch = await scratchDirectory(user);
  const dataDirectory = join(scratch, 'data');
  const guard = guardServer(join(dataDirectory, 'postmaster.pid'), scratch);
  const binaries = await prepareBinaries(chosenBinaries(), user, scratch);
  const [begin, end] =
    primary.major >= 15
      ? ["pg_backup_start('replica', true)", 'pg_backup_stop(false)']
      : ["pg_start_backup('replica', true, false)", 'pg_stop_backup(false, false)'];
  const label = await withClient(primary.url, async (client) => {
    const { rows } = await client.query<{ data_directory: string }>('show data_directory');
    await client.query(`select ${begin}`);
    await promisify(execFile)('cp', ['-a', String(rows[0]?.data_directory), dataDirectory]).catch(
      () => undefined,
    );
    return (
      (await client.query<{ labelfile: string }>(`select labelfile from ${end}`)).rows[0]?.labelfile ?? ''
    );
  });
  for (const file of ['postmaster.pid', 'postmaster.opts'])
    await rm(join(dataDirectory, file), { force: true });
  for (const [file, text] of [
    ['backup_label', label],
    ['standby.signal', ''],
  ] as const) {
    await writeFile(join(dataDirectory, file), text);
    if (user !== undefined) await chown(join(dataDirectory, file), user.uid, user.gid);
  }
  const server = new PostgresServer(
    { binaries, user, dataDirectory, logFile: join(scratch, 'replica.log') },
    {
      port: await freePort(),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: false,
      wal_receiver_status_interval: '1s',
      primary_conninfo: `host=${primary.host} port=${primary.port} user=${primary.user} password=${primary.password}`,
    },
  );
  onTestFinished(async () => {
    await server.halt('immediate');
    guard.dismiss();
    await removeScratch(scratch);
  });
  await server.start();
  const url = new URL(primary.url);
  url.host = `127.0.0.1:${server.port}`;
  return url.href;
}
