import type { SizeCheck } from '../../lambda/migration/deploy-check.ts';
import { blockedBy } from '../../lambda/migration/lock-modes.ts';
import { as } from '../syntax/syntax-tree.ts';
import { lockOf } from './finding-of-report.ts';
import type { Report, Rule } from './rule.ts';
import type { StatementContext } from './statement-context.ts';

export type SizeQuestion = Omit<SizeCheck, 'rule' | 'verdict'>;

/** What a report leaves to the deploy, which knows the table's size; undefined where the size does not matter. */
export function sizeQuestion(
  { what, instead, relation, blocks, alone }: Report,
  { context, rule }: { readonly context: StatementContext; readonly rule: Rule },
): SizeQuestion | undefined {
  if (rule.bySize !== true) return undefined;
  const lock = lockOf(context, relation);
  if (lock === undefined || lock.work === 'moment') return undefined;
  const blocked = blocks ?? blockedBy(lock.mode);
  if (blocked !== 'writes' && blocked !== 'reads and writes') return undefined;
  const only = alone === true || as('AlterTableStmt', context.tree)?.relation?.inh === undefined;
  return {
    kind: 'size',
    relation: lock.relation,
    work: lock.work,
    blocks: blocked,
    what,
    instead,
    ...(only && { alone: true }),
  };
}
