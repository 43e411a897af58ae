import type { LoggedStep } from '../../lambda/aws/logged-event.ts';

/** Steps of one file that were applied together, or handed off. */
export interface AppliedLine {
  readonly verb: 'applied' | 'handed off';
  readonly what: string;
}

/**
 * One line for each file, or for each part of it: `0004_mixed, steps 1–2 of 4`. A completely applied file has just its
 * name; a handed-off index operation names its index.
 */
export function appliedLines(steps: readonly LoggedStep[]): AppliedLine[] {
  const lines: AppliedLine[] = [];
  let group: LoggedStep[] = [];
  const close = () => {
    const [first] = group;
    if (first !== undefined) lines.push(lineOf(first, group));
    group = [];
  };
  for (const step of steps) {
    const [first] = group;
    if (first !== undefined && !together(first, step)) close();
    group.push(step);
  }
  close();
  return lines;
}

function together(a: LoggedStep, b: LoggedStep): boolean {
  return a.migration === b.migration && a.how !== 'handed off' && b.how !== 'handed off';
}

function lineOf(first: LoggedStep, group: readonly LoggedStep[]): AppliedLine {
  const { migration, how, of } = first;
  const last = group.at(-1) ?? first;
  const which =
    group.length === of
      ? ''
      : group.length === 1
        ? `, step ${first.step} of ${of}`
        : `, steps ${first.step}–${last.step} of ${of}`;
  if (how !== 'handed off') return { verb: 'applied', what: `${migration}${which}` };
  return { verb: 'handed off', what: `${migration}${which}: ${first.operation ?? ''}` };
}
