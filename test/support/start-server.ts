import { onTestFinished } from 'vitest';
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from '../../local/postgres/embedded-postgres.ts';

/** A server of the test's own, for tests that restart it or need settings of their own. It ends with the test. */
export async function startServer(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ durability: 'none', ...options });
  onTestFinished(() => postgres.stop());
  return postgres;
}
