import { expect } from 'vitest';
import { defaultOptions, type MigrationOptions } from '../../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { takeTurn } from '../../../../lambda/work/turn/turn.ts';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { type RoleKind, type RoleWorld, roleKinds, roleWorld } from '../../../support/role-world.ts';
import { type Operator, operatorOf } from '../../actions/operator.ts';
import { emptyFolder } from '../../migration/made-up.ts';
import { type Files, SMALL_TABLE_ROWS, scenarioOn } from '../../run/scenario.ts';
import { sessionsOf } from './building.ts';

const sessions = ['loopback', 'orphan', 'attached'] as const;
type SessionKind = (typeof sessions)[number];

/** Each role, each operation and each kind of session with each other. */
export interface RoleCase {
  readonly role: RoleKind;
  readonly operation: keyof typeof operations;
  readonly session: SessionKind;
}

/** What a story does and looks at. */
class Cast {
  readonly world: RoleWorld;
  readonly operator: Operator;
  readonly session: SessionKind;

  constructor(world: RoleWorld, session: SessionKind) {
    this.world = world;
    this.operator = operatorOf(scenarioOn(world.database));
    this.session = session;
  }

  /** Files with what the roles need at their beginning, after one that makes the tables. */
  files(...operations: Files[]): Files {
    const all: Files = Object.assign({ '1_tables.sql': TABLES }, ...operations);
    return Object.fromEntries(Object.entries(all).map(([file, sql]) => [file, `${this.world.head}${sql}`]));
  }

  async handOff(files: Files): Promise<void> {
    const { database } = this.world;
    if (this.session === 'loopback') await database.adminQuery('create extension if not exists dblink');
    await this.operator.run({ '1_tables.sql': files['1_tables.sql'] ?? '' });
    // What a probe finds is its own test's matter; of each role, one looks for itself.
    if (!('2_create.sql' in files))
      await database.adminQuery(
        `insert into migrations.session_probe values ('orphan', true, 'remembered'), ('loopback', true, 'remembered')`,
      );
    await this.operator.run(files);
  }

  /** The loop to its end; what it says of it. */
  async loop(files: Files): Promise<string> {
    if (this.session === 'orphan') {
      for (const table of ['big', 'parts']) await this.#turn(table, { attachSeconds: 0 });
    }
    const deadline = this.session === 'attached' ? {} : { deadline: Date.now() + 100_000 };
    const { message } = await this.operator.loop(files, { dataCheckSeconds: 0, ...deadline });
    return message;
  }

  #turn(table: string, options: Partial<MigrationOptions>) {
    return takeTurn({
      table: { schema: 'fin', table },
      turn: 1,
      migrations: emptyFolder,
      target: parseConnectionUrl(this.world.database.url, 'The URL'),
      options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS, dataCheckSeconds: 0, ...options },
      deadline: Date.now() + 100_000,
      report: () => {},
      pauseSeconds: () => 0,
    });
  }

  async indexes(): Promise<string[]> {
    const rows = await this.world.database.adminQuery<{ line: string }>(
      `select c.relname || case when i.indisvalid then '' else ' INVALID' end as line
         from pg_index i join pg_class c on c.oid = i.indexrelid
        where c.relnamespace = 'fin'::regnamespace order by 1`,
    );
    return rows.map(({ line }) => line);
  }

  async builds(): Promise<string[]> {
    const rows = await this.world.database.adminQuery<{ line: string }>(
      `select index_name || ' ' || state || coalesce(' ' || (fault ->> 'sqlstate'), '') as line
         from migrations.index_build order by id`,
    );
    return rows.map(({ line }) => line);
  }
}

/** 500 rows, which is large here; `twice` stands in two rows each. */
const TABLES = `create table fin.big (id int, x int, twice int);
insert into fin.big select i, i, i / 2 from generate_series(1, 500) i;
create index big_old on fin.big (x);
create table fin.parts (id int, x int) partition by range (id);
create table fin.parts_1 partition of fin.parts for values from (0) to (300);
create table fin.parts_2 partition of fin.parts for values from (300) to (600);
insert into fin.parts select i, i from generate_series(1, 500) i;
create function fin.slow(x int) returns int immutable language plpgsql
  as 'begin perform pg_catalog.pg_sleep(0.02); return x; end';`;

const OLD = 'big_old';
const unique = { '2_unique.sql': 'create unique index concurrently big_twice on fin.big (twice);' };

const operations = {
  create: async (cast: Cast) => {
    const files = cast.files({ '2_create.sql': 'create index concurrently big_x on fin.big (x desc);' });
    await cast.handOff(files);
    expect(await cast.loop(files)).toBe('');
    expect(await cast.indexes()).toEqual([OLD, 'big_x']);
    expect(await cast.builds()).toEqual(['big_x done']);
  },
  'unique that fails': async (cast: Cast) => {
    const files = cast.files(unique);
    await cast.handOff(files);
    await cast.loop(files);
    // The turn before the loop may have seen it fail, which the loop does not repeat.
    expect(
      await cast.world.database.adminQuery(`select fault ->> 'message' as message from migrations.work`),
    ).toEqual([{ message: 'could not create unique index "big_twice"' }]);
    expect(await cast.indexes()).toEqual([OLD]);
    expect(await cast.builds()).toEqual(['big_twice failed 23505']);
  },
  partitioned: async (cast: Cast) => {
    const files = cast.files({ '2_parts.sql': 'create index concurrently parts_x on fin.parts (x);' });
    await cast.handOff(files);
    expect(await cast.loop(files)).toBe('');
    expect(await cast.indexes()).toEqual([OLD, 'parts_1_parts_x', 'parts_2_parts_x', 'parts_x']);
  },
  drop: async (cast: Cast) => {
    const files = cast.files({ '2_drop.sql': 'drop index concurrently fin.big_old;' });
    await cast.handOff(files);
    expect(await cast.loop(files)).toBe('');
    expect(await cast.indexes()).toEqual([]);
  },
  reindex: async (cast: Cast) => {
    const files = cast.files({ '2_reindex.sql': 'reindex table concurrently fin.big;' });
    await cast.handOff(files);
    const oid = `select 'fin.big_old'::regclass::oid::text as oid`;
    const before = await cast.world.database.adminQuery(oid);
    expect(await cast.loop(files)).toBe('');
    expect(await cast.indexes()).toEqual([OLD]);
    expect(await cast.world.database.adminQuery(oid)).not.toEqual(before);
  },
  cancel: async (cast: Cast) => {
    const files = cast.files({
      '2_slow.sql': 'create index concurrently big_slow on fin.big (fin.slow(x));',
    });
    await cast.handOff(files);
    const looping = cast.loop(files);
    await expectEventually(async () => (await cast.indexes()).includes('big_slow INVALID'));
    await cast.operator.act({ action: 'cancel', index: 'big_slow' }, files);
    await looping;
    expect(await cast.indexes()).toEqual([OLD]);
    expect(await cast.builds()).toEqual(['big_slow cancelled']);
  },
  retry: async (cast: Cast) => {
    const files = cast.files(unique);
    await cast.handOff(files);
    await cast.loop(files);
    await cast.world.database.adminQuery('delete from fin.big where id % 2 = 0');
    await cast.operator.act({ action: 'retry' }, files);
    expect(await cast.loop(files)).toBe('');
    expect(await cast.indexes()).toEqual([OLD, 'big_twice']);
    expect(await cast.builds()).toEqual(['big_twice done']);
  },
  undo: async (cast: Cast) => {
    const files = cast.files({
      '2_undone.sql':
        'create index concurrently big_x on fin.big (x desc);\nalter table fin.big add column y int;',
      '2_undone.down.sql': `alter table fin.big drop column y;
drop index concurrently fin.big_x;
create index concurrently big_again on fin.big (x desc);
reindex index concurrently fin.big_again;`,
    });
    await cast.handOff(files);
    expect(await cast.loop(files)).toBe('');
    await cast.operator.act({ action: 'undo', to: '1', confirm: true }, files);
    expect(await cast.indexes()).toEqual(['big_again', OLD]);
    expect(await cast.builds()).toEqual([]);
  },
} as const satisfies Record<string, (cast: Cast) => Promise<void>>;

export const roleCases: readonly RoleCase[] = roleKinds.flatMap((role) =>
  (Object.keys(operations) as (keyof typeof operations)[]).flatMap((operation) =>
    sessions.map((session) => ({ role, operation, session })),
  ),
);

/** Each operation once, each role twice, each kind of session. */
export const roleSample: readonly RoleCase[] = roleCases.filter(({ role, operation, session }) => {
  const number = Object.keys(operations).indexOf(operation);
  return (
    roleKinds.indexOf(role) === number % roleKinds.length &&
    sessions.indexOf(session) === number % sessions.length
  );
});

export async function playRoleCase({ role, operation, session }: RoleCase): Promise<void> {
  const cast = new Cast(await roleWorld(role), session);
  await operations[operation](cast);
  await expectEventually(async () => (await sessionsOf(cast.world.database)).length === 0);
  const owners = await cast.world.database.adminQuery<{ owner: string }>(
    `select distinct relowner::regrole::text as owner from pg_class where relnamespace = 'fin'::regnamespace`,
  );
  expect(owners).toEqual([{ owner: cast.world.tableOwner }]);
}
