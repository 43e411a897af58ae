/**
 * Timeouts for every AWS client. In a network with no route to a service, requests are never answered, and the default
 * timeouts take minutes for each of several attempts. `throwOnRequestTimeout` turns the client's warning into an error.
 */
export const clientLimits = {
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 3_000, requestTimeout: 4_000, throwOnRequestTimeout: true },
} as const;

/** For `send`: limits all attempts of a call together, including the pauses between them. */
export function within(milliseconds: number): { readonly abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(Math.max(1, milliseconds)) };
}

/** Limit for a call, over all its attempts. */
export const CALL_MILLISECONDS = 12_000;

/** Network errors by the names that the SDK and Node give them: nobody has answered. */
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

/** Whether the service could not be reached: a route is missing rather than a permission. */
export function isUnanswered(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return NO_ANSWER.has(error.name) || NO_ANSWER.has(code);
}

/** What to do when a service does not answer. `endpoint` is its part of a VPC endpoint's name. */
export function noWayTo(endpoint: string): string {
  return `the functions have no way to it: in a VPC, give their subnets a NAT gateway, or an interface endpoint com.amazonaws.REGION.${endpoint} with private DNS, whose security group lets the functions in on port 443`;
}

/** Whether a service is there and asks to be left alone for a while: throttled, or with a fault of its own. */
export function isBusy(error: unknown): boolean {
  if (!(error instanceof Error && '$metadata' in error)) return false;
  const { httpStatusCode = 0 } = error.$metadata as { readonly httpStatusCode?: number };
  return httpStatusCode >= 500 || httpStatusCode === 429 || /thrott|toomany|limitexceeded/i.test(error.name);
}
