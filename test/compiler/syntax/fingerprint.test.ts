import { describe, expect, it } from 'vitest';
import { compileText } from '../compile-text.ts';

const fingerprintsOf = (sql: string) => compileText(sql).steps.map(({ fingerprint }) => fingerprint);

/** The same statements, written by one author and by another. */
const PAIRS: readonly (readonly [string, string])[] = [
  ['select 1', '/* a */ SELECT -- b\n\t1 ;'],
  ['select a, b from t where x in (1, 2, 3)', 'Select   a,b\nFrom T Where x In (\n  1,\n  2,\n  3\n)'],
  ['create table a (id int primary key)', 'CREATE TABLE a(\n  id integer PRIMARY KEY -- the key\n);'],
  ['select array[1, 2], row(1, 2), (1, 2)', 'select ARRAY[ 1,2 ] , ROW( 1,2 ),( 1,2 )'],
  ["select 'a' 'b'".replace("' '", "'\n'"), "select 'ab'"],
  ["select 'a', E'\\x61'", "select  $$a$$, 'a'"],
  [
    'insert into a (b) values (1) on conflict (b) do update set b = 2',
    'INSERT INTO a(b)\nVALUES(1)\nON CONFLICT(b)\nDO UPDATE SET b=2',
  ],
  ['with a as materialized (select 1) select * from a', 'WITH a AS MATERIALIZED(SELECT 1)SELECT*FROM a'],
  [
    'merge into a using b on a.x = b.x when matched then delete',
    'MERGE INTO a\nUSING b\nON a.x=b.x\nWHEN MATCHED THEN DELETE',
  ],
  [
    "select json_object('a': 1), xmlelement(name a), cast(x as text)",
    "select json_object( 'a' : 1 ),\n xmlelement( name a ),\n cast( x as text )",
  ],
  [
    'create function f(a int) returns int language sql begin atomic select a; end',
    'create function f( a int )\nreturns int\nlanguage sql\nbegin atomic\n  select a;\nend',
  ],
  [
    'create index concurrently i on only a using btree (lower(b) desc) include (c) where d',
    'CREATE INDEX CONCURRENTLY i\n  ON ONLY a USING btree(lower(b) DESC)\n  INCLUDE(c) WHERE d',
  ],
  ['reindex (concurrently, verbose) table a', 'REINDEX ( CONCURRENTLY , VERBOSE )\nTABLE a'],
  [
    'begin isolation level serializable; select 1; commit',
    'START TRANSACTION\nISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nEND;',
  ],
  ['vacuum (full, analyze) a (b)', 'VACUUM(FULL,ANALYZE)a(b)'],
  ['set search_path to a, b', 'SET search_path = a,b'],
  [
    'alter table a add constraint c foreign key (x) references b (y)',
    'alter table a\n  add constraint c\n  foreign key(x)references b(y)',
  ],
];

describe('a fingerprint', () => {
  it.each(PAIRS)('does not see how a statement is laid out: %s', (one, other) => {
    expect(fingerprintsOf(other)).toEqual(fingerprintsOf(one));
  });

  it('sees every change of meaning', () => {
    const texts = [
      'select 1',
      'select 2',
      'select 1, 1',
      "select '1'",
      'select 1; select 1',
      'select "A"',
      'select a',
      'begin isolation level serializable; select 1; commit',
      'begin read only; select 1; commit',
      '-- migrate: no-transaction\nselect 1',
      'create index on a (x)',
      'create index concurrently on a (x)',
      'create unique index concurrently on a (x)',
      'create index concurrently on a (x desc)',
      'create index concurrently on a (x) where x > 0',
      '',
    ];
    expect(new Set(texts.map((sql) => fingerprintsOf(sql).join())).size).toBe(texts.length);
  });

  it('does not depend on where in the file its step stands', () => {
    const [, , last] = fingerprintsOf('select 0; vacuum; select 1, array[2]');
    expect(last).toBe(fingerprintsOf('select 1, array[2]')[0]);
  });
});
