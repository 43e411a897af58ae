import { it } from 'vitest';
import { deployLongOne, longOnes } from './short-lives.ts';

const rest = (Object.keys(longOnes) as (keyof typeof longOnes)[]).filter((name) => name !== 'any statement');

it.each(rest)('what takes longer than the function lives deploys: %s', deployLongOne);
