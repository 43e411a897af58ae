import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { exhaustive } from '../../../support/exhaustive.ts';
import { createDatabase, freshDatabase } from '../../../support/fresh-database.ts';
import { queryOnce } from '../../../support/query-once.ts';
import { startServer } from '../../../support/start-server.ts';
import { scenarioOn } from '../../run/scenario.ts';
import { slowTable, turnOf } from './building.ts';

const PASSWORD = `it's "a" \\secret\\ pässword $1 ü`;

/** Everything that any row of the database says, the catalog included, except where Postgres keeps the password itself. */
async function everyRow(url: string): Promise<string> {
  const tables = await queryOnce<{ name: string }>(
    url,
    `select c.oid::regclass::text as name from pg_class c
      where c.relkind in ('r', 'v', 'm') and c.relpersistence <> 't'
        and c.oid::regclass::text not in ('pg_authid', 'pg_shadow', 'pg_settings', 'pg_statistic')
        and c.oid::regclass::text !~ '^(information_schema|pg_hba|pg_ident|pg_replication_origin)'`,
  );
  const texts: string[] = [];
  for (const { name } of tables) {
    const [row] = await queryOnce<{ text: string }>(
      url,
      `select string_agg(t::text, E'\\n') as text from ${name} t`,
    ).catch(() => []);
    texts.push(row?.text ?? '');
  }
  return texts.join('\n');
}

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

it('the password is in no query text, no log, no error, no row and no file of the server', async () => {
  const server = await startServer({
    settings: {
      log_statement: 'all',
      log_min_duration_statement: 0,
      log_connections: 'on',
      log_min_messages: 'debug1',
      log_error_verbosity: 'verbose',
      log_parameter_max_length: -1,
      log_parameter_max_length_on_error: -1,
      track_activity_query_size: 100_000,
      shared_preload_libraries: 'auto_explain',
      'auto_explain.log_min_duration': 0,
      'auto_explain.log_nested_statements': true,
      'auto_explain.log_verbose': true,
      'auto_explain.log_analyze': true,
    },
  });
  const database = await freshDatabase(server);
  await database.adminQuery('create extension dblink');
  // This statement itself is not to be logged.
  const quiet = new URL(database.adminUrl);
  quiet.searchParams.set(
    'options',
    '-c log_statement=none -c log_min_duration_statement=-1 -c log_min_messages=error -c auto_explain.log_min_duration=-1',
  );
  await queryOnce(quiet.href, `alter role ${database.owner} password '${PASSWORD.replaceAll("'", "''")}'`);
  const own = new URL(database.url);
  own.password = encodeURIComponent(PASSWORD);
  const scenario = scenarioOn(database, { url: own.href });
  const table = { '1_big.sql': slowTable({ seconds: 1 }) };
  await scenario.run(table);
  await scenario.run({
    ...table,
    '2_a.sql': 'create index concurrently big_slow on big (slow(x));',
    '3_b.sql': 'create unique index concurrently big_twice on big (slow(twice));',
  });

  const seen: string[] = [];
  let over = false;
  const watching = (async () => {
    while (!over) {
      const rows = await queryOnce(
        server.urlOf({ database: database.name }),
        `select a::text as row from pg_stat_activity a`,
      );
      seen.push(JSON.stringify(rows));
      await sleep(10);
    }
  })();
  const settled = await (async () => {
    await turnOf(database, { url: own.href, attachSeconds: 0 });
    return scenario.loop(table);
  })().finally(() => {
    over = true;
  });
  await watching;
  expect(settled.outcome).toBe('failed');

  const home = dirname(server.logFile);
  const log = await server.log();
  expect(log).toContain('supervise_build');
  expect(seen.join()).toContain('migrations supervisor 1');
  const spellings = [PASSWORD, 'pässword', encodeURIComponent(PASSWORD), 'p\\303\\244ssword'];
  const rows = await everyRow(server.urlOf({ database: database.name }));
  expect(rows).toContain('big_twice');
  for (const spelling of spellings) {
    expect(log.includes(spelling)).toBe(false);
    expect(seen.join('\n').includes(spelling)).toBe(false);
    expect(rows.includes(spelling)).toBe(false);
    expect(JSON.stringify(scenario.events).includes(spelling)).toBe(false);
    expect(settled.message.includes(spelling)).toBe(false);
  }
  await queryOnce(server.url, 'checkpoint');
  for (const file of await filesBelow(home)) {
    const bytes = await readFile(file).catch(() => Buffer.alloc(0));
    expect([file, bytes.includes('pässword')]).toEqual([file, false]);
  }
});

exhaustive.it('nor where the COPY that carries it fails', async () => {
  const server = await startServer({
    settings: { log_error_verbosity: 'verbose' },
  });
  const database = await freshDatabase(server);
  // As where the disk is full: COPY has read the row, and can't store it.
  await database.adminQuery(`create extension dblink;
create schema hurdle; grant usage on schema hurdle to public;
create function hurdle.refuse() returns trigger language plpgsql as
  'begin raise exception using errcode = ''53100'', message = ''could not extend file''; end';
create function hurdle.set_up() returns event_trigger language plpgsql as $$
begin
  if to_regclass('pg_temp.loopback_connection') is not null then
    create trigger refuse before insert on pg_temp.loopback_connection for each row execute function hurdle.refuse();
  end if;
end $$;
create event trigger hurdle on ddl_command_end when tag in ('CREATE TABLE') execute function hurdle.set_up()`);
  const scenario = scenarioOn(database);
  const table = { '1_big.sql': slowTable({ seconds: 0.5 }) };
  await scenario.run(table);
  const index = { ...table, '2_a.sql': 'create index concurrently big_slow on big (slow(x));' };
  expect(await scenario.deploy(index)).toEqual({ outcome: 'valid', message: '' });
  const log = await server.log();
  expect(log).toContain('COPY loopback_connection, line 1');
  // Of a line that it shows, Postgres shows the first 100 characters.
  expect(log).not.toMatch(/host='|user='|password='/);
  expect(JSON.stringify(scenario.events)).not.toContain(database.password);
});

exhaustive.it('a wrong password is in no error either', async () => {
  const database = await createDatabase();
  try {
    const url = new URL(database.url);
    url.password = 'wrong-secret';
    const error = await turnOf(database, { url: url.href }).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain('28P01');
    expect(JSON.stringify(error) + String(error) + String((error as Error).stack)).not.toContain(
      'wrong-secret',
    );
  } finally {
    await database.drop();
  }
});
