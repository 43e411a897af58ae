import type { Recovery } from '../../lambda/migration/migration.ts';
import { as, kindOf, type Node } from '../syntax/syntax-tree.ts';

/** Statements that may run twice: the second time changes nothing, or makes the same again. */
const REPEATABLE: ReadonlySet<string> = new Set([
  'AlterDatabaseStmt',
  'AlterRoleSetStmt',
  'AlterSubscriptionStmt',
  'AlterSystemStmt',
  'CheckPointStmt',
  'ClusterStmt',
  'CommentStmt',
  'DiscardStmt',
  'RefreshMatViewStmt',
  'ReindexStmt',
  'VacuumStmt',
  'VariableSetStmt',
]);

/** IF NOT EXISTS, IF EXISTS and OR REPLACE, by the names that the grammar has for them. */
const FORGIVING = ['if_not_exists', 'missing_ok', 'replace'];

const ask: Recovery = { kind: 'ask' };
const repeat: Recovery = { kind: 'repeat' };

/** How to learn, after a crash, whether an autocommit step's statement happened. */
export function recoveryOf(tree: Node): Recovery {
  return existence(tree) ?? (mayRepeat(tree) ? repeat : ask);
}

function existence(tree: Node): Recovery | undefined {
  const named = (
    kind: 'exists' | 'absent',
    object: 'database' | 'tablespace' | 'subscription',
    name: string | undefined,
  ): Recovery => (name === undefined ? ask : { kind, object, name });
  if ('CreatedbStmt' in tree) return named('exists', 'database', tree.CreatedbStmt.dbname);
  if ('DropdbStmt' in tree) return named('absent', 'database', tree.DropdbStmt.dbname);
  if ('CreateTableSpaceStmt' in tree)
    return named('exists', 'tablespace', tree.CreateTableSpaceStmt.tablespacename);
  if ('DropTableSpaceStmt' in tree)
    return named('absent', 'tablespace', tree.DropTableSpaceStmt.tablespacename);
  if ('CreateSubscriptionStmt' in tree)
    return named('exists', 'subscription', tree.CreateSubscriptionStmt.subname);
  if ('DropSubscriptionStmt' in tree)
    return named('absent', 'subscription', tree.DropSubscriptionStmt.subname);
  return undefined;
}

function mayRepeat(tree: Node): boolean {
  // ADD and DROP PUBLICATION fail the second time.
  const publications = ['ALTER_SUBSCRIPTION_ADD_PUBLICATION', 'ALTER_SUBSCRIPTION_DROP_PUBLICATION'];
  if (publications.includes(as('AlterSubscriptionStmt', tree)?.kind ?? '')) return false;
  if (REPEATABLE.has(kindOf(tree))) return true;
  const fields = Object.values(tree)[0] as Record<string, unknown>;
  return FORGIVING.some((name) => fields[name] === true);
}
