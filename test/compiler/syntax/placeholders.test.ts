// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are placeholders of Flyway and goose
import { describe, expect, it } from 'vitest';
import { statementsOf } from '../../../lambda/migration/migration.ts';
import { compileFiles, outline, refusalOf } from '../compile-text.ts';

const read = (files: Readonly<Record<string, string>>, placeholders: Readonly<Record<string, string>>) =>
  compileFiles(files, { placeholders }).migrations.map((migration) => outline(migration).join(' + '));

describe('a placeholder', () => {
  it.each([
    [`select :'who'`, { who: `O'Neil` }, `select 'O''Neil'`],
    [`select :'who'`, { who: 'a\\b' }, `select  E'a\\\\b'`],
    [`grant select on a to :"who"`, { who: 'the "app"' }, `grant select on a to "the ""app"""`],
    [`grant select on a to :who`, { who: 'app' }, 'grant select on a to app'],
    [`select ':who', a::text, b[1:2] -- :who`, { who: 'app' }, `select ':who', a::text, b[1:2]`],
    [`select '12:30:00'::time`, { who: 'app' }, `select '12:30:00'::time`],
  ] as const)("of psql's: %s", (sql, placeholders, expected) => {
    expect(read({ '1_a.sql': sql }, placeholders)).toEqual([`transaction: ${expected}`]);
  });

  it.each([
    ["select '${env}'", { env: `it's` }, "select 'it''s'"],
    ["select E'it\\'s ${env}', '${env}'", { env: `it's` }, "select E'it\\'s it''s', 'it''s'"],
    ['create table ${Schema}.a ()', { schema: 'app' }, 'create table app.a ()'],
    ['create table "${schema}".a ()', { schema: 'an "app"' }, 'create table "an ""app""".a ()'],
    ['do $$ begin perform ${name}(); end $$', { name: 'f' }, 'do $$ begin perform f(); end $$'],
  ] as const)("of Flyway's: %s", (sql, placeholders, expected) => {
    expect(read({ 'V1__a.sql': sql }, placeholders)).toEqual([`transaction: ${expected}`]);
  });

  it("of goose's, where a file asks for it, with a default", () => {
    const file = (mark: string) => ({ '1_a.sql': `-- +goose Up\n${mark}\nselect '\${A}', '\${B:-two}';\n` });
    expect(read(file('-- +goose ENVSUB ON'), { A: 'one' })).toEqual([`transaction: select 'one', 'two'`]);
    expect(read(file(''), { A: 'one' })).toEqual(["transaction: select '${A}', '${B:-two}'"]);
  });

  it("of goose's only between the words that turn it on and off, and as a string within a body", () => {
    const sql = [
      '-- +goose Up',
      "select '${A}';",
      '-- +goose StatementBegin',
      'do $x$ declare',
      '-- +goose ENVSUB ON',
      "a text := '${A}${C:-}';",
      '-- +goose ENVSUB OFF',
      "b text := '${A}'; begin end $x$;",
      '-- +goose StatementEnd',
    ].join('\n');
    const [read] = compileFiles({ '1_a.sql': sql }, { placeholders: { A: "it's" } }).migrations;
    const texts = read?.steps.flatMap(statementsOf).map(({ text }) => text.replace(/\s+/g, ' '));
    expect(texts).toEqual([
      "select '${A}'",
      "do $x$ declare a text := 'it''s'; b text := '${A}'; begin end $x$",
    ]);
  });

  it('without a value fails synth, also within a string, where nothing else would notice', () => {
    expect(refusalOf({ 'V1__a.sql': "select 1;\nselect '${env}';\n" })).toContain(
      'V1__a.sql:2:9: ${env} has no value.',
    );
    expect(refusalOf({ '1_a.sql': "select :'who'" }, { placeholders: { other: '' } })).toContain(
      "1_a.sql:1:8: :'who' has no value.",
    );
    expect(refusalOf({ '1_a.sql': "select :'who'" })).toContain("1_a.sql:1:8: :'who' is a variable of psql");
  });

  it('can be no more than its place allows', () => {
    const files = { 'V1__a.sql': 'drop table ${t};' };
    expect(refusalOf(files, { placeholders: { t: 'a; drop table b' } })).toContain(
      "1:12: The value of ${t} can't be used here",
    );
  });

  it('leaves positions as the author sees them', () => {
    const sql = "select '${a}', '${a}';\nselect '${a}' selct 1;";
    expect(refusalOf({ 'V1__a.sql': sql }, { placeholders: { a: 'a long value' } })).toContain(
      'V1__a.sql:2:21: syntax',
    );
  });
});
