import { beforeEach, describe, expect, it } from 'vitest';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { compile, freshScenario, type Scenario } from './scenario.ts';

let scenario: Scenario;
const files = {
  '1_users.sql': 'create table users (id int);',
  '2_words.sql': 'create table words (id int);\nvacuum words;\ninsert into words values (1);',
};
beforeEach(async () => {
  scenario = await freshScenario();
  await scenario.run(files);
});

const checksum = async (sql: string): Promise<string> => {
  const { migrations } = await compile({ '1_x.sql': sql });
  return migrations[0]?.checksum.slice(0, 12) ?? '';
};

describe('an applied file that changed', () => {
  it('stops the run, which shows both checksums and the way out, and touches nothing', async () => {
    const changed = 'create table users (id bigint);';
    const error = await scenario.failure({
      ...files,
      '1_users.sql': changed,
      '3_new.sql': 'create table new ();',
    });
    expect(error.message).toBe(
      [
        `1_users.sql: this migration was applied with other statements than the file has now (checksum applied ${await checksum(files['1_users.sql'])}, file ${await checksum(changed)}).`,
        'Applied: nothing by this run.',
        'Next: restore the file and put the change into a new migration; or, if the database already agrees with the file, accept it: {"action": "repair", "version": "1", "accept": "checksum", "confirm": true}, on the command line repair 1 --accept-checksum --confirm.',
      ].join('\n'),
    );
    expect(await scenario.query(`select to_regclass('new') as new`)).toEqual([{ new: null }]);
    expect(
      await scenario.query('select outcome, summary from migrations.run order by started_at desc limit 1'),
    ).toEqual([
      {
        outcome: 'failed',
        summary: { applied: [], steps: 0, error: error.message, plainError: error.message },
      },
    ]);
  });

  exhaustive.it('names the step', async () => {
    const error = await scenario.failure({
      ...files,
      '2_words.sql': files['2_words.sql'].replace('(1)', '(2)'),
    });
    expect(error.message).toMatch(
      /^2_words\.sql: step 3 of 3 of this migration was applied with other statements/,
    );
  });

  it.each(
    firstOf(1, [
      ['a comment', '-- the users\ncreate table users (id int);'],
      ['white space and case', '  CREATE   TABLE\n\tusers(id INT)\n;\n'],
      ['CRLF and a BOM', '﻿create table users (id int);\r\n'],
    ]),
  )('in %s only is no error, and a change of bytes is named', async (_, sql) => {
    const { outcome, applied } = await scenario.run({ ...files, '1_users.sql': sql });
    expect({ outcome, applied }).toEqual({ outcome: 'done', applied: [] });
    const planned = scenario.events.findLast((event) => event.kind === 'planned');
    const named = planned?.kind === 'planned' ? planned.plan.reformatted.map(({ name }) => name) : undefined;
    const same = (await checksum(sql)) === (await checksum(files['1_users.sql']));
    expect(named).toEqual(same ? [] : ['1_users']);
  });

  exhaustive.it('by a statement more is drift too, also by one that would be a step of its own', async () => {
    for (const more of [' create table more ();', ' vacuum users;']) {
      const error = await scenario.failure({ ...files, '1_users.sql': files['1_users.sql'] + more });
      expect(error.code).toBe('drift');
    }
  });

  exhaustive.it('that failed within may be fixed from there on', async () => {
    const failing = { ...files, '3_mixed.sql': 'create table a (); vacuum a; select 1 / 0;' };
    await scenario.failure(failing);
    expect(await scenario.steps()).toContain('3.1 applied');
    const fixed = { ...files, '3_mixed.sql': 'create table a (); vacuum a; select 1; vacuum a; select 2;' };
    expect((await scenario.run(fixed)).applied.map(({ step }) => step)).toEqual([2, 3, 4]);
  });

  exhaustive.it('by its name alone is the same migration', async () => {
    const { '1_users.sql': users, ...rest } = files;
    expect((await scenario.run({ ...rest, '0001_people.sql': users })).applied).toEqual([]);
  });
});
