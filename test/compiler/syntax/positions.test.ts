import { describe, expect, it } from 'vitest';
import { parseFile } from '../../../compiler/syntax/parse-file.ts';
import { SourceText } from '../../../compiler/syntax/source-text.ts';
import { statementsOf } from '../../../lambda/migration/migration.ts';
import { compileText, parseText } from '../compile-text.ts';

function statements(sql: string | Uint8Array): readonly (readonly [string, number, number])[] {
  return compileText(sql)
    .steps.flatMap(statementsOf)
    .map(({ text, position }) => [text, position.line, position.column] as const);
}

describe('the position of a statement', () => {
  it('is where its first word stands', () => {
    expect(statements('-- a\n\n  select 1 ;select 2;/* b */ select\n3 -- c\n;\n\n')).toEqual([
      ['select 1', 3, 3],
      ['select 2', 3, 13],
      ['select\n3', 3, 30],
    ]);
  });

  it('counts characters, whatever they take in bytes', () => {
    expect(statements("select 'é', '名前', '👍🏽'; select 'ü';\n/* ß */ select \"ñ\" -- ü")).toEqual([
      ["select 'é', '名前', '👍🏽'", 1, 1],
      ["select 'ü'", 1, 25],
      ['select "ñ"', 2, 9],
    ]);
  });

  it('counts a tab as one character', () => {
    expect(statements('\t\tselect 1;\n\t select 2')).toEqual([
      ['select 1', 1, 3],
      ['select 2', 2, 3],
    ]);
  });

  it('is the same with BOM and CRLF', () => {
    expect(statements('\ufeffselect 1;\r\n-- é\r\n  select\r\n2;\r\n')).toEqual([
      ['select 1', 1, 1],
      ['select\n2', 3, 3],
    ]);
  });

  it('holds in files that are longer than what is read at once', () => {
    const line = "insert into t values ('é', '👍'); -- größer\n";
    const lines = 12_000;
    const { statements: parsed } = parseFile(new SourceText('a.sql', line.repeat(lines)));
    expect(parsed).toHaveLength(lines);
    expect(new Set(parsed.map(({ text }) => text))).toEqual(new Set(["insert into t values ('é', '👍')"]));
    expect(parsed.every(({ position }, at) => position.line === at + 1 && position.column === 1)).toBe(true);
  });
});

describe('the text of a statement', () => {
  it('is as written, without its semicolon and comments around it', () => {
    expect(statements("/* a */ SELECT /* b */ 1 -- c\n  ,  '--x;' -- d\n /* e */ ; -- f")).toEqual([
      ["SELECT /* b */ 1 -- c\n  ,  '--x;'", 1, 9],
    ]);
  });

  it('keeps semicolons that end nothing', () => {
    const texts = [
      "select ';', \";\", $$;$$, $a$ ; $$ ; $a$, e'\\';'",
      'create function f() returns int language sql begin atomic select 1; select 2; end',
      'create rule r as on insert to a do also (delete from b; delete from c)',
      'do $$ begin perform 1; perform 2; end; $$',
      'select 1 /* ; /* ; */ ; */',
    ];
    const expected = texts.map((text) => text.replace(' /* ; /* ; */ ; */', ''));
    expect(statements(texts.join(';\n')).map(([text]) => text)).toEqual(expected);
  });

  it('ends before a comment that would swallow what is appended', () => {
    expect(statements('select 1 -- last words')).toEqual([['select 1', 1, 1]]);
  });
});

describe('no statement is lost', () => {
  const FRAGMENTS = [
    'select 1',
    "insert into t values ('é;--', '/*')",
    'create table "ü;" (id int) -- comment',
    'do $$ begin perform 1; end $$',
    "comment on table a is e'it\\'s'",
    '/* before */ delete from a',
    'update a set b = $x$ ; $x$ /* after */',
    'create function f() returns int begin atomic select 1; end',
    "select U&'\\00e9', 'a'\n'b', b'01', x'ff', 1.5e3, $1",
    "select a <-> b, a -> 'b' ->> 2, a - -1, a @> b",
  ];
  const SEPARATORS = [';', ' ;\n', ';;\n', '; -- note;\n', ';/* ; */', '\n;\t', ';\r\n'];

  /** A generator with a seed, so that a failure can be repeated. */
  function random(seed: number): (below: number) => number {
    let state = seed;
    return (below) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
  }

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'and put together again the texts are the same statements (seed %i)',
    (seed) => {
      const pick = random(seed);
      let sql = pick(2) === 0 ? '' : '-- head\n';
      const count = 1 + pick(40);
      for (let at = 0; at < count; at += 1) {
        sql += `${FRAGMENTS[pick(FRAGMENTS.length)]}\n${SEPARATORS[pick(SEPARATORS.length)]}`;
      }
      const first = parseText(sql);
      const texts = first.up.statements.map(({ text }) => text);
      expect(texts).toHaveLength(count);
      const again = parseText(texts.join(';'));
      expect(again.up.statements.map(({ text }) => text)).toEqual(texts);
      expect(again.migration.steps.map(({ fingerprint }) => fingerprint)).toEqual(
        first.migration.steps.map(({ fingerprint }) => fingerprint),
      );
      for (const { text, position, index } of first.up.statements) {
        const { text: source } = first.up.source;
        expect(source.startsWith(text, index)).toBe(true);
        const line = [...(source.split('\n')[position.line - 1] ?? '')].slice(position.column - 1).join('');
        expect(line.startsWith(text.split('\n')[0] ?? '')).toBe(true);
      }
    },
  );
});
