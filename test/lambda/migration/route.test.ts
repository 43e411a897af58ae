import { describe, expect, it } from 'vitest';
import type { IndexOperation } from '../../../lambda/migration/migration.ts';
import {
  type PresentTable,
  type RouteFacts,
  routeOf,
  type TableFacts,
} from '../../../lambda/migration/route.ts';

const orders = { schema: undefined, name: 'orders' };
const create: IndexOperation = {
  kind: 'create-index',
  table: orders,
  index: 'i',
  unique: false,
  ifNotExists: false,
  definition: '(x)',
  only: false,
  suggestedName: 'i',
};
const drop: IndexOperation = {
  kind: 'drop-index',
  indexes: [orders, orders],
  ifExists: false,
  cascade: false,
};
const reindex: IndexOperation = { kind: 'reindex', target: 'table', name: orders, options: '' };

const table = (rows: number): PresentTable => ({
  kind: 'present',
  schema: 'public',
  table: 'orders',
  partitioned: false,
  rows,
  bytes: 0,
});
const absent: TableFacts = { kind: 'absent' };

const route = (operation: IndexOperation, facts: Partial<RouteFacts>) =>
  routeOf(operation, {
    strategy: 'auto',
    smallTableRows: 100,
    createdByRun: false,
    buildsPending: false,
    nameTaken: false,
    tables: [table(101)],
    ...facts,
  });

describe.each([
  ['CREATE INDEX', create],
  ['DROP INDEX', drop],
  ['REINDEX', reindex],
] as const)('%s CONCURRENTLY', (_, operation) => {
  it.each<[string, Partial<RouteFacts>, string]>([
    ['a table of smallTableRows', { tables: [table(100)] }, 'inline'],
    ['a table of a row more', { tables: [table(101)] }, 'hand-off'],
    ['an empty table', { tables: [table(0)] }, 'inline'],
    ['no table is small', { smallTableRows: 0, tables: [table(1)] }, 'hand-off'],
    ['one small and one large table', { tables: [table(1), table(101)] }, 'hand-off'],
    ['a small table and none', { tables: [table(1), absent] }, 'inline'],
    ['a large table and none', { tables: [absent, table(101)] }, 'hand-off'],
    ['no table at all: Postgres says so', { tables: [absent] }, 'inline'],
    ['a table that the run created', { createdByRun: true }, 'inline'],
    ['strategy inline, large', { strategy: 'inline' }, 'inline'],
    ['strategy concurrent, small', { strategy: 'concurrent', tables: [table(1)] }, 'hand-off'],
    ['strategy concurrent, created by the run', { strategy: 'concurrent', createdByRun: true }, 'inline'],
    ['strategy concurrent, no table', { strategy: 'concurrent', tables: [absent] }, 'inline'],
    ['a build is pending, small', { buildsPending: true, tables: [table(1)] }, 'hand-off'],
    ['a build is pending, strategy inline', { buildsPending: true, strategy: 'inline' }, 'hand-off'],
    ['a build is pending, created by the run', { buildsPending: true, createdByRun: true }, 'hand-off'],
  ])('%s: %j → %s', (_, facts, expected) => {
    expect(route(operation, facts)).toBe(expected);
  });
});

it('CREATE INDEX under a name that is taken is the loop’s to adopt, rebuild or refuse, also on a small table', () => {
  expect(route(create, { nameTaken: true, tables: [table(1)] })).toBe('hand-off');
  expect(route(create, { nameTaken: true, tables: [table(1)], strategy: 'inline' })).toBe('hand-off');
  expect(route(create, { nameTaken: true, createdByRun: true })).toBe('inline');
  expect(route(drop, { nameTaken: true, tables: [table(1)] })).toBe('inline');
});
