import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { AwsError, parseRequest } from './aws-error.ts';

export interface PutEvent {
  readonly source: string;
  readonly detailType: string;
  /** Parsed from its JSON. */
  readonly detail: unknown;
  readonly bus: string;
  readonly resources: readonly string[];
}

const putEvents = v.object({
  Entries: v.pipe(
    v.array(
      v.object({
        Source: v.optional(v.string()),
        DetailType: v.optional(v.string()),
        Detail: v.optional(v.string()),
        EventBusName: v.optional(v.string(), 'default'),
        Resources: v.optional(v.array(v.string()), []),
      }),
    ),
    v.minLength(1),
    v.maxLength(10),
  ),
});

const LARGEST_BYTES = 256 * 1024;

/** EventBridge: takes events and keeps them. It rejects single entries, with status 200. */
export class AwsEvents {
  readonly events: PutEvent[] = [];
  #refusals = 0;

  /** This many of the next entries are rejected, as by a service in trouble. */
  refuseNext(count: number): void {
    this.#refusals += count;
  }

  handle(operation: string, input: unknown): object {
    if (operation !== 'PutEvents')
      throw new AwsError('UnknownOperationException', `${operation} is not supported here.`);
    const { Entries } = parseRequest(putEvents, input);
    const results = Entries.map((entry) => this.#take(entry));
    return { FailedEntryCount: results.filter((result) => 'ErrorCode' in result).length, Entries: results };
  }

  #take(entry: v.InferOutput<typeof putEvents>['Entries'][number]): object {
    if (this.#refusals > 0) {
      this.#refusals--;
      return { ErrorCode: 'InternalFailure', ErrorMessage: 'The request processing has failed.' };
    }
    const { Source, DetailType, Detail, EventBusName, Resources } = entry;
    if (!Source || !DetailType || !Detail) {
      const missing = !Source ? 'Source' : !DetailType ? 'DetailType' : 'Detail';
      return { ErrorCode: 'InvalidArgument', ErrorMessage: `Parameter ${missing} is not valid.` };
    }
    if (Buffer.byteLength(Source + DetailType + Detail) > LARGEST_BYTES) {
      return { ErrorCode: 'InvalidArgument', ErrorMessage: 'Total size of the entry is too large.' };
    }
    const detail = parseObject(Detail);
    if (detail === undefined) return { ErrorCode: 'MalformedDetail', ErrorMessage: 'Detail is malformed.' };
    this.events.push({
      source: Source,
      detailType: DetailType,
      detail,
      bus: EventBusName,
      resources: Resources,
    });
    return { EventId: randomUUID() };
  }
}

function parseObject(json: string): object | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
