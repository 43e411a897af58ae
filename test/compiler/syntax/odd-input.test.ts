import { describe, expect, it } from 'vitest';
import { parseFile } from '../../../compiler/syntax/parse-file.ts';
import { SourceText } from '../../../compiler/syntax/source-text.ts';
import { statementsOf } from '../../../lambda/migration/migration.ts';
import { compileText, refusalOf } from '../compile-text.ts';

const parse = (text: string) => parseFile(new SourceText('1_a.sql', text));

describe('odd input', () => {
  it('may be one statement of several megabytes with dashes in it', () => {
    const rows = Array.from({ length: 40_000 }, (_, id) => `(${id}, 'a -- b /* c ${'x'.repeat(30)}')`);
    const { statements, comments } = parse(`-- rows\ninsert into a values\n${rows.join(',\n')}; -- end`);
    expect(statements.map(({ text }) => text.length)).toEqual([
      `insert into a values\n${rows.join(',\n')}`.length,
    ]);
    expect(comments.map(({ text }) => text)).toEqual(['-- rows', '-- end']);
  });

  it('may be a string or a comment of 20 megabytes', () => {
    const long = 'x'.repeat(20_000_000);
    expect(parse(`select '${long}' -- a`).statements[0]?.text).toHaveLength(long.length + 9);
    expect(parse(`/* ${long} */ select 1`).statements[0]?.text).toBe('select 1');
  });

  it('may be nested some thousand levels deep', () => {
    const sql = `select ${Array.from({ length: 4_000 }, () => '1').join(' + ')}`;
    expect(compileText(sql).steps[0]?.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  });

  it('may have control characters in strings, names, comments and bodies', () => {
    const all = Array.from({ length: 31 }, (_, at) => String.fromCharCode(at + 1))
      .filter((character) => character !== '\r')
      .join('');
    const sql = `-- ${all.replace('\n', '')}
      select '${all}' as "${all}", $$${all}$$ /* ${all} */;
      create index concurrently on a (x) where y = '${all}'; do $$ begin perform '${all}'; commit; end $$`;
    const { steps } = compileText(sql);
    expect(steps.map(({ kind }) => kind)).toEqual(['transaction', 'index-operation', 'autocommit']);
    expect(steps[1]).toMatchObject({ operation: { definition: `(x) where y = '${all}'` } });
  });

  it('may have comments where the parser, unlike PostgreSQL, stumbles over them', () => {
    const sql = `-- größer
      select a not /* 👍 */ in (1), b not -- é
      between 1 and 2 from t order by x nulls /* a */ last;
      create table t (x timestamp with /* a */ time /* b */ zone, y time without
      -- why
      time zone); select 'ü' /* c */ as z`;
    const { steps } = compileText(sql);
    const texts = steps
      .flatMap(statementsOf)
      .map(({ text, position }) => [text.split('\n')[0], position.line]);
    expect(texts).toEqual([
      ['select a not /* 👍 */ in (1), b not -- é', 2],
      ['create table t (x timestamp with /* a */ time /* b */ zone, y time without', 4],
      ["select 'ü' /* c */ as z", 6],
    ]);
    expect(refusalOf({ '1_a.sql': "-- ü 👍\nselect a not /* ß */ in (1);\nselect 'é' from from" })).toContain(
      '1_a.sql:3:17: syntax error at or near "from".\n    select \'é\' from from\n                    ^\n',
    );
  });

  it('is refused with a sentence where it is too much for the parser, which is then as new', () => {
    const tooDeep = `select ${Array.from({ length: 50_000 }, () => '1').join(' + ')}`;
    expect(
      refusalOf({ '1_a.sql': tooDeep, '2_b.sql': `select ${'('.repeat(50_000)}`, '3_c.sql': 'selct' }),
    ).toBe(
      [
        '1_a.sql:1:1: The parser gave up on this file, which may be too large or nested too deeply for it: ' +
          'Maximum call stack size exceeded.',
        `    ${tooDeep.slice(0, 99)}…`,
        '    ^',
        'Split it into several files or statements.',
        '',
        '2_b.sql:1:10004: memory exhausted at or near "(".',
        `    …${'('.repeat(98)}…`,
        `    ${' '.repeat(50)}^`,
        '',
        '3_c.sql:1:1: syntax error at or near "selct".',
        '    selct',
        '    ^',
        '',
        'Next: Correct these 3 files, then try again. The database was not touched.',
      ].join('\n'),
    );
    expect(compileText('select 1').steps).toHaveLength(1);
  });

  it('may be a body that the PL/pgSQL parser cannot read: Postgres will say what is wrong', () => {
    const [step] = compileText('do $$ this is no PL/pgSQL $$').steps;
    expect(step?.kind).toBe('transaction');
    expect(compileText('do language plperl $$ spi_commit(); $$').steps[0]?.kind).toBe('transaction');
    expect(compileText('do $$ declare x a.b%rowtype; y c[]; begin null; end $$').steps[0]?.kind).toBe(
      'transaction',
    );
    expect(compileText("do $$ begin raise notice '; commit;'; /* commit; */ end $$").steps[0]?.kind).toBe(
      'transaction',
    );
  });
});
