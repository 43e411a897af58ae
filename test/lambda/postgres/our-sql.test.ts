import { describe, expect, it } from 'vitest';
import { type SqlInSource, sqlIn, sqlInSources } from '../../support/sql-in-source.ts';
import { parseSql, unqualifiedNames } from '../../support/sql-names.ts';

/**
 * A role that may create objects in a schema of the search path, or a schema that is in it, could have ours run them
 * (CVE-2018-1058). So each function and relation that our SQL names stands with its schema, and each operator and type
 * too, unless the statement runs under OWN_PATH, where there is nothing but Postgres's own.
 */

/**
 * What runs under OWN_PATH although it can't be told from the sources. For all else it can: sqlInSources() follows each
 * text to whatever sends it.
 */
const UNDER_OWN_PATH: readonly string[] = [
  // Asked in one message of script(), in a block of its own.
  'lambda/history/history-tables.ts#',
  'lambda/history/read-history.ts#historyQuery',
  // Its conditions are parts of what seeConstraints() asks by query().
  'lambda/postgres/catalog/seen-work.ts#seeWork',
  // transactionUnderSettings() sends them before the file's settings.
  'lambda/work/turn/partitioned-build.ts#makeRoot/before',
];

function faultsOf(sql: SqlInSource): string[] {
  const tree = parseSql(sql);
  if (tree === undefined)
    return [`${sql.place}: this looks like SQL that can't be parsed: ${sql.texts.join('…')}`];
  const names = unqualifiedNames(tree, { anySearchPath: !sql.underOwnPath });
  return [...new Set(names)].map((name) => `${sql.place}: ${name} stands without its schema`);
}

const FOLDERS = ['lambda', 'local/cli'];
const all = sqlInSources(FOLDERS, UNDER_OWN_PATH);

it('all of our SQL resolves in pg_catalog and the ledger, whatever the search path', () => {
  expect(all.length).toBeGreaterThan(150);
  expect(all.flatMap(faultsOf)).toEqual([]);
});

it('the list of what runs under our own search path has nothing that needs no place in it', () => {
  const needed = sqlInSources(FOLDERS).filter(
    (sql) => !sql.underOwnPath && unqualifiedNames(parseSql(sql), { anySearchPath: true }).length > 0,
  );
  const idle = UNDER_OWN_PATH.filter((place) => !needed.some(({ within }) => within.startsWith(place)));
  expect(idle).toEqual([]);
});

describe('the check', () => {
  // `$s` stands for a hole in a template.
  const seenIn = (source: string) =>
    sqlIn({ 'source.ts': source.replace(/\$([sx])/g, '$${$1}') }).flatMap(faultsOf);

  it.each([
    ['a function', "session.query('select count(*) from pg_catalog.pg_class')", 'the function count'],
    ['a function in FROM', 'const q = `select from unnest($x) as u`;', 'the function unnest'],
    ['a relation', "session.script('select 1 from pg_class')", 'the relation pg_class'],
    ['a relation to write', 'const q = `update step set a = 1 where b`;', 'the relation step'],
    ['an operator', 'const q = `select a * 1.3 from $s.step`;', 'the operator *'],
    ['an operator after ANY', 'const q = `select a = any (b) from $s.step`;', 'the operator ='],
    ['IN', "const q = `select from $s.step where a in ('b')`;", 'the operator = of in'],
    ['IN of a query', 'const q = `select from $s.step where a in (select 1)`;', 'the operator in'],
    ['LIKE', "const q = `select from $s.step where a like 'b'`;", 'the operator of like'],
    ['BETWEEN', 'const q = `select from $s.step where a between 1 and 2`;', 'the operators of between'],
    [
      'IS DISTINCT FROM',
      'const q = `select a is distinct from b from $s.step`;',
      'the operator = of is distinct from',
    ],
    ['NULLIF', 'const q = `select nullif(a, b) from $s.step`;', 'the operator = of nullif'],
    ['CASE', 'const q = `select case a when 1 then 2 end from $s.step`;', 'the operator = of case … when'],
    ['USING', 'const q = `select from $s.step join $s.run using (id)`;', 'the operator = of using'],
    ['a type', 'const q = `select a::text from $s.step`;', 'the type text'],
    ['a collation', 'const q = `select a collate "C" from $s.step`;', 'the collation C'],
    ['what DO runs', "const q = `do 'begin perform now(); end'`;", 'the function now'],
    ['a part of a statement', 'const q = `a.pid = $x`;', 'the operator ='],
    [
      'what is sent by one that does not set it, too',
      'const q = `select a = 1 from $s.step`; session.query(q); session.execute(q);',
      'the operator =',
    ],
    [
      'what comes before OWN_PATH',
      'rolledBack(session, [`select a = 1 from $s.step`, OWN_PATH]);',
      'the operator =',
    ],
  ])('finds %s', (_, source, name) => {
    expect(seenIn(source)).toEqual([`source.ts:1: ${name} stands without its schema`]);
  });

  it.each([
    [
      'with their schemas',
      'const q = `select pg_catalog.count(*) operator(pg_catalog.+) 1::pg_catalog.int8 from $s.step`;',
    ],
    [
      "in Postgres's own syntax",
      'const q = `select extract(epoch from a), coalesce(a, b), a::int, greatest(1, 2) from $s.step`;',
    ],
    ['under our own search path', "session.query(`select a = 1, b::text from $s.step where c in ('d')`);"],
    ['in a list that is joined', "session.script(['begin', `select a = 1 from $s.step`].join(';'));"],
    ['after OWN_PATH', 'rolledBack(session, [OWN_PATH, `select a = 1 from $s.step`]);'],
    [
      'of a part that goes to such statements alone',
      'const x = `a.pid = $s`; function f(s) { return `select 1 from $s.step where $x`; } must(session, f(1));',
    ],
    [
      'in texts for people',
      "new MigrationError({ next: 'select pg_terminate_backend(pid) where pid = 1' });",
    ],
  ])('lets pass names %s', (_, source) => {
    expect(seenIn(source)).toEqual([]);
  });

  it('says what it cannot parse', () => {
    expect(seenIn("session.query('select from from')")).toEqual([
      "source.ts:1: this looks like SQL that can't be parsed: select from from",
    ]);
  });
});
