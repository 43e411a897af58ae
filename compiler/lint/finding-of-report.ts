import type { RelationLock } from '../../lambda/migration/lock-modes.ts';
import { pointAt } from '../syntax/source-excerpt.ts';
import { type Finding, findingLock } from './finding.ts';
import type { Report, Rule, Severity } from './rule.ts';
import type { StatementContext } from './statement-context.ts';

/** Adds the place, and what the statement locks, to a report. */
export function findingOf(
  { index, what, instead, afterwards, note, relation }: Report,
  {
    context,
    rule,
    severity,
  }: { readonly context: StatementContext; readonly rule: Rule; readonly severity: Severity },
): Finding {
  const { source, migration } = context.file;
  const at = index ?? context.statement.index;
  const lock = rule.aboutLocks ? lockOf(context, relation) : undefined;
  return {
    rule: rule.name,
    severity,
    version: migration.version,
    file: source.file,
    position: source.positionOf(at),
    excerpt: pointAt(source, at),
    what,
    lock: lock && findingLock(lock),
    instead,
    afterwards,
    note,
  };
}

/** The lock that a report is about. */
export function lockOf(context: StatementContext, relation: Report['relation']): RelationLock | undefined {
  const own = context.locks.find(
    ({ relation: { schema, name } }) => name === relation?.name && schema === relation.schema,
  );
  return own ?? context.strongestLock;
}
