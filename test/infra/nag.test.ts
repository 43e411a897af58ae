import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import { migrationsFolder, newStack } from './synthesized.ts';

describe("cdk-nag's AwsSolutions pack", () => {
  it('finds nothing in the construct that is not justified in its code', () => {
    const { stack, secret } = newStack();
    const migrations = new PostgresMigrations(stack, 'Migrations', {
      migrations: migrationsFolder(),
      secret,
      preflightHook: {},
    });

    const { violations } = new AwsSolutionsChecks(stack).validateScope(migrations);
    expect(
      violations.flatMap(({ ruleName, violatingResources }) =>
        violatingResources.map(({ constructPath }) => `${ruleName} at ${constructPath}`),
      ),
    ).toEqual([]);
  });
});
