import { describe, expect, it } from 'vitest';
import { excerpt, MigrationError } from '../../../lambda/migration/migration-error.ts';

describe('an error', () => {
  it('tells where, what, what Postgres said, the statement, what is applied and what to do, in this order', () => {
    const cause = new Error('below');
    const error = new MigrationError({
      code: 'statement-failed',
      what: 'This statement failed.',
      place: { file: '1_a.sql', position: { line: 3, column: 14 }, statement: 'select\n\t 1 / 0' },
      fault: { sqlstate: '22012', message: 'division by zero', detail: 'd', hint: 'h', context: 'c' },
      applied: 'nothing.',
      next: 'correct it.',
      cause,
    });
    expect(error.message).toBe(
      [
        '1_a.sql:3:14: This statement failed.',
        'Postgres: division by zero (SQLSTATE 22012)',
        'Detail: d',
        'Hint: h',
        'Context: c',
        'Statement: select 1 / 0',
        'Applied: nothing.',
        'Next: correct it.',
      ].join('\n'),
    );
    expect(error).toMatchObject({ code: 'statement-failed', name: 'MigrationError', cause });
  });

  it('leaves out what there is not', () => {
    const error = new MigrationError({ code: 'x', what: 'It failed.', next: 'try again.' });
    expect(error.message).toBe('It failed.\nNext: try again.');
    expect('cause' in error).toBe(false);
  });
});

it('an excerpt is one line of at most so many characters', () => {
  expect(excerpt(' create table\n  t ()\r\n')).toBe('create table t ()');
  expect(excerpt('x'.repeat(300))).toHaveLength(300);
  expect(excerpt('x'.repeat(301))).toBe(`${'x'.repeat(299)}…`);
});
