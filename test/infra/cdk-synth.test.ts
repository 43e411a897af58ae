import { expect, it } from 'vitest';
import { cdkSynth, synthesized } from './cdk-synth.ts';

it('cdk synth works without account, network or context, and is repeatable', () => {
  const first = synthesized(cdkSynth([], {}), 'PostgresMigrations');
  const second = synthesized(cdkSynth(), 'PostgresMigrations');

  expect(second).toEqual(first);
  expect(JSON.stringify(first)).toContain(':secret:postgres-migrations/database');
}, 60_000);
