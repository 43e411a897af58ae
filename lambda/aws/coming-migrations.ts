import * as v from 'valibot';
import { COMPILED_MIGRATIONS_FILE } from '../environment.ts';
import type { CompiledMigrations } from '../migration/migration.ts';
import { clientLimits } from './client-limits.ts';
import { parseCompiled } from './function-context.ts';
import type { HookEvent } from './hook-event.ts';
import { zipEntry } from './zip-entry.ts';

/** The environment variable that tells the functions of several constructs apart. */
const SERVICE = 'POWERTOOLS_SERVICE_NAME';

/** Limit for reading the template and the asset. */
const MILLISECONDS = 8_000;

/**
 * The migrations that a deploy brings. The hook runs the previous deploy's function with its migrations, but the
 * template about to be deployed names the asset with the new ones, which is uploaded by then. Undefined where the
 * template no longer has such a function.
 */
export async function comingMigrations(event: HookEvent): Promise<CompiledMigrations | undefined> {
  const url = event.requestData.payload;
  if (url === null || url === undefined) throw new Error('the event carries no template');
  const response = await fetch(url, { signal: AbortSignal.timeout(MILLISECONDS) });
  if (!response.ok) throw new Error(`the template could not be read: HTTP status ${response.status}`);
  const { template } = v.parse(v.object({ template: v.string() }), await response.json());
  const asset = assetOf(parseTemplate(template), process.env[SERVICE]);
  if (asset === undefined) return undefined;
  const archive = await readObject(substituted(asset.S3Bucket, event), asset.S3Key);
  const compiled = zipEntry(archive, COMPILED_MIGRATIONS_FILE);
  if (compiled === undefined) throw new Error(`the new code holds no ${COMPILED_MIGRATIONS_FILE}`);
  return parseCompiled(compiled.toString('utf8'));
}

const codeSchema = v.object({
  S3Bucket: v.union([v.string(), v.object({ 'Fn::Sub': v.string() })]),
  S3Key: v.string(),
});
type Asset = v.InferOutput<typeof codeSchema>;

const templateSchema = v.object({
  Resources: v.record(v.string(), v.looseObject({ Type: v.string(), Properties: v.optional(v.unknown()) })),
});

function parseTemplate(text: string): v.InferOutput<typeof templateSchema> {
  try {
    return v.parse(templateSchema, JSON.parse(text));
  } catch {
    // The CDK writes JSON; other ways of deploying may turn it into YAML.
    throw new Error('the template is not the JSON that the CDK writes');
  }
}

/** Our function in the new template: the one of the same construct, after which its service is named. */
function assetOf(
  { Resources }: v.InferOutput<typeof templateSchema>,
  service: string | undefined,
): Asset | undefined {
  const ours = v.object({
    Handler: v.literal('preflight.handler'),
    Environment: v.object({ Variables: v.object({ [SERVICE]: v.literal(service ?? '') }) }),
    Code: codeSchema,
  });
  for (const { Type, Properties } of Object.values(Resources)) {
    if (Type !== 'AWS::Lambda::Function') continue;
    const parsed = v.safeParse(ours, Properties);
    if (parsed.success) return parsed.output.Code;
  }
  return undefined;
}

/** The bucket's name as the CDK writes it, cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}. */
function substituted(bucket: Asset['S3Bucket'], { awsAccountId = '' }: HookEvent): string {
  if (typeof bucket === 'string') return bucket;
  return bucket['Fn::Sub']
    .replace(/\$\{AWS::AccountId\}/g, awsAccountId)
    .replace(/\$\{AWS::Region\}/g, process.env.AWS_REGION ?? '');
}

async function readObject(Bucket: string, Key: string): Promise<Buffer> {
  const { S3Client, GetObjectCommand } = await import('@aws-sdk/client-s3');
  const client = new S3Client(clientLimits);
  try {
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }), {
      abortSignal: AbortSignal.timeout(MILLISECONDS),
    });
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  } finally {
    client.destroy();
  }
}
