import {
  CloudFormationClient,
  DescribeStacksCommand,
  paginateListStackResources,
} from '@aws-sdk/client-cloudformation';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import * as v from 'valibot';
import { MigrationError } from '../../../lambda/migration/migration-error.ts';

/** Which deployed migrator: by its function, or by the stack that has it. */
export interface DeployedFlags {
  readonly stack?: string;
  readonly function?: string;
  readonly profile?: string;
  readonly region?: string;
}

/** The deployed migrator, invoked with the SDK's default credentials. */
export class DeployedMigrator {
  readonly functionName: string;
  readonly #lambda: LambdaClient;

  private constructor(functionName: string, lambda: LambdaClient) {
    this.functionName = functionName;
    this.#lambda = lambda;
  }

  static async find(flags: DeployedFlags): Promise<DeployedMigrator> {
    const { profile, region } = flags;
    // The SDK's warnings about Node versions do not concern whoever runs a migration.
    process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
    const account = {
      ...(profile === undefined ? {} : { profile }),
      ...(region === undefined ? {} : { region }),
    };
    const named =
      flags.function ?? (await functionOfStack(new CloudFormationClient(account), flags.stack ?? ''));
    return new DeployedMigrator(named, new LambdaClient(account));
  }

  /**
   * Invokes it with an action, and waits for its answer. Throws MigrationError: the function's own, or why there is no
   * answer.
   */
  async invoke(action: object): Promise<unknown> {
    const { FunctionError, Payload } = await reached(
      `the function ${this.functionName}`,
      this.#lambda.send(
        new InvokeCommand({ FunctionName: this.functionName, Payload: JSON.stringify(action) }),
      ),
    );
    const answer: unknown = JSON.parse(Payload?.transformToString() || 'null');
    if (FunctionError !== undefined) throw failureOf(answer);
    return answer;
  }
}

/** The output that names the migrator, whatever the construct is called: its key begins with the construct's path. */
const OUTPUT = /MigratorFunction(?:[0-9A-F]{8})?$/;
/** The migrator's logical id, where a stack has no such outputs. */
const LOGICAL_ID = /Migrator[0-9A-F]{8}$/;

async function functionOfStack(client: CloudFormationClient, stack: string): Promise<string> {
  const where = `the stack ${stack}`;
  const { Stacks = [] } = await reached(where, client.send(new DescribeStacksCommand({ StackName: stack })));
  const outputs = (Stacks[0]?.Outputs ?? []).filter(({ OutputKey = '' }) => OUTPUT.test(OutputKey));
  let found = outputs.flatMap(({ OutputValue }) => OutputValue ?? []);
  if (found.length === 0) found = await reached(where, migratorsAmongResources(client, stack));
  const [first] = found;
  if (first !== undefined && found.length === 1) return first;
  throw new MigrationError({
    code: 'usage',
    what:
      first === undefined
        ? `The stack ${stack} has no migrator.`
        : `The stack ${stack} has ${found.length} migrators: ${found.join(', ')}.`,
    next:
      first === undefined
        ? 'name the stack in which PostgresMigrations is, or the function itself with --function.'
        : 'name one of them with --function.',
  });
}

async function migratorsAmongResources(client: CloudFormationClient, stack: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { StackResourceSummaries = [] } of paginateListStackResources(
    { client },
    { StackName: stack },
  )) {
    for (const { ResourceType, LogicalResourceId = '', PhysicalResourceId } of StackResourceSummaries) {
      if (ResourceType === 'AWS::Lambda::Function' && LOGICAL_ID.test(LogicalResourceId))
        found.push(PhysicalResourceId ?? LogicalResourceId);
    }
  }
  return found;
}

async function reached<T>(what: string, asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (cause) {
    const said = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    throw new MigrationError({
      code: 'deployed-unreachable',
      what: `Can't ask ${what}: ${said}`,
      applied: 'nothing by this command, unless the connection was lost while the function ran.',
      next: 'see that the name is right, that --profile and --region lead to its account, and that you may call lambda:InvokeFunction, cloudformation:DescribeStacks and cloudformation:ListStackResources.',
      cause,
    });
  }
}

const failure = v.object({
  errorType: v.optional(v.string(), 'Error'),
  errorMessage: v.optional(v.string(), ''),
});

/** The function's own error. */
function failureOf(answer: unknown): MigrationError {
  const { errorType, errorMessage } = v.parse(
    v.fallback(failure, { errorType: 'Error', errorMessage: '' }),
    answer,
  );
  return (
    failureInWords(errorMessage) ??
    new MigrationError({
      code: 'deployed-failed',
      what: `The deployed function failed: ${errorType}: ${errorMessage || 'it gives no reason'}`,
      next: "look into the function's log, then run the same command again: it continues where it stopped.",
    })
  );
}

/** Undefined if the text is not one of our errors, which end with what to do next. */
export function failureInWords(text: string): MigrationError | undefined {
  const at = text.lastIndexOf('\nNext: ');
  return at <= 0
    ? undefined
    : new MigrationError({
        code: 'deployed-failed',
        what: text.slice(0, at),
        next: text.slice(at + '\nNext: '.length),
      });
}
