import { it } from 'vitest';
import { newLifeCycle } from './life-cycle.ts';
import { failAtLength } from './long-failure.ts';

it.each([
  ['letters', 'x'],
  ['quotes, which take two bytes as JSON', '"'],
  ['line ends', 'a\n'],
])(
  'a failure of 100 KB of %s fits into the 4,096 bytes, with what happened first and what to do next',
  async (_, text) => failAtLength(await newLifeCycle(), text),
);
