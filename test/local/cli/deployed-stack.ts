import { type LifeCycle, largeTable, newLifeCycle } from '../../lambda/lifecycle/life-cycle.ts';
import { type Ended, migrate } from './command-line.ts';

export const MINUTES = 60_000;

export const tables = { '1_words.sql': largeTable('words') };
export const indexes = { ...tables, '2_index.sql': 'create index concurrently words_x on words (x);' };

export interface Deployed {
  readonly life: LifeCycle;
  readonly env: Readonly<Record<string, string>>;
  /** Runs a verb through the stack. */
  verb(...args: string[]): Promise<Ended>;
}

export async function deployed(): Promise<Deployed> {
  const life = await newLifeCycle();
  const env = { ...life.aws.environment };
  return { life, env, verb: (...args) => migrate([...args, '--stack', 'Stack'], env) };
}
