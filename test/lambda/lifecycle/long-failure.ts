import { expect } from 'vitest';
import type { LifeCycle } from './life-cycle.ts';

/** A deploy that fails with 100 KB of this text is told so in what CloudFormation has room for. */
export async function failAtLength(life: LifeCycle, text: string): Promise<void> {
  const { exchanges } = await life.deploy(
    {
      '1_long.sql': `do $$ begin raise exception using message = 'first words ' || repeat('${text}', 100000 / ${text.length}), hint = 'look here'; end $$;`,
    },
    { props: { rowValuesInLogs: 'shown' } },
  );
  const [failed] = exchanges;
  expect(failed?.bytes).toBeLessThan(4_096);
  const lines = failed?.reason.split('\n') ?? [];
  expect(lines[0]).toMatch(/^(Error: )?1_long\.sql:1:1: /);
  expect(lines[1]).toMatch(/^Postgres: first words/);
  if (text !== 'a\n') expect(failed?.reason).toMatch(/\nNext: /);
}
