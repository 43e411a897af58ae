import type { AppliedStep } from '../../lambda/run/run.ts';

/** Steps of one file that were applied together, or handed off. */
export interface AppliedLine {
  readonly verb: 'applied' | 'handed off';
  readonly what: string;
}

/**
 * One line for each file, or for each part of it: `0004_mixed, steps 1–2 of 4`. A file of which all was applied is
 * named alone; an index operation that was handed off names its index.
 */
export function appliedLines(steps: readonly AppliedStep[]): AppliedLine[] {
  const lines: AppliedLine[] = [];
  let group: AppliedStep[] = [];
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

function together(a: AppliedStep, b: AppliedStep): boolean {
  return a.migration === b.migration && a.how !== 'handed off' && b.how !== 'handed off';
}

function lineOf(first: AppliedStep, group: readonly AppliedStep[]): AppliedLine {
  const { migration, how } = first;
  const last = group.at(-1) ?? first;
  const all = migration.steps.length;
  const which =
    group.length === all
      ? ''
      : group.length === 1
        ? `, step ${first.step + 1} of ${all}`
        : `, steps ${first.step + 1}–${last.step + 1} of ${all}`;
  if (how !== 'handed off') return { verb: 'applied', what: `${migration.name}${which}` };
  return { verb: 'handed off', what: `${migration.name}${which}: ${operationOf(first)}` };
}

function operationOf({ migration, step }: AppliedStep): string {
  const found = migration.steps[step];
  if (found?.kind !== 'index-operation') return '';
  const { operation } = found;
  switch (operation.kind) {
    case 'create-index':
      return `${operation.index ?? operation.suggestedName} on ${operation.table.name}`;
    case 'drop-index':
      return `drop of ${operation.indexes.map(({ name }) => name).join(', ')}`;
    case 'reindex':
      return `reindex of ${operation.name?.name ?? operation.target}`;
    default:
      return operation satisfies never;
  }
}
