import * as v from 'valibot';

/** An error as an AWS service sends it: the SDK's client throws an exception of this name. */
export class AwsError extends Error {
  readonly type: string;
  readonly status: number;

  constructor(type: string, message: string, status = 400) {
    super(message);
    this.name = 'AwsError';
    this.type = type;
    this.status = status;
  }
}

/** The fields of a request that we read; others, which a real service would check, are ignored. */
export function parseRequest<const Schema extends v.GenericSchema>(
  schema: Schema,
  input: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, input);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new AwsError('ValidationException', `${v.getDotPath(issue) ?? 'input'}: ${issue.message}`);
}

/** A time as JSON protocols write it: seconds since 1970. */
export const epochSeconds = (milliseconds: number): number => milliseconds / 1000;
