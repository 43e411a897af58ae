import { beforeEach, describe, expect, it } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { everythingIn } from '../lifecycle/life-cycle.ts';
import { largeTable } from '../run/scenario.ts';
import { freshOperator, type Operator } from './operator.ts';

let operator: Operator;
beforeEach(async () => {
  operator = await freshOperator();
});

const files = {
  '1_users.sql': 'create table users (id int primary key);',
  '2_names.sql':
    'alter table users add column name text;\nvacuum users;\ncreate index concurrently on users (name);',
  '3_later.sql': 'create table later ();',
};

describe('baseline', () => {
  it('takes all up to a version as applied, and the next run continues after it', async () => {
    await operator.query('create table users (id int primary key, name text)');
    expect(
      await operator.act({ action: 'baseline', version: '0002', confirm: true, by: 'anna' }, files),
    ).toEqual({
      changed: ['1_users is taken as applied', '2_names is taken as applied'],
    });
    expect((await operator.run(files)).applied.map(({ migration }) => migration.name)).toEqual(['3_later']);
    expect(await operator.steps()).toEqual([
      '1.0 baselined',
      '2.0 baselined',
      '2.1 baselined',
      '2.2 baselined',
      '3.0 applied',
    ]);
    expect(await operator.recorded()).toEqual(['baseline by anna: done']);
  });

  exhaustive.it('leaves alone what is already recorded', async () => {
    await operator.run({ '1_users.sql': files['1_users.sql'] });
    expect(await operator.act({ action: 'baseline', version: '2', confirm: true }, files)).toEqual({
      changed: ['2_names is taken as applied'],
    });
    expect((await operator.steps())[0]).toBe('1.0 applied');
  });

  exhaustive.it('up to a version that no file has is refused', async () => {
    expect(await operator.refusal({ action: 'baseline', version: '9', confirm: true }, files)).toBe(
      `No migration of this code has version 9.
Applied: nothing.
Next: name one of its 3 versions, 1 to 3.`,
    );
  });
});

describe('repair', () => {
  const repair = (how: object) => ({ action: 'repair', version: '2', confirm: true, ...how });
  const changed = { ...files, '2_names.sql': files['2_names.sql'].replace('name text', 'name varchar') };

  it('accepts a changed file', async () => {
    await operator.deploy(files);
    expect((await operator.failure(changed)).code).toBe('drift');
    const accepted = await operator.act(repair({ accept: 'checksum' }), changed);
    expect(accepted).toEqual({
      changed: [expect.stringMatching(/^2_names is accepted as it is now \(checksum [0-9a-f]{12}\)$/)],
    });
    expect((await operator.run(changed)).applied).toEqual([]);
  });

  exhaustive.it('accepts a changed file with more steps, or fewer, as a whole', async () => {
    await operator.deploy(files);
    const longer = { ...files, '2_names.sql': `${files['2_names.sql']}\nvacuum users;` };
    await operator.act(repair({ accept: 'checksum' }), longer);
    expect((await operator.run(longer)).applied).toEqual([]);
    const shorter = { ...files, '2_names.sql': 'alter table users add column name text;' };
    await operator.act(repair({ accept: 'checksum' }), shorter);
    expect((await operator.run(shorter)).applied).toEqual([]);
    expect(await operator.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
  });

  it('settles a step that was under way when its run died, either way', async () => {
    await operator.deploy(files);
    const interrupt = () =>
      operator.query("update migrations.step set state = 'started' where version = '2' and step = 1");
    await interrupt();
    expect(await operator.act(repair({ step: 2, as: 'applied' }), files)).toEqual({
      changed: ['step 2 of 2_names is applied'],
    });
    await interrupt();
    expect(await operator.act(repair({ step: 2, as: 'not-applied' }), files)).toEqual({
      changed: ['step 2 of 2_names is not applied: the next run sends it again'],
    });
    expect((await operator.run(files)).applied.map(({ step, how }) => `${step} ${how}`)).toEqual([
      '1 autocommit',
    ]);
  });

  exhaustive.it('refuses to settle a step that was not interrupted', async () => {
    await operator.deploy(files);
    const refusal = (step: number) => operator.refusal(repair({ step, as: 'applied' }), files);
    const next =
      'Applied: nothing.\nNext: look at the action status: only a step that was under way when its run died can be settled.';
    expect(await refusal(1)).toBe(`Step 1 of version 2 was not interrupted: it is applied.\n${next}`);
    expect(await refusal(9)).toBe(`Step 9 of version 2 was not interrupted; it is not recorded.\n${next}`);
  });

  it('forgets a version, and the next run applies it again', async () => {
    await operator.deploy(files);
    await operator.query('alter table users drop column name');
    expect(await operator.act(repair({ forget: true }), files)).toEqual({
      changed: ['2_names is forgotten: the next run applies it again'],
    });
    await operator.deploy(files);
    expect(await operator.steps()).toHaveLength(5);
    expect(await operator.indexes()).toEqual(['users_name_idx', 'users_pkey']);
  });

  exhaustive.it('does not forget a version whose build is under way', async () => {
    const large = { '1_large.sql': largeTable('large') };
    await operator.deploy(large);
    const building = { ...large, '2_index.sql': 'create index concurrently i on large (x);' };
    await operator.run(building);
    expect(await operator.refusal(repair({ forget: true }), building)).toBe(
      `The build of i on large, which belongs to this version, is under way.
Applied: nothing.
Next: wait for it, or stop it: {"action": "cancel", "index": "i"}; then repair again.`,
    );
  });

  exhaustive.it('of a version that the ledger does not have is refused', async () => {
    expect(await operator.refusal(repair({ forget: true }), files)).toBe(
      `The ledger has no record of version 2.
Applied: nothing.
Next: look at the action status for the versions that it has.`,
    );
    expect(await operator.recorded()).toEqual(['repair by console: failed']);
  });
});

describe('plan and status', () => {
  it('write nothing, before there is a ledger and after', async () => {
    const large = { '1_large.sql': largeTable('large') };
    const pending = { ...large, '2_index.sql': 'create index concurrently i on large (x);' };
    const lookTwice = async () => {
      const before = [await everythingIn(operator.database), await operator.runs()];
      // Whatever would write in spite of all fails here.
      await operator.adminQuery(
        `alter role ${operator.database.owner} set default_transaction_read_only = on`,
      );
      await operator.plan(pending);
      await operator.status(pending);
      await operator.adminQuery(`alter role ${operator.database.owner} reset default_transaction_read_only`);
      expect([await everythingIn(operator.database), await operator.runs()]).toEqual(before);
    };
    await lookTwice();
    await operator.deploy(large);
    await lookTwice();
    await operator.run(pending);
    await lookTwice();
  });

  exhaustive.it('tell what a run would do, and a run does it', async () => {
    const large = { '1_large.sql': largeTable('large') };
    await operator.deploy(large);
    const pending = {
      ...large,
      '2_index.sql': 'create index concurrently i on large (x);',
      '3_small.sql': 'create table small (x int);\ncreate index concurrently s on small (x);',
      '4_waits.sql': 'alter table large add column y int;',
    };
    const { files, refused } = await operator.plan(pending);
    expect(refused).toBeUndefined();
    const lines = files.flatMap(({ file, steps }) =>
      steps.map(
        ({ step, how, waits, tables }) =>
          `${file} ${step} ${how}; ${tables.map(({ table, rows, moreRows, lock, blocks }) => `${table} ${moreRows ? '>' : ''}${rows ?? 'new'}: ${lock}, blocks ${blocks}`).join('; ')}${waits === undefined ? '' : `; ${waits}`}`,
      ),
    );
    expect(lines).toEqual([
      '2_index.sql 1 hand-off; public.large >100: share update exclusive, blocks other DDL',
      '3_small.sql 1 transaction; ',
      '3_small.sql 2 inline; small new: share, blocks writes',
      '4_waits.sql 1 transaction; public.large >100: access exclusive, blocks reads and writes; it changes the table large; waits for i',
    ]);
    const { applied, waiting } = await operator.run(pending);
    expect(applied.map(({ migration, how }) => `${migration.file} ${how}`)).toEqual([
      '2_index.sql handed off',
      '3_small.sql transaction',
      '3_small.sql inline',
    ]);
    expect(waiting?.file).toBe('4_waits.sql');
  });

  it('tell in what order, what side by side, and how long by this database’s own builds', async () => {
    const tables = { '1_tables.sql': `${largeTable('a')}\n${largeTable('b')}` };
    await operator.deploy(tables);
    const before = { ...tables, '2_index.sql': 'create index concurrently b_x on b (x);' };
    expect((await operator.plan(before)).stages).toMatchObject([
      { kind: 'apply', steps: 1 },
      // Nothing has been built here yet.
      { kind: 'build', estimatedSeconds: undefined },
    ]);
    await operator.deploy(before);
    const { stages } = await operator.plan({
      ...before,
      '3_indexes.sql':
        'create index concurrently a_1 on a (x); create index concurrently b_1 on b (x); create index concurrently a_2 on a (x, id);',
      '4_waits.sql': 'alter table a add column y int;',
      '5_last.sql': 'create index concurrently a_3 on a (y); drop index concurrently b_x;',
    });
    const time = expect.any(Number);
    const build = (index: string, estimatedSeconds = time, operation = 'create') => ({
      operation,
      index,
      state: 'new',
      estimatedSeconds,
    });
    expect(stages).toEqual([
      { kind: 'apply', files: ['3_indexes.sql'], steps: 3 },
      {
        kind: 'build',
        sideBySide: 4,
        estimatedSeconds: time,
        tables: [
          { table: 'public.a', builds: [build('a_1'), build('a_2')] },
          { table: 'public.b', builds: [build('b_1')] },
        ],
      },
      { kind: 'apply', files: ['4_waits.sql', '5_last.sql'], steps: 3 },
      {
        kind: 'build',
        sideBySide: 4,
        estimatedSeconds: time,
        tables: [
          { table: 'public.a', builds: [build('a_3')] },
          { table: 'public.b', builds: [build('b_x', 0, 'drop')] },
        ],
      },
    ]);
  });

  exhaustive.it('tell of a plain CREATE INDEX what the run would say', async () => {
    const large = { '1_large.sql': largeTable('large') };
    await operator.deploy(large);
    const plain = { ...large, '2_index.sql': 'create index i on large (x);' };
    const { refused } = await operator.plan(plain);
    expect(refused).toBe((await operator.failure(plain)).message);
  });
});
