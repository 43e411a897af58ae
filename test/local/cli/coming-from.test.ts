import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileLinted } from '../../../compiler/lint/lint-migrations.ts';
import type { LayoutName } from '../../../lambda/migration/layout.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { runMigrations } from '../../../lambda/run/run-migrations.ts';
import { freshDatabase } from '../../support/fresh-database.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { migrate } from './command-line.ts';

/** docs/coming-from.md has a section for each tool, and in it three commands: they are executed here as they stand. */
const page = readFileSync(new URL('../../../docs/coming-from.md', import.meta.url), 'utf8');
const [, tools = ''] = page.split('\n## Each tool\n');
const sections = (tools.split('\n## ')[0] ?? '')
  .split('\n### ')
  .slice(1)
  .map((text) => {
    const [name = ''] = text.split('\n');
    const [, block = ''] = /```sh\n([\s\S]*?)```/.exec(text) ?? [];
    return { name, lines: block.trim().split('\n') };
  });

/** Written by the tools themselves, the first of three migrations applied. */
const FIXTURES = join(import.meta.dirname, '../../lambda/history/fixtures');

it('each tool of the table has its section, with three commands', () => {
  const named = [...tools.matchAll(/^\| \[([^\]]+)\]\(#/gm)].map(([, name]) => name);
  expect(sections.map(({ name }) => name)).toEqual(named);
  for (const { name, lines } of sections) {
    // Alembic's script is written first.
    expect(lines).toHaveLength(name === 'Alembic' ? 4 : 3);
  }
});

describe.each(sections)('$name', ({ name, lines }) => {
  it('look, adopt, deploy', async () => {
    const fixture = join(FIXTURES, name.toLowerCase());
    const { folder } = JSON.parse(readFileSync(join(fixture, 'history.json'), 'utf8')) as { folder: string };
    const [look = '', adopt = '', deploy = ''] = lines.slice(-3);
    const words = (line: string) => (line.split('#')[0] ?? '').trim().split(/\s+/);
    const cwd = temporaryFolder();
    const dir = /--dir (\S+)/.exec(look)?.[1] ?? '';
    cpSync(join(fixture, 'home', folder), join(cwd, dir), { recursive: true });
    const database = await freshDatabase();
    await database.query('create table a (id int)');
    await database.query(readFileSync(join(fixture, 'history.sql'), 'utf8'));
    const env = { DATABASE_URL: database.url };

    const [npx, command, ...plan] = words(look);
    expect([npx, command]).toEqual(['npx', 'cdk-postgres-migrations']);
    const planned = await migrate(plan, env, cwd);
    // Something is pending.
    expect([planned.code, planned.stderr]).toEqual([3, '']);
    expect(planned.stdout).toContain("1 migration of another tool's history will be taken over as applied: ");
    expect(await database.query("select from pg_namespace where nspname = 'migrations'")).toEqual([]);

    const adopted = await migrate(words(adopt).slice(2), env, cwd);
    expect([adopted.code, adopted.stderr]).toEqual([0, '']);
    const states = await database.query<{ state: string }>(
      'select distinct on (position) state from migrations.step order by position',
    );
    expect(states.map(({ state }) => state)).toEqual(['baselined', 'applied', 'applied']);

    expect(words(deploy)).toEqual(['cdk', 'deploy']);
    const [, migrations = ''] = /migrations: '([^']+)'/.exec(deploy) ?? [];
    const layout = /layout: '([^']+)'/.exec(deploy)?.[1] as LayoutName | undefined;
    expect(migrations).toBe(dir);
    const deployed = await runMigrations({
      migrations: compileLinted(join(cwd, migrations), { layout }),
      target: parseConnectionUrl(database.url, 'The URL'),
      options: defaultOptions,
      cause: { kind: 'cloudformation', actor: 'Update of stack test' },
      deadline: undefined,
      report: () => undefined,
    });
    expect(deployed.applied).toEqual([]);
  });
});
