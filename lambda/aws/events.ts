import { environment } from '../environment.ts';

/** Source of all our events on the bus. */
export const EVENT_SOURCE = 'cdk-postgres-migrations';

export interface DomainEvent {
  readonly type: 'Run Ended' | 'Index Build Ended';
  /** Names, numbers and messages: no SQL, no secret. */
  readonly detail: object;
}

/** PutEvents takes at most so many at once. */
const MOST_ENTRIES = 10;

/** Puts the events on the account's default bus. Without a bus in the environment nothing is sent. */
export async function sendEvents(events: readonly DomainEvent[]): Promise<void> {
  const bus = process.env[environment.eventBus];
  if (events.length === 0 || bus === undefined || bus === '') return;
  const { EventBridgeClient, PutEventsCommand } = await import('@aws-sdk/client-eventbridge');
  const client = new EventBridgeClient({});
  try {
    for (let first = 0; first < events.length; first += MOST_ENTRIES) {
      const { FailedEntryCount = 0, Entries } = await client.send(
        new PutEventsCommand({
          Entries: events.slice(first, first + MOST_ENTRIES).map(({ type, detail }) => ({
            EventBusName: bus,
            Source: EVENT_SOURCE,
            DetailType: type,
            Detail: JSON.stringify({ service: process.env.POWERTOOLS_SERVICE_NAME, ...detail }),
          })),
        }),
      );
      if (FailedEntryCount > 0)
        throw new Error(
          `${FailedEntryCount} events were refused: ${Entries?.find(({ ErrorCode }) => ErrorCode)?.ErrorMessage}`,
        );
    }
  } finally {
    client.destroy();
  }
}
