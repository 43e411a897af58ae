import type { SizeCheck } from '../../lambda/migration/deploy-check.ts';
import { blockedBy } from '../../lambda/migration/lock-modes.ts';
import { as } from '../syntax/syntax-tree.ts';
import { lockOf } from './finding-of-report.ts';
import type { Report, Rule } from './rule.ts';
import type { StatementContext } from './statement-context.ts';

export type SizeQuestion = Omit<SizeCheck, 'rule' | 'verdict'>;

interface Reporting {
  readonly context: StatementContext;
  readonly rule: Rule;
}

/** What a report leaves to the deploy, which knows the tables' sizes; nothing where the size does not matter. */
export function sizeQuestions(report: Report, reporting: Reporting): readonly SizeQuestion[] {
  const { what, instead, reads } = report;
  if (reporting.rule.bySize !== true) return [];
  if (reads !== undefined)
    return reads.map((relation) => ({
      kind: 'size',
      relation,
      work: 'scan',
      blocks: 'nothing',
      what,
      instead,
    }));
  const question = lockQuestion(report, reporting);
  return question === undefined ? [] : [question];
}

function lockQuestion(
  { index, what, instead, relation, blocks, alone }: Report,
  { context }: Reporting,
): SizeQuestion | undefined {
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
    ...subjectOf(context, index),
  };
}

/** What the database itself can say of the subcommand that a report is about. */
function subjectOf(
  { alteration, statement }: StatementContext,
  index: number | undefined,
): Pick<SizeCheck, 'unlessColumn' | 'unlessNotNull' | 'retype'> {
  const at = (index ?? statement.index) - statement.index;
  const command = alteration?.commands.find(({ start, text }) => start <= at && at < start + text.length);
  if (command === undefined) return {};
  const { subtype = 'AT_AddColumn', missing_ok, def, name = '' } = command.tree;
  if (subtype === 'AT_AlterColumnType') return { retype: { column: name, command: command.text } };
  if (subtype === 'AT_SetNotNull') return { unlessNotNull: name };
  const column = as('ColumnDef', def)?.colname;
  return subtype === 'AT_AddColumn' && missing_ok === true && column !== undefined
    ? { unlessColumn: column }
    : {};
}
