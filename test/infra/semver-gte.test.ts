import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { gte } from '../../infra/bundle/semver-gte.ts';

const semver = createRequire(import.meta.url)('semver') as { gte: typeof gte };
const versions = [
  '8.0.0',
  '7.10.1',
  '18.20.4',
  '20.20.0',
  '24.11.1',
  '2.7.15',
  '2.1000.0',
  '2.99.9',
  '10.0.0',
];

it.each(versions)('%s compares with each other version as semver has it', (version) => {
  expect(versions.map((least) => gte(version, least))).toEqual(
    versions.map((least) => semver.gte(version, least)),
  );
});
