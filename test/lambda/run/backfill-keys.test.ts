import { it } from 'vitest';
import { KEYS, walkBy } from './backfilled.ts';

it.each(KEYS.slice(2))('a backfill makes the rows that the one statement makes walking by %s', walkBy);
