import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { FreshDatabase } from '../../support/fresh-database.ts';
import { largeTable, type Scenario } from './scenario.ts';

/** The limits of docs/limits.md. */
const LIMITS = [
  'statement_timeout',
  'lock_timeout',
  'transaction_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'client_connection_check_interval',
] as const;

/** Limits that a role brings, and a database other ones: each would end what takes its time, or never end a wait. */
export async function hostileLimits(
  { name, owner, adminQuery }: FreshDatabase,
  major: number,
): Promise<void> {
  await adminQuery(`alter role ${owner} set statement_timeout = '400ms'; alter role ${owner} set lock_timeout = 0;
    alter database ${name} set idle_in_transaction_session_timeout = '300ms';
    alter role ${owner} set idle_session_timeout = '2s'`);
  if (major >= 17) await adminQuery(`alter database ${name} set transaction_timeout = '500ms'`);
}

/** Writes down the limits of whatever session runs DDL, or writes to the ledger's builds. */
const WITNESS = `create schema witness;
create table witness.limits (application text, doing text, settings jsonb);
grant usage on schema witness to public;
create function witness.look(doing text) returns void language sql security definer set search_path = pg_catalog as $$
  insert into witness.limits select current_setting('application_name'), doing,
    (select jsonb_object_agg(name, setting) from pg_settings where name in (${LIMITS.map((name) => `'${name}'`).join(', ')})) $$;
create function witness.ddl() returns event_trigger language plpgsql as $$ begin perform witness.look(tg_tag); end $$;
create function witness.row() returns trigger language plpgsql as $$
  begin perform witness.look(tg_table_name); return new; end $$;
create event trigger SAW on ddl_command_start when tag in ('CREATE INDEX', 'DROP INDEX', 'ALTER INDEX', 'CREATE VIEW')
  execute function witness.ddl();`;

/** Lines of a table in a Markdown page: cells by column, by the first cell. */
function documented(): Record<string, Record<string, string>> {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/limits.md'), 'utf8');
  const [head = [], , ...lines] = page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  return Object.fromEntries(
    lines.map(([name = '', ...cells]) => [
      (/`(\w+)`/.exec(name) ?? [])[1] ?? name,
      Object.fromEntries(cells.map((cell, index) => [head[index + 1] ?? '', cell])),
    ]),
  );
}

/** Looks at a session of each kind, in a database whose role and settings bring other limits. */
export async function limitsAsDocumented(scenario: Scenario, major: number): Promise<void> {
  const { database } = scenario;
  await scenario.run({ '1_large.sql': largeTable('large') });
  await hostileLimits(database, major);
  await database.adminQuery(WITNESS.replace('SAW', 'saw'));
  await database.adminQuery(`create trigger saw after update on migrations.work
    for each row execute function witness.row()`);
  const files = {
    '1_large.sql': largeTable('large'),
    '2_build.sql': `create view other as select 1; create index concurrently large_x on large (x desc);`,
    '3_unique.sql': 'create unique index concurrently large_unique on large ((x / 2));',
  };
  await scenario.run(files, { lockTimeoutSeconds: 7, deadline: Date.now() + 100_000 });
  await scenario.loop(files, { dataCheckSeconds: 0 });
  const rows = await database.adminQuery<{
    application: string;
    doing: string;
    settings: Record<string, string>;
  }>('select distinct * from witness.limits');
  const seen = (application: RegExp, doing: string) => {
    const found = rows.find((row) => application.test(row.application) && row.doing === doing);
    if (found === undefined)
      throw new Error(`Nobody saw ${application} do ${doing}: ${JSON.stringify(rows)}`);
    return found.settings;
  };
  const sessions = {
    'a run, an action': seen(/^cdk-postgres/, 'CREATE VIEW'),
    'a turn': seen(/^cdk-postgres/, 'work'),
    'a build session': seen(/ build \d+$/, 'CREATE INDEX'),
    'its supervisor': seen(/ supervisor \d+$/, 'work'),
  };
  const page = documented();
  const server = await database.adminQuery<{ interval: string }>(
    `select setting as interval from pg_settings where name = 'client_connection_check_interval'`,
  );
  for (const [session, settings] of Object.entries(sessions)) {
    for (const name of LIMITS) {
      if (name === 'transaction_timeout' && major < 17) continue;
      const said = page[name]?.[session] ?? '';
      const is = Number(settings[name]);
      const what = `${name} of ${session}: ${said}`;
      if (/^0(?:;|$)/.test(said)) expect(is, what).toBe(0);
      else if (/^[\d.]+ s/.test(said)) expect(is, what).toBe(Number.parseFloat(said) * 1000);
      else if (said === "the server's") expect(is, what).toBe(Number(server[0]?.interval));
      else if (name === 'lock_timeout') expect(is, what).toBeLessThanOrEqual(7_000);
      else expect(said, what).toMatch(/what is left of the function's time/);
      if (name === 'statement_timeout' && session === 'a run, an action') {
        expect(is, what).toBeGreaterThan(50_000);
        expect(is, what).toBeLessThanOrEqual(100_000);
      }
      if (name === 'lock_timeout' && session === 'a run, an action') expect(is, what).toBeGreaterThan(0);
    }
  }
}
