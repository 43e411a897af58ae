import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Finding, lintMigrations } from '../../../compiler/lint/lint-migrations.ts';
import { allowRules, rules, synthRuleNames } from '../../../compiler/lint/rules.ts';
import { createDatabase, type FreshDatabase } from '../../support/fresh-database.ts';
import { parseText } from '../compile-text.ts';
import { fixturesFolder, lintAfterSchema, readFixture, replaced, SCHEMA } from './lint-text.ts';

const NAMES = [...synthRuleNames];
const brief = ({ rule, what }: Finding): string => `${rule}: ${what}`;

/** The bad file with the first finding's SQL in place of its statement, and the later migration that it asks for. */
function corrected(rule: string): readonly string[] {
  const sql = readFixture(rule, 'bad');
  const finding = lintAfterSchema([sql]).find((each) => each.rule === rule);
  const statement = parseText(sql).up.statements.findLast(
    ({ position }) => finding !== undefined && position.line <= finding.position.line,
  );
  if (finding === undefined || statement === undefined) throw new Error(`${rule} finds nothing.`);
  return [
    replaced(sql, finding, statement),
    ...(finding.afterwards === undefined ? [] : [finding.afterwards]),
  ];
}

describe('every rule', () => {
  it('has fixtures, and every fixture a rule', () => {
    const folders = readdirSync(fixturesFolder).filter((name) => !name.includes('.'));
    expect(folders.sort()).toEqual([...NAMES].sort());
  });

  it.each(NAMES)('%s finds its bad fixture', (rule) => {
    expect(lintAfterSchema([readFixture(rule, 'bad')]).map((finding) => finding.rule)).toContain(rule);
  });

  it.each(NAMES)('%s and all others find nothing in its good fixture', (rule) => {
    expect(lintAfterSchema([readFixture(rule, 'good')]).map(brief)).toEqual([]);
  });

  it.each(NAMES)('%s can be switched off by a level and by the file', (rule) => {
    const sql = readFixture(rule, 'bad');
    const off = lintAfterSchema([sql], { levels: { [rule]: 'off' } });
    expect(off.map((finding) => finding.rule)).not.toContain(rule);
    if (rule in allowNames) return;
    const allowed = lintAfterSchema([`-- migrate: allow ${rule} it is a test\n${sql}`]);
    expect(allowed.map((finding) => finding.rule)).not.toContain(rule);
  });
});

const allowNames = Object.fromEntries(Object.values(allowRules).map(({ name }) => [name, true]));

describe('the SQL that a finding gives', () => {
  it.each(rules.map(({ name }) => name))('of %s is free of findings in place of the statement', (rule) => {
    expect(lintAfterSchema(corrected(rule)).map(brief)).toEqual([]);
  });

  let database: FreshDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());

  // One database for all: to make and copy as many takes longer than everything else here.
  it.each(rules.map(({ name }) => name))('of %s runs', async (rule) => {
    await database.adminQuery(`${EMPTIED};\n${SCHEMA}`);
    for (const sql of corrected(rule)) {
      // One statement to a message: CONCURRENTLY refuses the transaction that several would be.
      for (const { text, tree } of parseText(sql).up.statements) {
        if ('TransactionStmt' in tree) continue;
        await database.adminQuery(text);
      }
    }
  });
});

/** As a new database: all that the schema and the statements of the fixtures make lies in a schema. */
const EMPTIED = `do $$ declare each text; begin
  for each in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
    execute format('drop schema %I cascade', each);
  end loop;
end $$;
create schema public`;

describe('docs/lint.md', () => {
  const docs = readFileSync(new URL('../../../docs/lint.md', import.meta.url), 'utf8');
  const severities = new Map(
    [...rules, ...Object.values(allowRules)].map(({ name, severity }) => [name, severity]),
  );

  it.each(NAMES)('explains %s, with its level and both fixtures', (rule) => {
    const [, entry = ''] = docs.split(`\n### ${rule}\n`);
    const [text = ''] = entry.split(/\n##/);
    expect(text).toContain(`**${severities.get(rule)}**`);
    expect(text).toContain(readFixture(rule, 'bad').trim());
    expect(text).toContain(readFixture(rule, 'good').trim());
  });
});

describe('docs/lint.md on the deploy', () => {
  it('names every rule that is checked again, and no other', () => {
    const docs = readFileSync(new URL('../../../docs/lint.md', import.meta.url), 'utf8');
    const [, list = ''] =
      /These rules are checked again, against the real tables: ([^.]*)\./.exec(docs) ?? [];
    expect(list.split(/,\s+/).sort()).toEqual(
      rules
        .filter(({ bySize }) => bySize === true)
        .map(({ name }) => name)
        .sort(),
    );
  });
});

describe('the shipped example', () => {
  it('is free of findings', () => {
    expect(lintMigrations(fileURLToPath(new URL('../../../migrations', import.meta.url))).map(brief)).toEqual(
      [],
    );
  });
});
