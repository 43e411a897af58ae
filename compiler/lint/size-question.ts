import type { SizeCheck } from '../../lambda/migration/deploy-check.ts';
import { blockedBy } from '../../lambda/migration/lock-modes.ts';
import { as } from '../syntax/syntax-tree.ts';
import { codeTokensOf, isWord } from '../syntax/tokens.ts';
import type { Command } from './alteration.ts';
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
  { index, what, turning, instead, relation, blocks, alone }: Report,
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
    ...subjectOf(context, index, turning),
  };
}

/** What the database itself can say of the subcommand that a report is about. */
function subjectOf(
  { alteration, statement }: StatementContext,
  index: number | undefined,
  turning = '',
): Pick<SizeCheck, 'unlessColumn' | 'unlessNotNull' | 'retype' | 'attach' | 'unlessStored'> {
  const at = (index ?? statement.index) - statement.index;
  const command =
    alteration?.commands.find(({ start, text }) => start <= at && at < start + text.length) ??
    (alteration?.commands.length === 1 ? alteration.commands[0] : undefined);
  if (alteration === undefined || command === undefined) return {};
  const { subtype = 'AT_AddColumn', missing_ok, def, name = '' } = command.tree;
  switch (subtype) {
    case 'AT_AlterColumnType':
      return { retype: { column: name, command: command.text, turning } };
    case 'AT_SetNotNull':
      return { unlessNotNull: name };
    case 'AT_AttachPartition': {
      const bound = boundOf(command);
      return bound === undefined ? {} : { attach: { parent: alteration.table, bound } };
    }
    case 'AT_SetLogged':
      return { unlessStored: { by: 'logged' } };
    case 'AT_SetUnLogged':
      return { unlessStored: { by: 'unlogged' } };
    case 'AT_SetTableSpace':
      return { unlessStored: { by: 'tablespace', name } };
    case 'AT_SetAccessMethod':
      return name === '' ? {} : { unlessStored: { by: 'access method', name } };
    case 'AT_SetExpression':
      return { unlessStored: { by: 'virtual column', name } };
    case 'AT_AddColumn': {
      const column = as('ColumnDef', def)?.colname;
      return missing_ok === true && column !== undefined ? { unlessColumn: column } : {};
    }
    default:
      return {};
  }
}

/** From FOR on. */
function boundOf({ text }: Command): string | undefined {
  const tokens = codeTokensOf(text);
  const values = tokens.findIndex((token) => isWord(token, 'values'));
  return values < 1 ? undefined : text.slice(tokens[values - 1]?.start);
}
