import { defaultOptions } from '../lambda/migration/options.ts';
import type { Figure } from './figure.ts';
import { simulateBuild } from './simulated-build.ts';

const DAY_SECONDS = 86_400;
const POLL_SECONDS = 30;

/** What a build of 24 hours costs in Step Functions; simulated with the function that decides the waits. */
export function stateTransitions(): Figure[] {
  const benchmark = 'a build of 24 hours (simulated)';
  const unit = 'state transitions';
  const { attachSeconds } = defaultOptions;
  const of = (left: (elapsed: number) => number | undefined): number =>
    simulateBuild(DAY_SECONDS, attachSeconds, left).transitions;
  return [
    { benchmark, who: 'the loop, no progress to be seen', value: of(() => undefined), unit, atMost: 600 },
    {
      benchmark,
      who: 'the loop, exact progress',
      value: of((elapsed) => DAY_SECONDS - elapsed),
      unit,
      atMost: 600,
    },
    {
      benchmark,
      who: `a look every ${POLL_SECONDS} s`,
      value: (DAY_SECONDS / POLL_SECONDS) * 3,
      unit,
    },
  ];
}
