import { App, Stack } from 'aws-cdk-lib';
import { describe, expect, it } from 'vitest';
import { parseMigrations } from '../../../compiler/steps/compile-migrations.ts';
import { type LintProps, lintAtSynth } from '../../../infra/lint-at-synth.ts';
import { PostgresMigrations } from '../../../infra/postgres-migrations.ts';
import { statementsOf } from '../../../lambda/migration/migration.ts';
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
        /^2_index\.sql:1:1: warning CREATE INDEX blocks all writes to words [\s\S]*\n {6}create index concurrently words_word on words \(word\); \[ack: postgres-migrations:lint:plain-create-index\]$/,
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
    /^3_more\.sql:1:36: error Existing rows of words have no a, [\s\S]*\n {39}\^\n[\s\S]*3_more\.sql:2:1: error VACUUM FULL[\s\S]*\n\n2 errors\.\nNext: write what is shown instead/,
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

describe("a folder of another tool's", () => {
  const files = {
    'migration_lock.toml': 'provider = "postgresql"\n',
    '1_words/migration.sql': FILES['1_words.sql'],
    '2_index/migration.sql': FILES['2_index.sql'],
    '3_full/migration.sql': 'vacuum full words;',
  };
  const said = (props?: LintProps) => lint(files, props).map(([, data]) => String(data).split(':')[0]);

  it('has a history that is old: none of it is judged at synth, errors neither, and the deploy is left its questions', () => {
    expect(lint(files)).toEqual([
      [
        'aws:cdk:info',
        "The migrations are laid out as Prisma has it, and are linted at deploy alone, those that are pending. To have new ones linted here too, name the newest that is applied: lint: { since: '3_full' }; or say lint: { all: true }.",
      ],
    ]);
    const checked = lintAtSynth(new Stack(), parseMigrations(folderOf(files)));
    const asked = checked.flatMap(({ migration: { version, steps } }) =>
      steps.flatMap(statementsOf).some(({ checks }) => checks !== undefined) ? [version] : [],
    );
    expect(asked).toEqual(['3_full']);
  });

  it('is judged after the migration that one names, as the tool names it, or whole', () => {
    expect(() => said({ since: '2_index' })).toThrow(/^3_full\/migration\.sql:1:1: error VACUUM FULL/);
    const levels = { 'vacuum-full': 'warning' } as const;
    expect(said({ since: '2_index', levels })).toEqual(['3_full/migration.sql']);
    expect(said({ all: true, levels })).toEqual(['2_index/migration.sql', '3_full/migration.sql']);
  });
});
