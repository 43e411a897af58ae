import type { LocalCloudFormation } from '../cloudformation/provider-framework.ts';
import { type ChaosBlow, makeChaos, STRUCK_KINDS } from '../faults/chaos.ts';
import type { EmbeddedPostgres } from '../postgres/embedded-postgres.ts';
import type { DemoDisplay } from './demo-display.ts';

export interface Chaos {
  /** The builds have ended: no further blow. Resolves with those that were struck. */
  end(): Promise<readonly ChaosBlow[]>;
}

interface Victim {
  readonly server: EmbeddedPostgres;
  readonly adminUrl: string;
  readonly cloudFormation: LocalCloudFormation;
  readonly display: DemoDisplay;
}

/** Strikes the deploy in the middle of its builds: handler killed, builder terminated, server crashed. */
export function breakThings({ server, adminUrl, cloudFormation, display }: Victim): Chaos {
  const controller = new AbortController();
  const struck = makeChaos({
    server,
    adminUrl,
    kinds: STRUCK_KINDS,
    killHandler: async () => cloudFormation.stack?.sandbox('MigrationsIndexBuild').kill(),
    report: ({ blow, index }) => display.verb('red', 'CHAOS', `${blow} (building ${index})`),
    signal: controller.signal,
  });
  struck.catch(() => undefined);
  return {
    end() {
      controller.abort();
      return struck;
    },
  };
}
