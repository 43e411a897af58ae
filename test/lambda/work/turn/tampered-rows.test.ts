import { describe, expect, it, onTestFinished } from 'vitest';
import { compile, freshScenario, type Scenario } from '../../run/scenario.ts';
import { turnOf } from './building.ts';
import { tables, work } from './work-of-each-kind.ts';

/** What somebody who can write the ledger makes of a column, and of the statement, so that it fits. */
interface Tampering {
  readonly set: string;
  readonly where?: string;
  /** @default "the ledger's row of this build does not match what 2_work.sql says, so it was not executed" */
  readonly message?: string;
  /** Others that end with them, or wait for them. */
  readonly drags?: readonly string[];
}

const inStatement = (from: string, to: string) => `statement = replace(statement, '"${from}"', '"${to}"')`;
const unknown =
  'the deployed code does not know 2_work.sql as it was handed off, and others may have changed it in the ledger, so it was not executed';

/** Columns that decide what is executed, looked at or dropped: compared with the code, or derived from it. */
const COMPARED: Readonly<Record<string, readonly Tampering[]>> = {
  version: [{ set: `version = '1'`, message: unknown }],
  step: [{ set: 'step = step + 100', message: unknown }],
  operation: [
    { set: `operation = 'vacuum'`, where: `operation <> 'vacuum'` },
    { set: `operation = 'drop'`, where: `operation <> 'drop'` },
  ],
  schema_name: [
    {
      set: `schema_name = 'elsewhere', ${inStatement('public', 'elsewhere')}`,
      where: `operation <> 'statement'`,
    },
  ],
  table_name: [
    {
      set: `table_name = 'other', ${inStatement('large', 'other')}`,
      where: `table_name = 'large' and operation <> 'statement'`,
    },
    { set: `table_name = 'other', ${inStatement('parted', 'other')}`, where: `table_name = 'parted'` },
    {
      set: `table_name = 'other'`,
      where: `table_name <> 'large' and operation not in ('create', 'statement')`,
    },
  ],
  index_name: [
    {
      set: `index_name = 'other_x', statement = replace(statement, pg_catalog.quote_ident(index_name), 'other_x')`,
      where: `operation not in ('create', 'statement')`,
    },
    {
      set: `index_name = 'other_x', statement = regexp_replace(statement, 'concurrently "[^"]*"', 'concurrently "other_x"')`,
      where: `operation in ('create', 'drop', 'reindex')`,
    },
    {
      set: `index_name = '', statement = replace(statement, 'index concurrently "public"."large_pkey"', 'table concurrently "public"."large"')`,
      where: `operation = 'reindex'`,
    },
  ],
  is_unique: [
    { set: 'is_unique = not is_unique', where: `operation <> 'create'` },
    {
      set: `is_unique = true, statement = replace(statement, 'create index', 'create unique index')`,
      where: `operation = 'create' and not is_unique`,
    },
  ],
  statement: [
    { set: `statement = 'create table hacked ()'` },
    { set: `statement = statement || '; create table hacked ()'` },
  ],
  definition: [
    {
      set: `definition = '(id)', statement = replace(statement, '(x)', '(id)')`,
      where: `operation = 'create' and definition <> '(id)' and not is_unique`,
    },
    { set: `definition = '(x)'`, where: `operation not in ('create', 'backfill')` },
  ],
  settings: [
    { set: `settings = settings || 'create table hacked ()'::text` },
    { set: `settings = '{}'` },
    { set: `settings = '{set search_path = elsewhere}'` },
  ],
  partitioned: [{ set: 'partitioned = not partitioned' }],
  parent_build: [
    {
      set: `parent_build = (select w.id from migrations.work w where w.index_name = 'p')`,
      where: `index_name <> 'p'`,
      drags: ['create p'],
    },
  ],
};

/** Columns by which only less can be done, or later, or more often; or that people read. docs/security.md says so of each. */
const HARMLESS: Readonly<Record<string, readonly string[]>> = {
  id: ['id = default'],
  run_id: ['run_id = pg_catalog.gen_random_uuid()'],
  file: [`file = 'x; create table hacked ()'`],
  line: ['line = -1'],
  replaces: [`replaces = '{}'`, `replaces = array['other_x'::regclass::oid]`],
  state: [`state = 'building'`, `state = 'failed'`, `state = 'done'`, `state = 'paused'`],
  attempts: ['attempts = 2', 'attempts = 99', 'attempts = -5'],
  turns: ['turns = 100'],
  session: [`session = 'orphan'`, `session = 'attached', state = 'building', attempts = 1`],
  supervisor_pid: ['supervisor_pid = 1'],
  builder_pid: ['builder_pid = 1'],
  requested_at: [`requested_at = 'infinity'`],
  first_started_at: [`first_started_at = 'epoch'`],
  started_at: [`started_at = 'epoch', state = 'building', attempts = 1`],
  finished_at: [`finished_at = 'epoch'`],
  attempt_outcome: [
    `attempt_outcome = '{"kind": "succeeded"}'`,
    `attempt_outcome = '{"kind": "failed", "fault": {"sqlstate": "23505", "message": "x"}}', state = 'building', attempts = 1`,
    `attempt_outcome = '{"kind": "failed", "fault": {"sqlstate": "57014", "message": "x"}}', state = 'building', attempts = 1`,
  ],
  fault: [`fault = '{"sqlstate": "23505", "message": "x"}'`],
  adopted: ['adopted = true'],
  table_rows: ['table_rows = 1'],
  table_bytes: ['table_bytes = 1'],
  seen_at: [`seen_at = 'epoch', state = 'building', session = 'orphan', attempts = 1`],
  waits_since: [`waits_since = 'epoch'`],
  blocker: [`blocker = 'x', blocker_since = 'epoch', waits_since = 'epoch'`],
  blocker_since: [`blocker_since = 'epoch'`],
};

/** All of it handed off; and somebody may update the ledger. */
async function handedOff(): Promise<Scenario> {
  const scenario = await freshScenario({ dblink: true });
  await scenario.run(tables);
  // What a build is drawn to: tables of the same names, and what dead builds of the same names would have left.
  await scenario.query(`create schema elsewhere;
create table elsewhere.large (id int primary key, x int); insert into elsewhere.large values (1, 1), (2, 1);
create table elsewhere.parted (id int, x int);
create table elsewhere.heap (id int primary key, x int, y int); insert into elsewhere.heap values (1, 1);
create index large_old on elsewhere.large (x);
create table elsewhere.lines (id int, x int) partition by range (id);
create table elsewhere.lines_a partition of elsewhere.lines for values from (0) to (1000);
create materialized view elsewhere.seen as select 1 as x with no data;
create domain elsewhere.number as int;
create table other (id int primary key, x int); insert into other values (1, 1), (2, 1);
create index other_x on other (x);
alter table other add constraint positive check (x > 0) not valid`);
  for (const left of ['i on elsewhere.large', 'u on elsewhere.large', 'large_pkey_ccnew on other'])
    await scenario.query(`create unique index concurrently ${left} (x)`).catch(() => undefined);
  await scenario.run(work);
  const app = scenario.database.owner.replace('owner', 'app');
  await scenario.database.adminQuery(`create role ${app}; grant update on migrations.work to ${app}`);
  onTestFinished(async () => {
    await scenario.database.adminQuery(`drop owned by ${app}; drop role ${app}`);
  });
  return scenario;
}

/** Whatever a build could change, as a line each. */
async function everything({ query }: Scenario): Promise<string[]> {
  const ours = `in ('public'::regnamespace, 'elsewhere'::regnamespace)`;
  const rows = await query<{ line: string }>(`
select concat_ws(' ', 'table', c.oid::regclass, c.relkind, c.relispopulated, obj_description(c.oid, 'pg_class')) as line
  from pg_class c where c.relkind in ('r', 'm', 'p') and c.relnamespace ${ours}
union all select concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid)
  from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace ${ours}
union all select concat_ws(' ', 'constraint', conname, conrelid::regclass, contypid::regtype, convalidated)
  from pg_constraint where connamespace ${ours}
union all select concat_ws(' ', 'partition', inhrelid::regclass, inhparent::regclass, inhdetachpending) from pg_inherits
union all select 'filled ' || count(y) || ' of ' || sum(y) from heap
union all select 'filled elsewhere ' || count(y) from elsewhere.heap`);
  return rows.map(({ line }) => line).sort();
}

/** So many turns of each table, one after the other. */
async function turns({ database, query }: Scenario, most = 8): Promise<void> {
  const migrations = await compile(work);
  for (let turn = 0; turn < most; turn += 1) {
    const open = await query<{ schema: string; table: string }>(
      `select distinct schema_name as schema, table_name as table from migrations.work
        where state in ('pending', 'building') order by 1, 2`,
    );
    if (open.length === 0) return;
    for (const each of open)
      await turnOf(database, { ...each, migrations, attachSeconds: 2, dataCheckSeconds: 0 });
  }
}

/** What is there before the work and after it, where nobody has changed the ledger. */
async function asItShouldBe(): Promise<{ readonly before: string[]; readonly after: string[] }> {
  const scenario = await handedOff();
  const before = await everything(scenario);
  await turns(scenario);
  return { before, after: await everything(scenario) };
}
let known: ReturnType<typeof asItShouldBe> | undefined;

/** Each thing is as it was, or as the work makes it: nothing else was done. */
async function expectNothingElse(scenario: Scenario): Promise<void> {
  known ??= asItShouldBe();
  const { before, after } = await known;
  const found = await everything(scenario);
  expect(found.filter((line) => !before.includes(line) && !after.includes(line))).toEqual([]);
  expect(before.filter((line) => after.includes(line) && !found.includes(line))).toEqual([]);
}

/** Returns the builds of which the ledger now says it. */
async function tamper({ database }: Scenario, { set, where = 'true' }: Tampering): Promise<string[]> {
  const rows = await database.adminQuery<{ id: string }>(
    `update migrations.work set ${set} where ${where} returning id`,
  );
  return rows.map(({ id }) => id);
}

const statesOf = ({ query }: Scenario) =>
  query<{ id: string; name: string; state: string; message: string | null }>(
    `select id, operation || ' ' || index_name as name, state, fault ->> 'message' as message
       from migrations.work where parent_build is null or state <> 'done' order by id`,
  );

it('each column of a build is judged', async () => {
  const { query } = await handedOff();
  const columns = await query<{ name: string }>(
    `select attname as name from pg_attribute
      where attrelid = 'migrations.work'::regclass and attnum > 0 and not attisdropped`,
  );
  expect([...Object.keys(COMPARED), ...Object.keys(HARMLESS)].sort()).toEqual(
    columns.map(({ name }) => name).sort(),
  );
});

describe('a build is refused, and nothing of it is executed or dropped, where the ledger is made to say', () => {
  const cases = Object.values(COMPARED).flat();

  it.each(cases)('$set $where', async (tampering) => {
    const scenario = await handedOff();
    const tampered = await tamper(scenario, tampering);
    expect(tampered).not.toEqual([]);
    await turns(scenario);
    for (const { id, name, state, message } of await statesOf(scenario)) {
      if (tampered.includes(id))
        expect([name, state, message]).toEqual([
          name,
          'failed',
          tampering.message ??
            "the ledger's row of this build does not match what 2_work.sql says, so it was not executed",
        ]);
      else if (!tampering.drags?.includes(name)) expect([name, state]).toEqual([name, 'done']);
    }
    await expectNothingElse(scenario);
  });
});

describe('nothing else is done than what the code has compiled where the ledger is made to say', () => {
  it.each(Object.values(HARMLESS).flat())('%s', async (set) => {
    const scenario = await handedOff();
    expect(await tamper(scenario, { set })).not.toEqual([]);
    await turns(scenario, 3);
    await expectNothingElse(scenario);
  });
});

describe('a row that this code could not have written is not acted on, and the error says which column', () => {
  it.each([
    ['operation', `operation = 'hack'`, 'operation was to be ("create" | "drop"'],
    ['blocker', `blocker = 'x'`, 'waiting.blockerSeconds was to be number'],
    [
      'attempt_outcome',
      `attempt_outcome = '{"kind": "hack"}'`,
      'attempt_outcome.kind was to be ("succeeded" | "failed")',
    ],
    ['settings', `settings = '{null}'`, 'settings.0 was to be string'],
    ['replaces', `replaces = '{null}'`, 'replaces.0 was to be number'],
    ['version', `version = ''`, 'version was to be'],
  ])('%s', async (_, set, message) => {
    const scenario = await handedOff();
    await tamper(scenario, { set });
    const error = await turns(scenario).catch(String);
    expect(error).toContain('A row of the ledger is none that this code could have written');
    expect(error).toContain(message);
    await expectNothingElse(scenario);
  });
});

describe('the build of a partition', () => {
  const refusedMessage =
    "the ledger's row of this build does not match what 2_work.sql says, so it was not executed";
  /** After the turn that hands the partitions off. */
  async function partitionHandedOff(): Promise<Scenario> {
    const scenario = await handedOff();
    await turnOf(scenario.database, { table: 'parted', migrations: await compile(work) });
    return scenario;
  }
  const ofPartition = 'parent_build is not null';
  const child = async ({ query }: Scenario) => {
    const [row] = await query<{ state: string; message: string | null }>(
      `select state, fault ->> 'message' as message from migrations.work where table_name in ('parted_a', 'other') order by id limit 1`,
    );
    return row;
  };

  it.each([
    `index_name = 'other_x', statement = replace(statement, 'parted_a_p', 'other_x')`,
    `partitioned = true`,
    `parent_build = null`,
    `parent_build = (select w.id from migrations.work w where w.index_name = 'i')`,
    `definition = '(id)', statement = replace(statement, '(x)', '(id)')`,
  ])('is refused where the ledger is made to say %s', async (set) => {
    const scenario = await partitionHandedOff();
    expect(await tamper(scenario, { set, where: ofPartition })).toHaveLength(1);
    await turns(scenario);
    expect(await child(scenario)).toEqual({ state: 'failed', message: refusedMessage });
    await expectNothingElse(scenario);
  });

  it('is not done on what is not a table, and the partition has its index all the same', async () => {
    const scenario = await partitionHandedOff();
    await tamper(scenario, {
      set: `table_name = 'other', index_name = 'other_p', statement = replace(replace(statement, 'parted_a_p', 'other_p'), 'parted_a', 'other')`,
      where: ofPartition,
    });
    await turns(scenario);
    await expectNothingElse(scenario);
    expect(await scenario.indexes()).toEqual(expect.arrayContaining(['p', 'parted_a_p']));
  });
});
