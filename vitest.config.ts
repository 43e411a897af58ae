import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // The CDK's own check of a template takes each process three seconds: where it is the matter, it is switched on.
    env: { CDK_VALIDATION: 'false' },
    testTimeout: 60_000,
    // Real servers on a busy machine: in CI a test that fails is tried again, and reported as such.
    retry: process.env.CI === undefined ? 0 : 2,
    hookTimeout: 60_000,
    pool: 'forks',
    // Tests wait for servers about half of their time, so two processors have work for three.
    maxWorkers: 3,
  },
});
