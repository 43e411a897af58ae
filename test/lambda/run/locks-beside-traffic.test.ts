import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { compileMigrations } from '../../../compiler/steps/compile-migrations.ts';
import { locksOf } from '../../../lambda/foresight/planned-locks.ts';
import { modesConflict } from '../../../lambda/migration/lock-modes.ts';
import {
  type CompiledMigrations,
  type Migration,
  statementsOf,
} from '../../../lambda/migration/migration.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseVersion } from '../../../lambda/migration/version.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { quoteRelation } from '../../../lambda/postgres/session/quote.ts';
import type { RunEvent } from '../../../lambda/run/run.ts';
import { runMigrations } from '../../../lambda/run/run-migrations.ts';
import { compileFiles } from '../../compiler/compile-text.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { createDatabase } from '../../support/fresh-database.ts';
import { connected, holdOpen, traffic, usedTables } from './traffic.ts';

/** What the application waits for a lock. An attempt of ours waits 100 ms; who queues for `lockTimeout` stops everybody for 5 s. */
const PATIENCE_MILLISECONDS = 800;
/** For so long after the first attempt the idle transaction still has the table. */
const HOLD_MILLISECONDS = 700;

const example = await compileMigrations(fileURLToPath(new URL('../../../migrations', import.meta.url)));

/** Rows for the example's tables, as soon as they are there. */
const EXAMPLE_ROWS: Readonly<Record<string, string>> = {
  users: `insert into users (email, display_name) select i || '@example.org', 'learner' from generate_series(1, 9) i`,
  messages: `insert into messages (user_id, role, content) select i, 'user', 'hello' from generate_series(1, 9) i`,
  saved_words: `insert into saved_words (user_id, language, word) select i, 'de', 'Wort' from generate_series(1, 9) i`,
  daily_stats: 'insert into daily_stats (user_id, day) select i, current_date from generate_series(1, 9) i',
};

/** The same steps, each in a file of its own, so that the database can stand right before any of them. */
function stepByStep({ migrations }: CompiledMigrations): Migration[] {
  const all = migrations.flatMap((migration) => migration.steps.map((step) => ({ migration, step })));
  return all.map(({ migration, step }, index) => {
    const version = parseVersion(String(index + 1));
    if (version === undefined) throw new TypeError('a number is a version');
    const name = `${migration.name} step ${step.number + 1}`;
    return { ...migration, version, name, file: name, checksum: `${index}`, steps: [{ ...step, number: 0 }] };
  });
}

const exampleSteps = stepByStep(example);

/** What a step locks that was there before it. */
function lockedBefore({ steps }: Migration) {
  return steps.flatMap((step) => {
    const created = statementsOf(step).flatMap(({ touches }) => touches.creates.map(({ name }) => name));
    return locksOf(step, true).filter(({ relation }) => !created.includes(relation.name));
  });
}

/** A view that nobody can read yet is filled, rows are written in batches: their tests are in work/turn. */
function isOfTheLoop({ steps }: Migration): boolean {
  return steps.some(
    (step) =>
      step.kind !== 'index-operation' &&
      (step.long?.operation === 'refresh' || step.long?.operation === 'backfill'),
  );
}

interface Deploy {
  readonly migrations: readonly Migration[];
  /** Beside each table that there is: an insert. */
  readonly rows: Readonly<Record<string, string>>;
  /** Milliseconds that the application waits for a lock. */
  readonly patience?: number;
}

/** Applies all but the last; then the last, with an idle transaction in its way and an application beside it. */
async function deployBesideTraffic({ migrations, rows, patience = PATIENCE_MILLISECONDS }: Deploy) {
  const last = migrations.at(-1);
  if (last === undefined) throw new TypeError('there has to be a migration');
  const database = await createDatabase();
  const events: RunEvent[] = [];
  const run = (some: readonly Migration[]) =>
    runMigrations({
      migrations: { ...example, checksum: `${some.length}`, migrations: some },
      target: parseConnectionUrl(database.url, 'The URL'),
      options: defaultOptions,
      cause: { kind: 'cloudformation', actor: 'Update of stack test' },
      deadline: Date.now() + 60_000,
      report: (event) => events.push(event),
    });
  const idle = await connected(database.url, 'forgotten');
  try {
    await run(migrations.slice(0, -1));
    for (const [table, insert] of Object.entries(rows)) {
      if ((await usedTables(idle, [table])).length > 0) await idle.query(insert);
    }
    const locks = lockedBefore(last);
    const tables = await usedTables(
      idle,
      locks.map(({ relation }) => quoteRelation(relation)),
    );
    const pid = await holdOpen(idle, tables);
    const end = await traffic(database.url, tables, patience);
    events.length = 0;
    let ended = false;
    const running = run(migrations).finally(() => {
      ended = true;
    });
    const locked = () => events.flatMap((event) => (event.kind === 'locked' ? [event] : []));
    await expectEventually(() => ended || locked().length > 0, { withinMilliseconds: 20_000 });
    const wentPast = ended;
    await sleep(wentPast ? 0 : HOLD_MILLISECONDS);
    const lockedMeanwhile = locked();
    await idle.query('commit');
    const { outcome } = await running;
    return { outcome, pid, wentPast, locked: lockedMeanwhile, noticed: await end(), tables, locks };
  } finally {
    await idle.end();
    await database.drop();
  }
}

type Deployed = Awaited<ReturnType<typeof deployBesideTraffic>>;

function expectNobodyWaited({ outcome, noticed }: Deployed): void {
  expect(outcome).toBe('done');
  for (const { failures, statements } of noticed) {
    expect(failures).toEqual([]);
    expect(statements).toBeGreaterThan(1);
  }
}

describe.concurrent('the application continues, though an idle transaction has the table, beside the example’s', () => {
  const needing = exampleSteps.filter(
    (migration) => lockedBefore(migration).length > 0 && !isOfTheLoop(migration),
  );

  it('every statement but those that make something new and lock nothing that is there, beyond reading it', () => {
    const others = exampleSteps.filter((each) => !needing.includes(each) && !isOfTheLoop(each));
    expect(others.map(({ name }) => name)).toEqual([
      '0001_users step 1',
      '0003_saved_words step 1',
      '0005_user_activity step 1',
      '0006_popular_words step 1',
    ]);
  });

  it.each(needing.map((migration) => [migration.name, exampleSteps.indexOf(migration)] as const))(
    '%s',
    async (_, index) => {
      const deployed = await deployBesideTraffic({
        migrations: exampleSteps.slice(0, index + 1),
        rows: EXAMPLE_ROWS,
      });
      expectNobodyWaited(deployed);
      const { tables, locks, wentPast, locked, pid } = deployed;
      expect(tables.length).toBeGreaterThan(0);
      const held = tables.some(({ column }) => column !== undefined) ? 'row exclusive' : 'access share';
      const blocked = locks.some(({ mode = 'access exclusive' }) => modesConflict(mode, held));
      expect(wentPast).toBe(!blocked);
      if (blocked) {
        // One attempt; from then on it only looks.
        expect(locked[0]).toMatchObject({ next: 'hold-back', attempt: 1 });
        expect(locked[0]?.blockers[0]?.pid).toBe(pid);
        expect(locked.filter(({ attempt }) => attempt > 1)).toEqual([]);
      }
    },
  );
});

describe.concurrent('the application continues, though an idle transaction has the table, beside', () => {
  const before = `create table customers (id int primary key, note text);
create table orders (customer_id int, id int primary key, total int, remark text);
create index orders_total on orders (total);
create function fire() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger fires before insert on orders for each row execute function fire();`;
  const rows = {
    customers: 'insert into customers select i from generate_series(1, 9) i',
    orders: 'insert into orders select i, i, i from generate_series(1, 9) i',
  };

  it.each([
    ['ADD COLUMN', 'alter table orders add column x int'],
    [
      'ADD COLUMN and a change of its type',
      'alter table orders add column x int; alter table orders alter x type bigint',
    ],
    ['DROP COLUMN', 'alter table orders drop column remark'],
    ['ALTER COLUMN TYPE, which rewrites the table', 'alter table orders alter column total type bigint'],
    [
      'a foreign key between two tables',
      'alter table orders add foreign key (customer_id) references customers',
    ],
    ['changes of two tables', 'alter table customers add column x int; alter table orders add column x int'],
    ['CREATE TRIGGER', 'create trigger tr before update on orders for each row execute function fire()'],
    ['DROP TRIGGER', 'drop trigger fires on orders'],
    ['DROP INDEX', 'drop index orders_total'],
    [
      'VALIDATE CONSTRAINT',
      'alter table orders add constraint positive check (total > 0) not valid; alter table orders validate constraint positive',
    ],
    ['DROP COLUMN in no transaction', '-- migrate: no-transaction\nalter table orders drop column remark'],
    ['VACUUM FULL', 'vacuum full orders'],
  ])('%s', async (_, sql) => {
    const { migrations } = await compileFiles({ '1_before.sql': before, '2_change.sql': sql });
    const deployed = await deployBesideTraffic({ migrations, rows });
    expectNobodyWaited(deployed);
    const [first] = deployed.locked;
    expect(first?.attempt).toBe(1);
    expect(first?.blockers[0]?.pid).toBe(deployed.pid);
  });

  it('an UPDATE of rows that it has locked: who writes the same rows waits for lockTimeout at the most', async () => {
    const sql = 'update orders set total = 0 where id > 1; update orders set total = 0 where id = 1';
    const { migrations } = await compileFiles({ '1_before.sql': before, '2_change.sql': sql });
    const patience = 5_000 + PATIENCE_MILLISECONDS;
    const deployed = await deployBesideTraffic({ migrations, rows, patience });
    expectNobodyWaited(deployed);
    expect(deployed.locked[0]?.blockers[0]?.pid).toBe(deployed.pid);
  });
});
