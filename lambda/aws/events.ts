import { setTimeout as sleep } from 'node:timers/promises';
import { environment } from '../environment.ts';
import { clientLimits, within } from './client-limits.ts';

/** Source of all our events on the bus. */
export const EVENT_SOURCE = 'cdk-postgres-migrations';

export interface DomainEvent {
  readonly type: 'Run Ended' | 'Index Build Ended';
  /** Names, numbers and messages: no SQL, no secret. */
  readonly detail: object;
}

/** The most that PutEvents takes at once. */
const MOST_ENTRIES = 10;

/** Attempts for each rejected entry; the client itself retries calls that fail as a whole. */
const ATTEMPTS = 3;
const PAUSE_MILLISECONDS = 200;

/**
 * Puts the events on the configured bus, within so many milliseconds. Sends nothing where no bus is configured.
 *
 * @throws UnsentEvents
 */
export async function sendEvents(events: readonly DomainEvent[], milliseconds: number): Promise<void> {
  const bus = process.env[environment.eventBus];
  if (events.length === 0 || bus === undefined || bus === '') return;
  const { EventBridgeClient, PutEventsCommand } = await import('@aws-sdk/client-eventbridge');
  const client = new EventBridgeClient(clientLimits);
  const late = within(milliseconds);
  const put = async (entries: readonly DomainEvent[]): Promise<Refused[]> => {
    const { Entries = [] } = await client.send(
      new PutEventsCommand({
        Entries: entries.map(({ type, detail }) => ({
          EventBusName: bus,
          Source: EVENT_SOURCE,
          DetailType: type,
          Detail: JSON.stringify({ service: process.env.POWERTOOLS_SERVICE_NAME, ...detail }),
        })),
      }),
      late,
    );
    return entries.flatMap((event, index) => {
      const { ErrorCode, ErrorMessage } = Entries[index] ?? {};
      return ErrorCode === undefined ? [] : [{ event, because: `${ErrorCode}: ${ErrorMessage}` }];
    });
  };
  const unsent: Refused[] = [];
  try {
    for (let first = 0; first < events.length; first += MOST_ENTRIES) {
      unsent.push(...(await putAll(events.slice(first, first + MOST_ENTRIES), put)));
      if (late.abortSignal.aborted) {
        unsent.push(
          ...events.slice(first + MOST_ENTRIES).map((event) => ({ event, because: 'no time was left' })),
        );
        break;
      }
    }
  } finally {
    client.destroy();
  }
  if (unsent.length > 0) throw new UnsentEvents(unsent);
}

interface Refused {
  readonly event: DomainEvent;
  readonly because: string;
}

async function putAll(
  events: readonly DomainEvent[],
  put: (events: readonly DomainEvent[]) => Promise<Refused[]>,
): Promise<Refused[]> {
  let left: Refused[] = events.map((event) => ({ event, because: '' }));
  for (let attempt = 1; left.length > 0 && attempt <= ATTEMPTS; attempt++) {
    if (attempt > 1) await sleep(PAUSE_MILLISECONDS * attempt);
    const sending = left.map(({ event }) => event);
    try {
      left = await put(sending);
    } catch (error) {
      const because = error instanceof Error ? error.message : String(error);
      return sending.map((event) => ({ event, because }));
    }
  }
  return left;
}

/** The error carries them, so that the log has what the bus did not take. */
export class UnsentEvents extends Error {
  readonly events: readonly DomainEvent[];

  constructor(refused: readonly Refused[]) {
    super([...new Set(refused.map(({ because }) => because))].join('; '));
    this.name = 'UnsentEvents';
    this.events = refused.map(({ event }) => event);
  }
}
