import { publicError } from './public-error.ts';

/** Lambda sets it for an invocation that X-Ray follows. */
const TRACE_ID = '_X_AMZN_TRACE_ID';

/**
 * Brackets a part of the work with a subsegment of its own, with the fault where it throws. The tracer is larger than
 * all of our own code, so it is loaded only in an invocation that is traced.
 */
export async function traced<T>(name: string, work: () => Promise<T>): Promise<T> {
  if ((process.env[TRACE_ID] ?? '') === '') return work();
  const { Tracer } = await import('@aws-lambda-powertools/tracer');
  const tracer = new Tracer();
  const parent = tracer.getSegment();
  const segment = parent?.addNewSubsegment(`## ${name}`);
  if (segment === undefined || parent === undefined) return work();
  tracer.setSegment(segment);
  try {
    return await work();
  } catch (error) {
    const told = publicError(error);
    tracer.addErrorAsMetadata(told instanceof Error ? told : new Error(String(told)));
    throw error;
  } finally {
    segment.close();
    tracer.setSegment(parent);
  }
}
