/**
 * No client of ours waits without end: behind a network without a way to a service, a request is never answered, and
 * the system's own patience is minutes for each of several attempts. `throwOnRequestTimeout` makes an error of what
 * the client would only warn of.
 */
export const clientLimits = {
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 3_000, requestTimeout: 4_000, throwOnRequestTimeout: true },
} as const;

/** For `send`: all attempts of a call together, pauses included. */
export function within(milliseconds: number): { readonly abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(Math.max(1, milliseconds)) };
}

/** Limit for a call, all its attempts together. */
export const CALL_MILLISECONDS = 12_000;

/** Names of errors of the way, as the SDK and Node give them: nobody has answered. */
const NO_ANSWER = new Set([
  'TimeoutError',
  'AbortError',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
]);

/** Whether the service was never heard of: the way to it is missing, rather than a right. */
export function isUnanswered(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return NO_ANSWER.has(error.name) || NO_ANSWER.has(code);
}

/** What to do where a service does not answer. `endpoint` is its name in that of a VPC endpoint. */
export function noWayTo(endpoint: string): string {
  return `the functions have no way to it: in a VPC, give their subnets a NAT gateway, or an interface endpoint com.amazonaws.REGION.${endpoint} with private DNS, whose security group lets the functions in on port 443`;
}
