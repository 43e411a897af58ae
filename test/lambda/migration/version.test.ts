import { describe, expect, it } from 'vitest';
import { compareVersions, parseVersion } from '../../../lambda/migration/version.ts';
import { version } from './made-up.ts';

describe('a version', () => {
  it.each([
    ['1', '1'],
    ['0001', '1'],
    ['0', '0'],
    ['000', '0'],
    ['20170102131034', '20170102131034'],
    ['2017-01-02-131034', '20170102131034'],
    ['2017_01_02.131034', '20170102131034'],
    ['123456789012345678901234567890', '123456789012345678901234567890'],
  ])('%s is %s', (text, value) => {
    expect(parseVersion(text)).toBe(value);
  });

  it.each(['', 'a', '1a', 'v1', '-1', '1-', '1--2', ' 1', '1 ', '1.', '١', '1e3'])('“%s” is none', (text) => {
    expect(parseVersion(text)).toBeUndefined();
  });
});

it('versions are ordered as the numbers they are, of any length', () => {
  const ordered = ['0', '1', '9', '10', '99', '100', '20170102131034', '123456789012345678901234567890'];
  const shuffled = [3, 0, 7, 5, 1, 6, 2, 4].map((index) => version(ordered[index] ?? ''));
  expect(shuffled.sort(compareVersions)).toEqual(ordered);
  for (const a of shuffled) {
    for (const b of shuffled) {
      expect(Math.sign(compareVersions(a, b))).toBe(Math.sign(Number(BigInt(a) - BigInt(b))));
    }
  }
});
