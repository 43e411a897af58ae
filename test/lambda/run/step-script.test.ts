import { expect, it } from 'vitest';
import type { Step } from '../../../lambda/migration/migration.ts';
import type { PendingStep } from '../../../lambda/migration/plan.ts';
import { type ScriptContext, type ScriptStep, stepScript } from '../../../lambda/run/step-script.ts';
import { migration, statement, transaction } from '../migration/made-up.ts';

const steps = (...more: Partial<Step>[]): ScriptStep[] =>
  more.map((one, index) => {
    const step = { ...transaction(0, statement('SelectStmt'), statement('SelectStmt')), ...one } as Step;
    const pending: PendingStep = { migration: migration(`${index + 1}`, [step]), step, record: 'none' };
    return { pending, handOff: undefined };
  });

const context = (waits: readonly number[], budgetMilliseconds?: number): ScriptContext => ({
  ledgerSchema: 'migrations',
  runId: '00000000-0000-0000-0000-000000000000',
  sessionSettings: ["set lock_timeout = '5000ms'"],
  budgetMilliseconds,
  lockWait: { session: 5000, of: ({ migration }) => waits[Number(migration.version) - 1] ?? 0 },
});

/** What is said of one setting, with the number of the step in which it is. */
const said = (setting: string, script: ReturnType<typeof stepScript>): string[] =>
  script.pieces
    .filter(({ text }) => text.includes(setting))
    .map(({ text, step }) => `${step.migration.version}: ${text}`);

it('many steps in one message are told once how long they may wait for a lock, and the session has its own in the end', () => {
  expect(said('lock_timeout', stepScript(steps({}, {}, {}), context([100, 100, 100])))).toEqual([
    '1: set lock_timeout = 100',
    '3: set lock_timeout = 5000',
  ]);
});

it('a step that is tried again waits longer than those that come after it', () => {
  expect(said('lock_timeout', stepScript(steps({}, {}), context([400, 100])))).toEqual([
    '1: set lock_timeout = 400',
    '2: set lock_timeout = 100',
    '2: set lock_timeout = 5000',
  ]);
});

it('after a step whose settings are taken back, the next is told again', () => {
  const some = steps({}, { leavesSettings: true }, {}, { leavesSettings: true });
  expect(said('lock_timeout', stepScript(some, context([100, 100, 100, 100])))).toEqual([
    '1: set lock_timeout = 100',
    "2: set lock_timeout = '5000ms'",
    '3: set lock_timeout = 100',
    "4: set lock_timeout = '5000ms'",
  ]);
});

it('each statement of a step is told what time is left, and thousands of them not each', () => {
  const told = (count: number) => {
    const statements = Array.from({ length: count }, () => statement('InsertStmt'));
    return said('statement_timeout', stepScript(steps({ statements }), context([100], 60_000))).length;
  };
  expect([1, 2, 3, 200, 10_000].map(told)).toEqual([1, 2, 3, 200, 200]);
  expect(said('statement_timeout', stepScript(steps({}), context([100])))).toEqual([]);
});
