import * as v from 'valibot';

/** What the CDK's Provider framework passes to `onEvent` and `isComplete`. */
const cloudFormationEvent = v.object({
  RequestType: v.picklist(['Create', 'Update', 'Delete']),
  StackId: v.optional(v.string(), ''),
  LogicalResourceId: v.optional(v.string(), ''),
  RequestId: v.optional(v.string(), ''),
  PhysicalResourceId: v.optional(v.string()),
  /** What onEvent answered, when the framework calls isComplete. */
  Data: v.optional(v.object({ StartedAt: v.optional(v.string()), Outcome: v.optional(v.string()) }), {}),
});

export type CloudFormationEvent = v.InferOutput<typeof cloudFormationEvent>;

export function isCloudFormationEvent(event: unknown): boolean {
  return typeof event === 'object' && event !== null && 'RequestType' in event;
}

export function parseCloudFormationEvent(event: unknown): CloudFormationEvent {
  return v.parse(cloudFormationEvent, event);
}

/**
 * The same for the life of the resource: CloudFormation deletes the old resource when the id changes. Derived from the
 * stack and the logical name, so that an event delivered twice gets the same id.
 */
export function physicalResourceId({
  PhysicalResourceId,
  StackId,
  LogicalResourceId,
}: CloudFormationEvent): string {
  if (PhysicalResourceId !== undefined && PhysicalResourceId !== '') return PhysicalResourceId;
  return `migrations-${stackName(StackId)}-${LogicalResourceId}`;
}

export function describeEvent({ RequestType, StackId }: CloudFormationEvent): string {
  return `${RequestType} of stack ${stackName(StackId)}`;
}

/** arn:aws:cloudformation:region:account:stack/NAME/uuid */
function stackName(stackId: string): string {
  return stackId.split('/')[1] ?? stackId;
}
