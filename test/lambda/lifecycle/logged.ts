import { expect } from 'vitest';
import { METRIC_NAMESPACE } from '../../../lambda/aws/metric-names.ts';
import type { LifeCycle } from './life-cycle.ts';

export const SERVICE = 'Stack/Migrations';

/** The log's lines that are JSON. */
export const linesOf = (life: LifeCycle): Record<string, unknown>[] =>
  life.cloudFormation.log.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));

interface Embedded {
  readonly CloudWatchMetrics: readonly {
    readonly Namespace: string;
    readonly Dimensions: readonly (readonly string[])[];
    readonly Metrics: readonly { readonly Name: string }[];
  }[];
}

/** What CloudWatch makes of the lines: `RunFailed{service=Stack/Migrations}: 1`. */
export function metricsOf(life: LifeCycle): string[] {
  return linesOf(life).flatMap((line) =>
    ((line._aws as Embedded | undefined)?.CloudWatchMetrics ?? []).flatMap(
      ({ Namespace, Dimensions, Metrics }) => {
        expect(Namespace).toBe(METRIC_NAMESPACE);
        const dimensions = Dimensions.map((names) =>
          [...names]
            .sort()
            .map((name) => `${name}=${line[name]}`)
            .join(','),
        );
        return Metrics.map(
          ({ Name }) => `${Name}{${dimensions.join(' ')}}: ${[line[Name]].flat().join(' ')}`,
        );
      },
    ),
  );
}
