import { InvalidArgumentError, Option } from 'commander';
import type { Level, Levels } from '../../compiler/lint/lint-migrations.ts';

/** `--level drop-column=error`, as often as there are rules. */
export function levelOption(): Option {
  return new Option('--level <rule=level>', 'of a lint rule: error, warning, advice or off; may be repeated')
    .argParser(level)
    .default({}, 'as docs/lint.md has them');
}

function level(text: string, levels: Levels): Levels {
  const [, rule, given] = /^([a-z-]+)=(error|warning|advice|off)$/.exec(text) ?? [];
  if (rule === undefined) throw new InvalidArgumentError('Give RULE=LEVEL, such as drop-column=error.');
  return { ...levels, [rule]: given as Level };
}
