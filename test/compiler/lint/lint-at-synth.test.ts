import { App, Stack } from 'aws-cdk-lib';
import { expect, it } from 'vitest';
import { parseMigrations } from '../../../compiler/steps/compile-migrations.ts';
import { type LintProps, lintAtSynth } from '../../../infra/lint-at-synth.ts';
import { PostgresMigrations } from '../../../infra/postgres-migrations.ts';
import { newStack } from '../../infra/synthesized.ts';
import { folderOf } from '../compile-text.ts';

const FILES = {
  '1_words.sql': 'create table words (id bigint primary key, word text);',
  '2_index.sql': 'create index words_word on words (word);\ncreate table more (word varchar(9));',
};

/** The messages on the construct, with their kinds. */
function lint(
  files: Readonly<Record<string, string>>,
  props?: LintProps,
): readonly (readonly [string, unknown])[] {
  const stack = new Stack(new App({ outdir: folderOf({}) }), 'Stack');
  lintAtSynth(stack, parseMigrations(folderOf(files)), props);
  return stack.node.metadata
    .filter(({ type }) => type !== 'aws:cdk:creationStack')
    .map(({ type, data }) => [type, data] as const);
}

it('makes annotations of warnings, and leaves advice to the command line', () => {
  expect(lint(FILES)).toEqual([
    [
      'aws:cdk:warning',
      expect.stringMatching(
        /^2_index\.sql:1:1: warning CREATE INDEX keeps everybody from writing to words [\s\S]*\n {6}create index concurrently words_word on words \(word\); \[ack: postgres-migrations:lint:plain-create-index\]$/,
      ),
    ],
  ]);
});

it('fails synth on errors, with place and caret, all at once', () => {
  const files = {
    ...FILES,
    '3_more.sql': 'alter table words add column a int not null;\nvacuum full words;',
  };
  expect(() => lint(files)).toThrow(
    /^3_more\.sql:1:36: error Old rows of words have no a, [\s\S]*\n {39}\^\n[\s\S]*3_more\.sql:2:1: error VACUUM FULL[\s\S]*\n\n2 errors\.\nNext: write what is shown instead/,
  );
});

it('takes levels, and a version up to which files stay as they are', () => {
  expect(() => lint(FILES, { levels: { 'plain-create-index': 'error' } })).toThrow(
    /^2_index\.sql:1:1: error/,
  );
  expect(lint(FILES, { since: '0002' })).toEqual([]);
  expect(() => lint(FILES, { since: 'two' })).toThrow(
    'No migration of this folder is called two.\nNext: name the newest one that the linter should take as it is, such as 2.',
  );
});

it('is asked by the construct, unless it should not be', () => {
  const migrations = folderOf({ ...FILES, '3_full.sql': 'vacuum full words;' });
  const { stack, secret } = newStack();
  expect(() => new PostgresMigrations(stack, 'Judged', { migrations, secret })).toThrow(/VACUUM FULL/);
  const unjudged = new PostgresMigrations(stack, 'Unjudged', { migrations, secret, lint: false });
  expect(unjudged.node.metadata.filter(({ type }) => type === 'aws:cdk:warning')).toEqual([]);
});
