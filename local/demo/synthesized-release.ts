import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { App, Duration } from 'aws-cdk-lib';
import * as v from 'valibot';
import { MigrationsStack } from '../../infra/migrations-stack.ts';
import { DEFAULT_SECRET_NAME } from '../../infra/stack-context.ts';
import { COMPILED_MIGRATIONS_FILE } from '../../lambda/environment.ts';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { CloudFormationTemplate } from '../cloudformation-template.ts';
import { stateMachineOf } from '../state-machine-definition.ts';
import type { FunctionCode } from './lambda-environment.ts';

/** What one `cdk deploy` would bring to AWS, taken from its own template and assets. */
export interface SynthesizedRelease {
  readonly migrations: CompiledMigrations;
  readonly functions: readonly Omit<FunctionCode, 'onLog'>[];
  readonly loop: { readonly arn: string; readonly definition: unknown };
  /** The functions that the Provider framework calls. */
  readonly provider: { readonly onEvent: string; readonly isComplete: string };
  /** Of the custom resource, resolved. */
  readonly resourceProperties: Readonly<Record<string, unknown>>;
}

export interface Synthesis {
  readonly migrations: string;
  /** Of the cloud assembly. */
  readonly outdir: string;
  /** The turn that starts a build stays with it for so long. */
  readonly attachSeconds: number;
}

/** Synthesizes the deployable stack as `cdk synth` does, in this process. */
export function synthesizeRelease({ migrations, outdir, attachSeconds }: Synthesis): SynthesizedRelease {
  const app = new App({ outdir, context: cdkContext() });
  const stack = new MigrationsStack(app, 'PostgresMigrations', {
    migrations,
    secret: { kind: 'name', name: DEFAULT_SECRET_NAME },
    attach: Duration.seconds(attachSeconds),
  });
  const { template: json } = app.synth().getStackByName(stack.stackName);
  const template = new CloudFormationTemplate(json);
  const all = template.resourcesOf('AWS::Lambda::Function').map((resource) => ({
    name: resource.logicalId,
    ...v.parse(functionProperties, resource.properties),
  }));
  // Beside ours stand the Provider framework's own functions; what they do, local/demo/deploy.ts plays.
  const ours = all.flatMap(({ name, Code, Handler, Timeout, Environment }) => {
    const asset = join(outdir, `asset.${Code.S3Key.replace(/\.zip$/, '')}`);
    if (!existsSync(join(asset, COMPILED_MIGRATIONS_FILE))) return [];
    const [file = '', exportName = ''] = Handler.split('.');
    const module = pathToFileURL(join(asset, `${file}.mjs`)).href;
    return [{ name, module, exportName, timeoutSeconds: Timeout, variables: Environment.Variables, asset }];
  });
  const framework = all.find(({ Handler }) => Handler === 'framework.onEvent');
  const { USER_ON_EVENT_FUNCTION_ARN: onEvent = '', USER_IS_COMPLETE_FUNCTION_ARN: isComplete = '' } =
    framework?.Environment.Variables ?? {};
  const [resource] = template.resourcesOf('Custom::PostgresMigrations');
  return {
    migrations: readCompiled(ours[0]?.asset ?? outdir),
    functions: ours.map(({ asset: _, ...code }) => code),
    loop: stateMachineOf(json, 'MigrationsIndexBuildLoop'),
    provider: { onEvent, isComplete },
    resourceProperties: resource?.properties ?? {},
  };
}

const functionProperties = v.object({
  Handler: v.string(),
  Code: v.object({ S3Key: v.string() }),
  Timeout: v.number(),
  Environment: v.optional(v.object({ Variables: v.record(v.string(), v.string()) }), { Variables: {} }),
});

/** The CDK's command line would pass it; an app in process has to be given it. */
function cdkContext(): Record<string, unknown> {
  const text = readFileSync(new URL('../../cdk.json', import.meta.url), 'utf8');
  return v.parse(v.object({ context: v.record(v.string(), v.unknown()) }), JSON.parse(text)).context;
}

/** Our own compiler's output: of one age with us. */
function readCompiled(asset: string): CompiledMigrations {
  return JSON.parse(readFileSync(join(asset, COMPILED_MIGRATIONS_FILE), 'utf8')) as CompiledMigrations;
}
