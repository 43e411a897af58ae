import { expect } from 'vitest';
import { defaultOptions } from '../../../../lambda/migration/options.ts';
import { tablesWithBuilds } from '../../../../lambda/postgres/ledger/build-queue.ts';
import { withSession } from '../../../../lambda/postgres/session/connect.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { resume } from '../../../../lambda/run/resume.ts';
import { takeTurn } from '../../../../lambda/work/turn/turn.ts';
import {
  compile,
  type Files,
  freshScenario,
  largeTable,
  type Scenario,
  SMALL_TABLE_ROWS,
} from '../../run/scenario.ts';

/** The function that runs all of it has this long; what is deployed takes ten seconds. */
const LIFE_MILLISECONDS = 6_000;

/** What every turn is asked; it soon lets go. */
export async function askedOf(scenario: Scenario, files: Files) {
  return {
    migrations: await compile(files),
    target: parseConnectionUrl(scenario.database.url, 'The URL'),
    options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS, attachSeconds: 1 },
    report: () => {},
  };
}

/** A deploy by a function whose time ends again and again. Returns how many turns it took. */
async function deployInShortLives(scenario: Scenario, files: Files): Promise<number> {
  const asked = await askedOf(scenario, files);
  const deadline = (): number => Date.now() + LIFE_MILLISECONDS;
  await scenario.run(files, { deadline: deadline() });
  let turns = 0;
  for (;;) {
    const tables = await withSession(asked.target, (session) => tablesWithBuilds(session, 'migrations'));
    for (const table of tables) {
      for (let turn = 1; ; turn += 1) {
        const { outcome, waitSeconds } = await takeTurn({ ...asked, table, turn, deadline: deadline() });
        turns += 1;
        if (outcome === 'done') break;
        await new Promise((resolve) => setTimeout(resolve, Math.min(waitSeconds, 2) * 1000));
      }
    }
    const resumed = await resume({
      ...asked,
      deadline: deadline(),
      cause: { kind: 'loop', actor: 'test' },
    });
    if (resumed.outcome === 'settled') return turns;
  }
}

/** 500 rows, 20 ms each. */
const slow: Files = {
  '1_messages.sql': largeTable('messages'),
  '2_slow.sql': `create function slow(x int) returns int language plpgsql immutable as
  $$ begin perform pg_sleep(0.02); return x; end $$;`,
};

/** What takes long, and what the ledger says of it in the end. */
export const longOnes = {
  'a validation': [
    `alter table messages add constraint slow check (slow(x) > 0) not valid;
alter table messages validate constraint slow;`,
    'validate messages slow done',
  ],
  'a refresh': [
    `create materialized view seen as select slow(x) as x from messages with no data;
refresh materialized view seen;`,
    'refresh seen  done',
  ],
  upkeep: [
    `create statistics slowly on (slow(x)), id from messages;
commit;
analyze messages;`,
    'analyze messages  done',
  ],
  'any statement': [
    `-- migrate: allow unbounded-write tried here
-- migrate: hand-off
update messages set x = slow(x);`,
    'statement messages 3_long.sql:3 done',
  ],
} as const;

/** Deploys what takes longer than the function lives. */
export async function deployLongOne(name: keyof typeof longOnes): Promise<void> {
  const scenario = await freshScenario({ dblink: true });
  const [sql, expected] = longOnes[name];
  await scenario.deploy(slow);
  // The turns let go of it, and do not stay to its end.
  expect(await deployInShortLives(scenario, { ...slow, '3_long.sql': sql })).toBeGreaterThan(1);
  const rows = await scenario.query<{ line: string }>(
    `select format('%s %s %s %s', operation, table_name, index_name, state) as line from migrations.work order by id`,
  );
  expect(rows.at(-1)?.line).toBe(expected);
  expect((await scenario.steps()).every((line) => line.endsWith('applied'))).toBe(true);
}
