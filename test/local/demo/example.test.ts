import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileMigrations } from '../../../compiler/steps/compile-migrations.ts';
import { kindOf } from '../../../lambda/migration/build.ts';
import { QUERIES } from '../../../local/demo/queries.ts';

const { migrations } = await compileMigrations('migrations');
const operations = migrations.flatMap(({ steps }) =>
  steps.flatMap((step) => (step.kind === 'index-operation' ? [step.operation] : [])),
);

describe('the example', () => {
  it('has an undo file for each migration', () => {
    expect(migrations.filter(({ undo }) => undo === undefined)).toEqual([]);
  });

  it('creates every index concurrently, and asks a query of each', () => {
    const indexes = operations.map((operation) =>
      operation.kind === 'create-index' ? operation.index : operation.kind,
    );
    expect(QUERIES.map(({ index }) => index).sort()).toEqual(indexes.sort());
    const plain = migrations.flatMap(({ steps }) =>
      steps.flatMap((step) =>
        step.kind === 'transaction' ? step.statements.filter(({ kind }) => kind === 'IndexStmt') : [],
      ),
    );
    expect(plain).toEqual([]);
  });

  it('mixes ordinary statements and index operations in one file', () => {
    const kinds = migrations.find(({ name }) => name === '0010_activity')?.steps.map(({ kind }) => kind);
    expect(kinds).toEqual(['transaction', 'index-operation', 'index-operation']);
  });

  it('shows one of each kind of work beside the indexes', () => {
    const kinds = migrations.flatMap(({ steps }) =>
      steps.flatMap((step) =>
        step.kind === 'index-operation' || step.long === undefined ? [] : [kindOf(step.long.operation)],
      ),
    );
    expect(kinds).toEqual(['refresh', 'refresh', 'backfill', 'validation']);
  });

  it('locks one table that the application writes at a time, or it could deadlock with the application', () => {
    const program = readFileSync('local/demo/writer-process.ts', 'utf8');
    const written = new Set(
      [...program.matchAll(/`?(?:insert into|update) (\w+) (?:\(|set)/g)].map(([, table]) => table),
    );
    expect([...written].sort()).toEqual(['daily_stats', 'messages', 'saved_words']);
    for (const { steps } of migrations) {
      for (const step of steps) {
        if (step.kind !== 'transaction') continue;
        const created = new Set(
          step.statements.flatMap(({ touches }) => touches.creates.map(({ name }) => name)),
        );
        const changed = new Set(
          step.statements.flatMap(({ touches }) => touches.changes.map(({ name }) => name)),
        );
        const existing = [...changed].filter((name) => !created.has(name) && written.has(name));
        expect(existing.length, existing.join(', ')).toBeLessThanOrEqual(1);
      }
    }
  });
});
