import { describe, expect, it } from 'vitest';
import { CompileError } from '../../../compiler/steps/compile-migrations.ts';
import { type Backfill, batchStatement } from '../../../lambda/migration/backfill.ts';
import type { LongStatement } from '../../../lambda/migration/migration.ts';
import { compileText } from '../compile-text.ts';

function backfillOf(sql: string): LongStatement & { readonly backfill: Backfill } {
  const long = compileText(sql).steps.find((step) => step.long?.operation === 'backfill')?.long;
  if (long?.backfill === undefined) throw new Error('no backfill');
  return { ...long, backfill: long.backfill };
}

describe('a statement under the directive', () => {
  it.each([
    ['update t set a = 1', 'update t set a = 1 where (B)'],
    ['update t set a = 1 where b is null', 'update t set a = 1  where (B) and (b is null\n)'],
    [
      'update only s.t as x set a = 1 from u where u.id = x.id returning 1',
      'update only s.t as x set a = 1 from u  where (B) and (u.id = x.id\n) returning 1',
    ],
    [
      'delete from "T" using u where u.id = "T".id or u.x',
      'delete from "T" using u  where (B) and (u.id = "T".id or u.x\n)',
    ],
    [
      "with w as (select 1 where true) update t set a = (select 2 where 'where' = '') where b",
      "with w as (select 1 where true) update t set a = (select 2 where 'where' = '')  where (B) and (b\n)",
    ],
    [
      'insert into u (a) select t.a from t join v on v.a = t.a where t.b order by 1 on conflict (a) where c do update set a = 2 where u.d',
      'insert into u (a) select t.a from t join v on v.a = t.a  where (B) and (t.b\n) order by 1 on conflict (a) where c do update set a = 2 where u.d',
    ],
    [
      'insert into u select a from t on conflict do nothing',
      'insert into u select a from t  where (B) on conflict do nothing',
    ],
  ])('%s', (sql, batch) => {
    expect(batchStatement(backfillOf(`-- migrate: backfill\n${sql};`).backfill, 'B')).toBe(batch);
  });

  it('names a part in place of its table, under the name that the statement has for it', () => {
    const part = { table: '"s"."t_1"', quotedAlias: '"t"' };
    const { backfill } = backfillOf('-- migrate: backfill\nupdate s.t set a = t.b;');
    expect(batchStatement(backfill, 'B', part)).toBe('update only "s"."t_1" as "t" set a = t.b where (B)');
  });

  it('is a step of its own, with what the directive says', () => {
    const { steps } = compileText(
      'create table a (id int);\n-- migrate: backfill by (tenant, "Id"), batch 2s, pause 0.5\nupdate t set a = 1;\nselect 1;',
    );
    expect(steps.map(({ long }) => long?.operation)).toEqual([undefined, 'backfill', undefined]);
    expect(steps[1]?.long).toMatchObject({
      relation: { name: 't' },
      names: ['a'],
      backfill: { by: ['tenant', 'Id'], batchMilliseconds: 2000, pause: 0.5 },
    });
  });

  it.each([
    ['update t set a = 1 where b is null', false],
    ['update t set b = 1 where b is null', true],
    ['update t set b = null where b is null', false],
    ['update t set b = 1, n = n + 1 where b is null', false],
    ['update t set b = lower(c) where b is distinct from lower(c) and d', true],
    ['update t set b = 1 where b is null or c', false],
    ['delete from t where c', true],
  ])('%s makes its WHERE false: %s', (sql, makes) => {
    expect(backfillOf(`-- migrate: backfill\n${sql};`).backfill.makesItsWhereFalse).toBe(makes);
  });
});

describe('what a batch would do otherwise than the whole is refused', () => {
  it.each([
    ['select 1', 'A backfill is an UPDATE, a DELETE or an INSERT … SELECT.'],
    ['insert into t values (1)', 'A backfill is an UPDATE, a DELETE or an INSERT … SELECT.'],
    ['insert into u select count(*) from t', 'An aggregate counts over all rows'],
    ['insert into u select a from t group by a', 'GROUP BY counts over all rows'],
    ['insert into u select distinct a from t', 'DISTINCT compares all rows'],
    ['insert into u select row_number() over () from t', 'A window function looks at all rows'],
    ['insert into u select a from t limit 5', 'LIMIT and OFFSET would hold for each batch'],
    ['insert into u select a from t union select a from v', 'UNION, INTERSECT and EXCEPT'],
    ['insert into u select t.a from v right join t on true', 'A backfill is an UPDATE'],
    ['insert into t select a from t', 'The statement reads t while it writes it'],
    ['update t set a = 1 where random() < 0.5', 'random() in WHERE decides again'],
    ['update t set a = (select max(a) from t)', 'The statement reads t while it writes it'],
    [
      'delete from t where id not in (select min(id) from t group by a)',
      'The statement reads t while it writes it',
    ],
    ['with gone as (delete from u returning a) update t set a = 1', 'A WITH that writes'],
    ['update t set a = 1 where current of c', 'WHERE CURRENT OF needs a cursor'],
  ])('%s', (sql, because) => {
    expect(() => compileText(`-- migrate: backfill\n${sql};`)).toThrow(because);
  });

  it.each([
    [
      '-- migrate: backfill by (id)\nupdate t set id = 1;',
      'The statement sets id, by which it is to be walked',
    ],
    ['update t set a = 1;\n-- migrate: backfill\n', 'No statement follows the directive "backfill".'],
    ['update t\n-- migrate: backfill\nset a = 1;', 'The directive "backfill" is inside a statement.'],
    [
      '-- migrate: backfill\n-- migrate: backfill\nupdate t set a = 1;',
      'is the second one before the same statement',
    ],
    [
      'begin;\n-- migrate: backfill\nupdate t set a = 1;\ncommit;',
      'A backfill cannot run inside a transaction',
    ],
    ['-- migrate: backfill by id\nupdate t set a = 1;', '"by" takes the columns of a key'],
    ['-- migrate: backfill batch soon\nupdate t set a = 1;', '"batch" takes a time'],
    ['-- migrate: backfill slowly\nupdate t set a = 1;', '"slowly" is not known here.'],
  ])('%j', (text, because) => {
    const error = (() => {
      try {
        return compileText(text);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(CompileError);
    expect((error as Error).message).toContain(because);
  });
});
