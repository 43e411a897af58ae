import * as v from 'valibot';
import { MigrationError } from '../migration/migration-error.ts';

const consoleAction = v.variant('action', [
  v.strictObject({ action: v.literal('run') }),
  v.strictObject({ action: v.literal('status') }),
]);

export type ConsoleAction = v.InferOutput<typeof consoleAction>;

/** What an operator typed into the console's test event; `{}` means run. */
export function parseAction(event: unknown): ConsoleAction {
  const given =
    typeof event === 'object' && event !== null && Object.keys(event).length === 0
      ? { action: 'run' }
      : event;
  const parsed = v.safeParse(consoleAction, given);
  if (parsed.success) return parsed.output;
  throw new MigrationError({
    code: 'action-invalid',
    what: `This event is no action: ${v.summarize(parsed.issues).replaceAll('\n', '; ')}.`,
    applied: 'nothing.',
    next: 'send {} or {"action": "run"} to apply what is pending, {"action": "status"} to see the ledger and the builds.',
  });
}
