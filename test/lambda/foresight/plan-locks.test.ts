import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type Step, statementsOf } from '../../../lambda/migration/migration.ts';
import { plainStatement } from '../../../lambda/postgres/catalog/index-statement.ts';
import { freshOperator } from '../actions/operator.ts';
import { compile, type Files } from '../run/scenario.ts';

const example = new URL('../../../migrations/', import.meta.url);
const names = readdirSync(example).filter((name) => name.endsWith('.sql') && !name.endsWith('.down.sql'));
/** The shipped example, and what it has none of. */
const files: Files = {
  ...Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, example), 'utf8')])),
  '0090_more.sql': `alter table messages add column edited_at timestamptz;
alter table messages add constraint messages_role_check2 check (role <> '') not valid;
commit;
alter table messages validate constraint messages_role_check2;
commit;
alter table saved_words add constraint saved_words_owner foreign key (user_id) references users (id) not valid;
commit;
create index concurrently messages_role on messages (role);
drop index concurrently messages_role;
reindex table concurrently users;
commit;
update users set email = email;
commit;
truncate daily_stats;`,
};

/** As it runs where the table is small. */
function sqlOf(step: Step): readonly string[] {
  return step.kind === 'index-operation'
    ? [plainStatement(step.operation)]
    : statementsOf(step).map(({ text }) => text);
}

it('the plan names for each step of the example the locks that Postgres takes, on the tables that are there', async () => {
  const operator = await freshOperator();
  const client = await operator.session();
  const { migrations } = await compile(files);
  let compared = 0;
  for (const migration of migrations) {
    const { files: planned } = await operator.plan(files);
    // What the plan calls new is nobody's yet.
    const { rows: before } = await client.query<{ oid: number }>('select oid from pg_class');
    const steps = planned.find(({ version }) => version === migration.version)?.steps ?? [];
    for (const step of migration.steps) {
      const claimed = (steps[step.number]?.tables ?? []).filter(
        ({ isNew, lock }) => !isNew && lock !== undefined,
      );
      await client.query('begin');
      for (const sql of sqlOf(step)) await client.query(sql);
      const { rows } = await client.query<{ table: string; mode: string }>(
        `select coalesce(i.indrelid, c.oid)::regclass::text as table,
                lower(regexp_replace(replace(mode, 'Lock', ''), '(.)([A-Z])', '\\1 \\2', 'g')) as mode
           from pg_locks l join pg_class c on c.oid = l.relation left join pg_index i on i.indexrelid = c.oid
          where l.pid = pg_backend_pid() and c.relnamespace = 'public'::regnamespace and c.oid = any ($1)`,
        [before.map(({ oid }) => oid)],
      );
      await client.query('commit');
      for (const { table, lock } of claimed) {
        const name = table.replace(/^public\./, '');
        const taken = rows.filter((row) => row.table === name).map(({ mode }) => mode);
        expect(taken, `${migration.file} step ${step.number + 1}: ${name}`).toContain(lock);
        compared += 1;
      }
      const strong = rows.filter(({ mode }) => /share row exclusive|^share$|access exclusive/.test(mode));
      expect(
        claimed.map(({ table }) => table.replace(/^public\./, '')),
        `${migration.file} step ${step.number + 1}`,
      ).toEqual(expect.arrayContaining([...new Set(strong.map(({ table }) => table))]));
    }
    await operator.act({ action: 'baseline', version: migration.version, confirm: true }, files);
  }
  expect(compared).toBeGreaterThan(15);
});
