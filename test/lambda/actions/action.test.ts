import { describe, expect, it } from 'vitest';
import { actionExamples, parseAction } from '../../../lambda/actions/action.ts';
import { MigrationError } from '../../../lambda/migration/migration-error.ts';

function refusalOf(event: unknown): string {
  try {
    return `It was read as ${JSON.stringify(parseAction(event))}.`;
  } catch (error) {
    if (error instanceof MigrationError) return error.message;
    throw error;
  }
}

/** Every action once, in the order of the examples; the first of them, `{}`, is a run. */
const NAMES = [
  ...new Set(
    actionExamples.map(
      (example) => /"action": "([a-z]+)"/.exec(example.split('    ')[0] ?? '')?.[1] ?? 'run',
    ),
  ),
].join(', ');

const EXAMPLES = `Applied: nothing.\nNext: send one of these:\n${actionExamples.join('\n')}`;

describe('an event', () => {
  it('of {} is a run', () => {
    expect(parseAction({})).toEqual({ action: 'run' });
  });

  it('that is given as an example is an action, word for word', () => {
    for (const example of actionExamples) {
      const json = /^\{.*?\}(?= |$)/.exec(example)?.[0] ?? '';
      expect(parseAction(JSON.parse(json)), example).toHaveProperty('action');
    }
  });

  it('has ten names at least, with an example each', () => {
    expect(NAMES).toMatch(/^run, status, plan, retry, cancel, pause, resume, .*baseline, repair, undo$/);
  });

  it('may write a version as a number, with zeros or as a date', () => {
    const to = (version: unknown) => parseAction({ action: 'undo', to: version, confirm: true });
    expect([7, '0007', '2026-01-31', 0, '0'].map((version) => to(version))).toEqual(
      ['7', '0007', '2026-01-31', '0', '0'].map((version) => ({
        action: 'undo',
        to: version,
        confirm: true,
      })),
    );
  });

  it.each([
    [null, 'expected a JSON object such as {"action": "status"}, received null'],
    ['run', 'expected a JSON object such as {"action": "status"}, received "run"'],
    [[], `action: expected one of ${NAMES}`],
    [{ acton: 'run' }, `action: expected one of ${NAMES}`],
    [{ action: 'destroy' }, `action: expected one of ${NAMES}`],
    [{ action: 'run', force: true }, '"force" is not known here'],
    [{ action: 'cancel' }, '"index" is missing'],
    [{ action: 'undo', to: '6' }, 'this action changes what is recorded or applied: add "confirm": true'],
    [
      { action: 'undo', to: '6', confirm: 'yes' },
      'this action changes what is recorded or applied: add "confirm": true',
    ],
    [{ action: 'undo', to: '', confirm: true }, 'to: expected a version'],
    [{ action: 'undo', to: {}, confirm: true }, 'to: expected a version, such as "0007"'],
    [
      { action: 'repair', version: '7', step: 0, as: 'applied', confirm: true },
      'step: Invalid value: Expected >=1 but received 0',
    ],
    ...[
      {},
      { step: 1 },
      { as: 'applied', continueAt: 2 },
      { accept: 'checksum', forget: true },
      { forget: true, step: 1 },
    ].map((form): [object, string] => [
      { action: 'repair', version: '7', confirm: true, ...form },
      'repair does one thing: "accept": "checksum"; or "as", of a "step" or of the whole; or "continueAt"; or "forget": true',
    ]),
  ])('%j is answered with what was expected, and examples', (event, problem) => {
    expect(refusalOf(event)).toBe(`This event is not an action: ${problem}.\n${EXAMPLES}`);
  });

  it.each([
    { action: 'baseline', version: '7' },
    { action: 'repair', version: '7', forget: true },
    { action: 'undo', to: '7' },
  ])('%j is refused without its confirmation', (event) => {
    expect(refusalOf(event)).toContain(
      'this action changes what is recorded or applied: add "confirm": true',
    );
    expect(parseAction({ ...event, confirm: true })).toEqual({ ...event, confirm: true });
  });
});
