import { beforeEach, describe, expect, it } from 'vitest';
import { freshScenario, type Scenario } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario();
});

describe('a file that was given another number', () => {
  const before = {
    '1_a.sql': 'create table a ();',
    '2_b.sql': 'create table b (); commit; create table c ();',
  };
  const after = { '1_a.sql': 'create table a ();', '7_renamed.sql': before['2_b.sql'] };

  it('after it was applied is still applied, back and forth', async () => {
    await scenario.run(before);
    expect((await scenario.run(after)).applied).toEqual([]);
    expect(await scenario.steps()).toEqual(['1.0 applied', '7.0 applied', '7.1 applied']);
    expect((await scenario.plan(after)).files).toEqual([]);
    expect((await scenario.run(before)).applied).toEqual([]);
    expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied', '2.1 applied']);
  });

  it('after it stopped within continues where it stopped', async () => {
    const sql = 'create table a (); commit; alter table b add x int;';
    await scenario.failure({ '1_a.sql': sql });
    await scenario.query('create table b ()');
    expect((await scenario.run({ '2_a.sql': sql })).outcome).toBe('done');
    expect(await scenario.steps()).toEqual(['2.0 applied', '2.1 applied']);
  });

  it('and is there under its old one too is a new file', async () => {
    await scenario.run({ '1_a.sql': 'create table if not exists a ();' });
    const both = {
      '1_a.sql': 'create table if not exists a ();',
      '2_a.sql': 'create table if not exists a ();',
    };
    expect((await scenario.run(both)).applied).toHaveLength(1);
  });
});
