import { readdirSync, readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { deployRules } from '../../../compiler/lint/rules.ts';
import { type Files, freshScenario, type Scenario } from '../../lambda/run/scenario.ts';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';

const fixtures = new URL('./deploy-fixtures/', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, fixtures), 'utf8');
const NAMES: string[] = deployRules.map(({ name }) => name);

let scenario: Scenario;
const schema = { '1_schema.sql': read('schema.sql') };
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
  await scenario.run(schema);
});

const fixture = (rule: string, which: 'bad' | 'good', before = ''): Files => ({
  ...schema,
  '2_test.sql': `${before}${read(`${rule}/${which}.sql`)}`,
});

/** What each rule says of its bad fixture. */
const said: Readonly<Record<string, readonly string[]>> = {
  'null-values': [
    '2_test.sql:1:1: 1 row of customers has no country, which is to become NOT NULL.',
    'Statement: alter table customers alter column country set not null',
    'Applied: nothing by this run.',
    'Next: give them a value, then run again: select * from "customers" where "country" is null.',
  ],
  'orphaned-rows': [
    '2_test.sql:3:1: 1 row of orders refers by customer_id to rows missing from customers, such as (9).',
    'Statement: alter table orders validate constraint orders_customer_id_fkey',
    'Applied: nothing by this run.',
    'Next: correct or delete them, or add what they refer to; then run again.',
  ],
  'duplicate-values': [
    '2_test.sql:1:1: 1 value of (lower(email)) occurs in more than one row of customers, such as (ada@example.org) in 2 rows.',
    'Statement: create unique index concurrently customers_email_lower on customers (lower(email))',
    'Applied: nothing by this run.',
    'Next: leave one row of each, then run again.',
  ],
  'check-violations': [
    '2_test.sql:3:1: 1 row of orders violates the check orders_total_check.',
    'Statement: alter table orders validate constraint orders_total_check',
    'Applied: nothing by this run.',
    'Next: correct them, then run again: select * from "orders" where not (total >= 0).',
  ],
};

describe('every rule of the deploy', () => {
  it('has fixtures, and every fixture a rule', () => {
    const folders = readdirSync(fixtures).filter((name) => !name.includes('.'));
    expect(folders.sort()).toEqual([...NAMES].sort());
  });

  it.each(NAMES)('%s stops its bad fixture before anything of it is applied', async (rule) => {
    const error = await scenario.failure(fixture(rule, 'bad'));
    expect(error.code).toBe('lint-refused');
    expect(error.message.split('\n')).toEqual(said[rule]);
    expect(await scenario.steps()).toEqual(['1.0 applied']);
    expect(scenario.events.findLast(({ kind }) => kind === 'linted')).toMatchObject({
      findings: [{ rule, verdict: 'refuse' }],
    });
  });

  exhaustive.it.each(NAMES)('%s is right: Postgres would refuse it as well', async (rule) => {
    await expect(scenario.deploy(fixture(rule, 'bad'), { dataCheckSeconds: 0 })).rejects.toMatchObject({
      code: 'statement-failed',
    });
  });

  it.each(firstOf(1, NAMES))('%s has nothing against its good fixture, which is applied', async (rule) => {
    expect(await scenario.deploy(fixture(rule, 'good'))).toEqual({ outcome: 'valid', message: '' });
    expect(scenario.events.some(({ kind }) => kind === 'linted')).toBe(false);
  });

  exhaustive.it.each(NAMES)('%s is left alone where the file allows it', async (rule) => {
    const allowed = fixture(rule, 'bad', `-- migrate: allow ${rule} it is a test\n`);
    expect((await scenario.failure(allowed)).code).toBe('statement-failed');
  });

  it.each(NAMES)('%s stands in docs/lint.md, with both fixtures', (rule) => {
    const docs = readFileSync(new URL('../../../docs/lint.md', import.meta.url), 'utf8');
    const [, entry = ''] = docs.split(`\n### ${rule}\n`);
    const [text = ''] = entry.split(/\n##/);
    for (const which of ['bad', 'good'] as const) expect(text).toContain(read(`${rule}/${which}.sql`).trim());
  });
});
