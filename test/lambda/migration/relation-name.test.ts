import { expect, it } from 'vitest';
import { mayBeSame, relationKey } from '../../../lambda/migration/relation-name.ts';

const orders = { schema: undefined, name: 'orders' };

it('names may mean the same relation where a schema is left out', () => {
  const inShop = { schema: 'shop', name: 'orders' };
  expect(mayBeSame(orders, inShop)).toBe(true);
  expect(mayBeSame(inShop, orders)).toBe(true);
  expect(mayBeSame(inShop, { schema: 'archive', name: 'orders' })).toBe(false);
  expect(mayBeSame(inShop, { schema: 'shop', name: 'users' })).toBe(false);
  expect(relationKey(inShop)).not.toBe(relationKey(orders));
  expect(relationKey({ schema: 'a', name: 'b.c' })).not.toBe(relationKey({ schema: 'a.b', name: 'c' }));
});
