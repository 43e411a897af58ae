import { describe, expect, it } from 'vitest';
import { askableChecks } from '../../../lambda/migration/askable-checks.ts';
import type { DeployCheck } from '../../../lambda/migration/deploy-check.ts';
import type { Statement } from '../../../lambda/migration/migration.ts';
import type { PendingStep } from '../../../lambda/migration/plan.ts';
import { migration, statement, transaction } from './made-up.ts';

const relation = (name: string) => ({ schema: undefined, name });
const base = { rule: 'a-rule', verdict: 'refuse' } as const;
const nulls: DeployCheck = { ...base, kind: 'nulls', relation: relation('t'), column: 'x' };
const qualified: DeployCheck = { ...nulls, relation: { schema: 'app', name: 't' } };
const orphans: DeployCheck = {
  ...base,
  kind: 'orphans',
  relation: relation('t'),
  columns: ['x'],
  references: relation('other'),
  referenced: [],
};
const size: DeployCheck = {
  ...base,
  kind: 'size',
  relation: relation('t'),
  work: 'rewrite',
  blocks: 'reads and writes',
  what: '',
  instead: '',
};

const asking = (...checks: readonly DeployCheck[]): Statement => ({
  ...statement('AlterTableStmt'),
  alters: [],
  checks,
});
const altering = (
  alters: NonNullable<Statement['alters']>,
  kind = 'UpdateStmt',
  changes = [] as string[],
) => ({
  ...statement(kind, { changes: changes.map(relation) }),
  alters,
});

/** Each statement in a step of its own. */
const asked = (...statements: readonly Statement[]): readonly string[] => {
  const steps = statements.map((each, number) => transaction(number, each));
  const of = migration('1', steps);
  const pending = steps.map((step): PendingStep => ({ migration: of, step, record: 'none' }));
  const { sizes, data } = askableChecks(pending);
  return [...sizes, ...data].map(({ check, pending: { step } }) => `${step.number} ${check.kind}`);
};

describe('checks of the data', () => {
  it('are asked where nothing pending comes before them', () => {
    expect(asked(asking(nulls, orphans))).toEqual(['0 nulls', '0 orphans']);
  });

  it.each([
    ['writes the table', altering([relation('t')])],
    ['writes a table of that name in some schema', altering([{ schema: 'app', name: 't' }])],
    ['may do anything', altering('everything')],
    ['was compiled before this was known', statement('UpdateStmt')],
  ])('are not asked after a statement that %s', (_, before) => {
    expect(asked(before, asking(nulls))).toEqual([]);
  });

  it('are asked after one that alters another table', () => {
    expect(asked(altering([relation('u')]), asking(nulls))).toEqual(['1 nulls']);
  });

  it.each([
    ['its column', ['x'], []],
    ['another column', ['y'], ['1 nulls']],
  ])('are asked by whether %s is altered', (_, columns, expected) => {
    const before = altering([{ ...relation('t'), columns }], 'AlterTableStmt');
    expect(asked(before, asking(nulls))).toEqual(expected);
  });

  it('of a foreign key hang on both tables', () => {
    expect(asked(altering([relation('other')]), asking(nulls, orphans))).toEqual(['1 nulls']);
  });
});

it('a name that may mean another relation is not asked about, until its step ends', () => {
  const within = transaction(0, altering('names', 'VariableSetStmt'), asking(nulls, size), asking(qualified));
  const after = transaction(1, asking(nulls));
  const of = migration('1', [within, after]);
  const pending = of.steps.map((step): PendingStep => ({ migration: of, step, record: 'none' }));
  const { sizes, data } = askableChecks(pending);
  expect(
    [...sizes, ...data].map(({ check, pending: { step } }) => `${step.number} ${check.relation.schema}`),
  ).toEqual(['0 app', '1 undefined']);
});

describe('checks of the size', () => {
  it('are asked whatever was written before: that makes no table small', () => {
    expect(asked(altering('everything'), asking(size, nulls))).toEqual(['1 size']);
  });

  it.each(['DropStmt', 'TruncateStmt', 'RenameStmt', 'AlterObjectSchemaStmt'])(
    'are not asked after a %s, behind which the name means another table, or an empty one',
    (kind) => {
      expect(asked(altering([relation('t')], kind, ['t']), asking(size))).toEqual([]);
      expect(asked(altering([relation('u')], kind, ['u']), asking(size))).toEqual(['1 size']);
    },
  );
});
