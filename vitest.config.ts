import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { rank, suites } from './test/suites.ts';

// `npm test` names projects; whoever names none wants all there is.
const whole = !process.argv.some((argument) => argument.startsWith('--project'));

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => rank(a.moduleId) - rank(b.moduleId));
  }
}

const withServers = { globalSetup: ['test/support/global-setup.ts'] };

export default defineConfig({
  test: {
    projects: [
      { extends: true, test: { name: 'unit', include: [...suites.unit] } },
      { extends: true, test: { name: 'story', include: [...suites.story], ...withServers } },
      { extends: true, test: { name: 'exhaustive', include: [...suites.exhaustive], ...withServers } },
    ],
    // The CDK's own check of a template takes each process three seconds: where it is the matter, it is switched on.
    env: { CDK_VALIDATION: 'false', WHOLE_SUITE: String(whole) },
    // On a machine that is busy otherwise, a deploy with its synthesis and a handful of threads takes its time.
    testTimeout: 120_000,
    // Real servers on a busy machine: in CI a test that fails is tried again, and reported as such.
    retry: process.env.CI === undefined ? 0 : 2,
    hookTimeout: 60_000,
    sequence: { sequencer: LongestFirst },
    pool: 'forks',
    // Loading the CDK for each file anew takes longer than most files: a process does many, one after the other.
    isolate: false,
    // Tests wait for servers about half of their time, so two processors have work for four; each more loads the CDK once more.
    maxWorkers: 4,
  },
});
