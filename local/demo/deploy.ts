import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import * as v from 'valibot';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { AwsEndpoint } from '../aws-endpoint.ts';
import { localAccount, localArn } from '../local-account.ts';
import type { SynthesizedRelease } from './synthesized-release.ts';

export interface Deploy {
  readonly release: SynthesizedRelease;
  readonly endpoint: AwsEndpoint;
  /** What the stack had before: then this is an Update. */
  readonly former: Deployed | undefined;
}

export interface Deployed {
  readonly physicalResourceId: string;
  readonly resourceProperties: SynthesizedRelease['resourceProperties'];
}

/** The Provider framework asks every 10 seconds; that is longer than anybody wants to watch. */
const QUERY_MILLISECONDS = 500;

const providerAnswer = v.object({ PhysicalResourceId: v.string() });
const completeness = v.object({ IsComplete: v.boolean() });

/**
 * Plays what CloudFormation and the Provider framework do with the custom resource: one event for `onEvent`, then
 * `isComplete` until it says so. A function that throws fails the deploy.
 */
export async function deploy({ release, endpoint, former }: Deploy): Promise<Deployed> {
  const { provider, resourceProperties } = release;
  const lambda = new LambdaClient({
    endpoint: endpoint.url,
    region: localAccount.region,
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
  });
  try {
    const event = {
      RequestType: former === undefined ? 'Create' : 'Update',
      ServiceToken: resourceProperties.ServiceToken,
      StackId: localArn('cloudformation', 'stack/PostgresMigrations/00000000-0000-4000-8000-000000000000'),
      RequestId: randomUUID(),
      LogicalResourceId: 'MigrationsRun',
      ResourceType: 'Custom::PostgresMigrations',
      ResourceProperties: resourceProperties,
      ...(former && {
        PhysicalResourceId: former.physicalResourceId,
        OldResourceProperties: former.resourceProperties,
      }),
    };
    const { PhysicalResourceId } = v.parse(providerAnswer, await invoke(lambda, provider.onEvent, event));
    const question = { ...event, PhysicalResourceId };
    while (!v.parse(completeness, await invoke(lambda, provider.isComplete, question)).IsComplete) {
      await sleep(QUERY_MILLISECONDS);
    }
    return { physicalResourceId: PhysicalResourceId, resourceProperties };
  } finally {
    lambda.destroy();
  }
}

const functionError = v.object({ errorType: v.string(), errorMessage: v.string() });

async function invoke(lambda: LambdaClient, functionArn: string, event: object): Promise<unknown> {
  const { FunctionError, Payload } = await lambda.send(
    new InvokeCommand({ FunctionName: functionArn, Payload: JSON.stringify(event) }),
  );
  const payload: unknown = JSON.parse(new TextDecoder().decode(Payload));
  if (FunctionError === undefined) return payload;
  const { errorMessage } = v.parse(functionError, payload);
  throw new MigrationError({
    code: 'deploy-failed',
    what: `The deploy failed: ${errorMessage}`,
    next: 'mend what the error above says, then start again.',
  });
}
