import { beforeEach, describe, expect, it } from 'vitest';
import { largeTable } from '../story/scenario.ts';
import { expectEventually } from '../support/expect-eventually.ts';
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

  it('and then a deploy is what it was before', async () => {
    await operator.deploy(files);
    const [steps, indexes] = [await operator.steps(), await operator.indexes()];
    await operator.act(undoTo('0'), files);
    await operator.deploy(files);
    expect([await operator.steps(), await operator.indexes()]).toEqual([steps, indexes]);
  });

  it('with nothing above the version does nothing', async () => {
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
        `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted`,
      );
      return ended.length > 0;
    });
    expect(await dying).toBeInstanceOf(Error);
    await holder.end();
    expect(await operator.act(undoTo('2'), counted)).toEqual({ undone: ['3_column'] });
    expect(await operator.query('select n from times order by n')).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it('that died while it built an index again finds the INVALID one, and builds it anew', async () => {
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
        `select pg_terminate_backend(pid) from pg_stat_progress_create_index where phase like 'waiting%'`,
      );
      return ended.length > 0;
    });
    expect(await dying).toBeInstanceOf(Error);
    await holder.query('rollback');
    expect(await operator.indexes()).toEqual(['i', 'large_pkey', 'u INVALID']);
    expect(await operator.act(undoTo('2'), dropping)).toEqual({ undone: ['3_column'] });
    expect(await operator.indexes()).toEqual(['i', 'large_pkey', 'u']);
  });

  it('says which undo file is missing before it touches anything', async () => {
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
