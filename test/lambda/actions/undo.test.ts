import { beforeEach, describe, expect, it } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { HERE } from '../../support/here.ts';
import { largeTable } from '../run/scenario.ts';
import { freshOperator, type Operator } from './operator.ts';

let operator: Operator;
beforeEach(async () => {
  operator = await freshOperator();
});

const files = {
  '1_large.sql': largeTable('large'),
  '1_large.down.sql': 'drop table large;',
  '2_index.sql':
    'create index concurrently i on large (x);\ncreate unique index concurrently u on large (x);',
  '2_index.down.sql': 'drop index concurrently u;\ndrop index concurrently i;',
  '3_column.sql': 'alter table large add column y int;\nvacuum large;',
  '3_column.down.sql': 'alter table large drop column y;\nvacuum large;\ncomment on table large is null;',
};
const undoTo = (to: string) => ({ action: 'undo', to, confirm: true, by: 'anna' });

describe('undo', () => {
  it('runs the undo files above a version, newest first, and the ledger forgets them', async () => {
    await operator.deploy(files);
    expect(await operator.act(undoTo('1'), files)).toEqual({ undone: ['3_column', '2_index'] });
    expect(await operator.steps()).toEqual(['1.0 applied']);
    expect(await operator.indexes()).toEqual(['large_pkey']);
    expect(await operator.query('select * from migrations.index_build')).toEqual([]);

    expect(await operator.act(undoTo('0'), files)).toEqual({ undone: ['1_large'] });
    expect(await operator.steps()).toEqual([]);
    expect(await operator.recorded()).toEqual(['undo by anna: done', 'undo by anna: done']);
  });

  exhaustive.it('and then a deploy is what it was before', async () => {
    await operator.deploy(files);
    const [steps, indexes] = [await operator.steps(), await operator.indexes()];
    await operator.act(undoTo('0'), files);
    await operator.deploy(files);
    expect([await operator.steps(), await operator.indexes()]).toEqual([steps, indexes]);
  });

  exhaustive.it('with nothing above the version does nothing', async () => {
    await operator.deploy(files);
    expect(await operator.act(undoTo('3'), files)).toEqual({ undone: [] });
    expect(await operator.steps()).toHaveLength(5);
  });

  it('that fails names file, line and statement, and is continued by the same action', async () => {
    await operator.deploy(files);
    const broken = {
      ...files,
      '2_index.down.sql':
        'drop index concurrently u;\ndrop index concurrently i;\nselect 1;\ndrop table nobody;',
    };
    expect(await operator.refusal(undoTo('1'), broken)).toBe(
      `2_index.down.sql:4:1: The undo of 2_index failed in step 3.
Postgres: table "nobody" does not exist (SQLSTATE 42P01)
Statement: drop table nobody
Applied: undone: 3_column.
Next: correct the undo file, deploy, and undo again: it continues with this step.`,
    );
    expect(await operator.indexes()).toEqual(['large_pkey']);
    expect(
      await operator.act(undoTo('1'), {
        ...broken,
        '2_index.down.sql': 'drop index concurrently u;\ndrop index concurrently i;\nselect 1;',
      }),
    ).toEqual({
      undone: ['2_index'],
    });
    expect(await operator.recorded()).toEqual(['undo by anna: failed', 'undo by anna: done']);
  });

  it('that dies midway is continued: what was done is not done again', async () => {
    await operator.deploy(files);
    await operator.query('create table times (n int)');
    const counted = {
      ...files,
      '3_column.down.sql':
        'insert into times values (1);\nvacuum large;\nselect pg_advisory_xact_lock(7);\ninsert into times values (2);',
    };
    const holder = await operator.session();
    await holder.query('select pg_advisory_lock(7)');
    const dying = operator.act(undoTo('2'), counted).catch((error: unknown) => error);
    await expectEventually(async () => {
      const ended = await operator.adminQuery(
        `select pg_terminate_backend(pid) from pg_locks
          where locktype = 'advisory' and not granted and database = ${HERE}`,
      );
      return ended.length > 0;
    });
    expect(String(await dying)).toMatch(
      /^MigrationError: The connection was lost in the middle of undo: .*\nApplied: what is recorded; whether a statement that was under way happened is not known\.\nNext: look at the action status, then send the same action again: it continues where it stopped\.$/,
    );
    await holder.end();
    expect(await operator.act(undoTo('2'), counted)).toEqual({ undone: ['3_column'] });
    expect(await operator.query('select n from times order by n')).toEqual([{ n: 1 }, { n: 2 }]);
  });

  exhaustive.it(
    'that died while it built an index again finds the INVALID one, and builds it again',
    async () => {
      const dropping = {
        ...files,
        '3_column.sql': 'drop index concurrently u;',
        '3_column.down.sql': 'create unique index concurrently u on large (x);',
      };
      await operator.deploy(dropping);
      expect(await operator.indexes()).toEqual(['i', 'large_pkey']);
      // As a cancelled build leaves it.
      const holder = await operator.session();
      await holder.query('begin; insert into large values (501, 501)');
      const dying = operator.act(undoTo('2'), dropping).catch((error: unknown) => error);
      await expectEventually(async () => {
        const ended = await operator.adminQuery(
          `select pg_terminate_backend(pid) from pg_stat_progress_create_index
          where phase like 'waiting%' and datid = ${HERE}`,
        );
        return ended.length > 0;
      });
      expect(await dying).toBeInstanceOf(Error);
      await holder.query('rollback');
      expect(await operator.indexes()).toEqual(['i', 'large_pkey', 'u INVALID']);
      expect(await operator.act(undoTo('2'), dropping)).toEqual({ undone: ['3_column'] });
      expect(await operator.indexes()).toEqual(['i', 'large_pkey', 'u']);
    },
  );

  exhaustive.it('tells which step it is at, for whoever watches', async () => {
    await operator.deploy(files);
    operator.events.length = 0;
    await operator.act(undoTo('1'), files);
    expect(operator.events).toEqual([
      { kind: 'undoing', file: '3_column.down.sql', step: 1, steps: 3 },
      { kind: 'undoing', file: '3_column.down.sql', step: 2, steps: 3 },
      { kind: 'undoing', file: '3_column.down.sql', step: 3, steps: 3 },
      { kind: 'undoing', file: '2_index.down.sql', step: 1, steps: 2 },
      { kind: 'undoing', file: '2_index.down.sql', step: 2, steps: 2 },
    ]);
  });

  exhaustive.it('leaves no INVALID index where one that it builds again fails', async () => {
    const dropping = {
      ...files,
      '3_column.sql': 'drop index concurrently u;',
      '3_column.down.sql': 'create unique index concurrently u on large (x);',
    };
    await operator.deploy(dropping);
    await operator.query('update large set x = 1');
    expect(await operator.refusal(undoTo('2'), dropping)).toContain(
      'Postgres: could not create unique index "u" (SQLSTATE 23505)\nDetail: Key (x)=(1) is duplicated.',
    );
    expect(await operator.indexes()).toEqual(['i', 'large_pkey']);
  });

  exhaustive.it(
    'does not end in the middle of a step when the function runs out of time, and the terminal continues',
    async () => {
      const sleeping = (then: string) => ({
        ...files,
        '3_column.down.sql': `alter table large drop column y;\nselect pg_sleep((select seconds from slow));${then}`,
      });
      await operator.query('create table slow as select 60 as seconds');
      const inOneTransaction = sleeping('');
      await operator.deploy(inOneTransaction);
      const columns = () =>
        operator.query("select 1 from pg_attribute where attrelid = 'large'::regclass and attname = 'y'");
      expect(await operator.refusal(undoTo('2'), inOneTransaction, { milliseconds: 6_000 })).toBe(
        `3_column.down.sql:2:1: The undo of 3_column failed in step 1.
Postgres: canceling statement due to statement timeout (SQLSTATE 57014)
Statement: select pg_sleep((select seconds from slow))
Applied: nothing was undone before it.
Next: the statement needs longer than one invocation has: undo from the command line, which has no time limit: npx cdk-postgres-migrations undo --to … --confirm. It continues with this step.`,
      );
      expect(await columns()).toHaveLength(1);
      await operator.query('update slow set seconds = 0');
      expect(await operator.act(undoTo('2'), inOneTransaction)).toEqual({ undone: ['3_column'] });
      expect(await columns()).toHaveLength(0);
    },
  );

  it('whose locks are taken names who has them, and continues when they are free', async () => {
    await operator.deploy(files);
    const holder = await operator.session();
    await holder.query('begin; select from large limit 1');
    const [what, , , , next] = (await operator.refusal(undoTo('2'), files)).split('\n');
    expect(what).toMatch(
      /^3_column\.down\.sql:1:1: The undo of 3_column failed in step 1\. Blocked by pid \d+ \(\w+, "blocker", idle in transaction for \d+ s, AccessShareLock on large\)\.$/,
    );
    expect(next).toBe(
      'Next: end the transaction that holds the lock (select pg_terminate_backend(pid)), or wait for it, and undo again: it continues with this step.',
    );
    await holder.query('rollback');
    expect(await operator.act(undoTo('2'), files)).toEqual({ undone: ['3_column'] });
  });

  exhaustive.it('begins no step for which no time is left', async () => {
    await operator.deploy(files);
    expect(await operator.refusal(undoTo('1'), files, { milliseconds: 4_000 })).toBe(
      `The function ran out of time before step 1 of 3_column.down.sql.
Applied: nothing is undone.
Next: send the same action again: it continues with this step. The command line has no time limit: npx cdk-postgres-migrations undo --to … --confirm.`,
    );
    expect(await operator.steps()).toHaveLength(5);
  });

  exhaustive.it('ends a statement that commits by itself in time, too, and is continued', async () => {
    const building = {
      ...files,
      '3_column.sql': 'drop index concurrently u;',
      '3_column.down.sql': 'create unique index concurrently u on large (x);',
    };
    await operator.deploy(building);
    const holder = await operator.session();
    await holder.query('begin; insert into large values (501, 501)');
    expect(await operator.refusal(undoTo('2'), building, { milliseconds: 6_000 })).toContain(
      'Next: the statement needs longer than one invocation has: undo from the command line',
    );
    await holder.query('rollback');
    expect(await operator.act(undoTo('2'), building)).toEqual({ undone: ['3_column'] });
    expect(await operator.indexes()).toEqual(['i', 'large_pkey', 'u']);
  });

  exhaustive.it('says which undo file is missing before it touches anything', async () => {
    const { '2_index.down.sql': _, ...without } = files;
    await operator.deploy(files);
    expect(await operator.refusal(undoTo('0'), without)).toBe(
      `2_index has no undo file.
Applied: nothing was undone.
Next: write 2_index.down.sql beside it and deploy, or choose a version at or above 2.`,
    );
    expect(await operator.steps()).toHaveLength(5);
  });

  it('refuses while a build that it would undo is under way, and what this code does not know', async () => {
    await operator.deploy({ '1_large.sql': files['1_large.sql'] });
    await operator.run(files);
    expect(await operator.refusal(undoTo('0'), files)).toBe(
      `The build of i on large is under way.
Applied: nothing was undone.
Next: wait for it, or stop it: {"action": "cancel", "index": "i"}; then undo again.`,
    );
    await operator.loop(files);
    expect(await operator.refusal(undoTo('0'), { '1_large.sql': files['1_large.sql'] })).toMatch(
      /^Version \d is applied, but this code does not have it\.\nApplied: nothing was undone\.\nNext: undo with the code that has it\.$/,
    );
  });
});
