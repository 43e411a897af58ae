import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileMigrations } from '../compiler/steps/compile-migrations.ts';
import { defaultOptions } from '../lambda/migration/options.ts';
import { parseConnectionUrl } from '../lambda/postgres/session/connection-target.ts';
import type { RunRequest } from '../lambda/run/run.ts';
import { query } from './bench-database.ts';

export const INDEX = 'messages_user_created';
export const DEFINITION = 'on messages (user_id, created_at desc)';

/** An application's table, analysed, with all pages visible. */
export async function fillMessages(url: string, rows: number): Promise<void> {
  await query(
    url,
    `create table messages (id bigint generated always as identity primary key, user_id int not null,
       role text not null, body text not null, created_at timestamptz not null);
     insert into messages (user_id, role, body, created_at)
     select (random() * ${rows / 50})::int, case i % 2 when 0 then 'user' else 'assistant' end,
            repeat(md5(i::text), 4), timestamptz '2026-01-01' + i * interval '7 seconds'
       from generate_series(1, ${rows}) i`,
  );
  await query(url, 'vacuum (analyze) messages');
  await query(url, 'checkpoint');
}

/** A deploy of files, by name. */
export async function deployOf(url: string, files: Readonly<Record<string, string>>): Promise<RunRequest> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    return {
      migrations: await compileMigrations(directory),
      target: parseConnectionUrl(url, 'The URL'),
      options: defaultOptions,
      cause: { kind: 'command line', actor: 'bench' },
      deadline: undefined,
      report: () => {},
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
