import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from './synthesized.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Without the CDK's own check of the template, which once is enough. */
export const UNCHECKED = { CDK_VALIDATION: 'false' };

/** What `npx cdk synth` makes of the app, with no AWS account, no credentials and no network in sight. */
export function cdkSynth(args: readonly string[] = [], environment: NodeJS.ProcessEnv = UNCHECKED): string {
  const output = temporaryFolder();
  const cdk = createRequire(import.meta.url).resolve('aws-cdk/bin/cdk');
  const { PATH } = process.env;
  execFileSync(process.execPath, [cdk, 'synth', '--quiet', '--output', output, ...args], {
    cwd: root,
    env: {
      PATH,
      HOME: temporaryFolder(),
      CI: 'true',
      HTTPS_PROXY: 'http://127.0.0.1:9',
      CDK_DISABLE_CLI_TELEMETRY: 'true',
      ...environment,
    },
    stdio: 'pipe',
  });
  return output;
}

export const synthesized = (output: string, stackName: string): { Resources: object; Outputs: object } =>
  JSON.parse(readFileSync(join(output, `${stackName}.template.json`), 'utf8'));
