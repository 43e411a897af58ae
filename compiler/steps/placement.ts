import type { AlterSubscriptionStmt, ReindexStmt, TransactionStmt } from 'libpg-query';
import type { ParsedStatement } from '../syntax/parse-file.ts';
import { as, booleanOption } from '../syntax/syntax-tree.ts';
import type { FolderFacts } from '../touches/folder-facts.ts';
import { calledProcedure, procedureBody } from '../touches/procedure-body.ts';
import { standsAlone } from './long-statement.ts';

/** In what kind of step a statement runs. */
export type Placement =
  | { readonly kind: 'control'; readonly control: TransactionStmt }
  | { readonly kind: 'transaction' }
  /** A transaction of its own, so that later statements see it committed. */
  | { readonly kind: 'own-transaction' }
  | { readonly kind: 'index-operation'; readonly what: string }
  /** `certain`: PostgreSQL refuses it in every transaction block, and not only in some circumstances. */
  | { readonly kind: 'autocommit'; readonly what: string; readonly certain: boolean };

const transaction: Placement = { kind: 'transaction' };

/**
 * Follows the callers of PreventInTransactionBlock in PostgreSQL 14 to 18, src/backend/commands and
 * src/backend/tcop/utility.c. What only the catalog can tell is taken for refused: outside of a transaction it
 * works in either case.
 */
export function placementOf(statement: ParsedStatement, facts: FolderFacts): Placement {
  const { tree } = statement;
  const control = as('TransactionStmt', tree);
  if (control !== undefined) return placeControl(control);
  if (as('AlterEnumStmt', tree)?.oldVal === undefined && 'AlterEnumStmt' in tree)
    return { kind: 'own-transaction' };
  if (standsAlone(tree)) return { kind: 'own-transaction' };
  return (
    indexOperation(statement) ??
    wholeServer(statement) ??
    maintenance(statement, facts) ??
    subscription(statement) ??
    committing(statement, facts) ??
    transaction
  );
}

function placeControl(control: TransactionStmt): Placement {
  switch (control.kind) {
    case 'TRANS_STMT_SAVEPOINT':
    case 'TRANS_STMT_RELEASE':
    case 'TRANS_STMT_ROLLBACK_TO':
      return transaction;
    case 'TRANS_STMT_COMMIT_PREPARED':
      return refused('COMMIT PREPARED');
    case 'TRANS_STMT_ROLLBACK_PREPARED':
      return refused('ROLLBACK PREPARED');
    default:
      return { kind: 'control', control };
  }
}

function refused(what: string): Placement {
  return { kind: 'autocommit', what, certain: true };
}

function refusedAtTimes(what: string): Placement {
  return { kind: 'autocommit', what, certain: false };
}

function indexOperation({ tree }: ParsedStatement): Placement | undefined {
  if (as('IndexStmt', tree)?.concurrent)
    return { kind: 'index-operation', what: 'CREATE INDEX CONCURRENTLY' };
  const drop = as('DropStmt', tree);
  if (drop?.concurrent) return { kind: 'index-operation', what: 'DROP INDEX CONCURRENTLY' };
  const reindex = as('ReindexStmt', tree);
  return reindex !== undefined && isConcurrent(reindex)
    ? { kind: 'index-operation', what: 'REINDEX CONCURRENTLY' }
    : undefined;
}

function isConcurrent(reindex: ReindexStmt): boolean {
  return booleanOption(reindex.params, 'concurrently') === true;
}

function wholeServer({ tree }: ParsedStatement): Placement | undefined {
  if ('CreatedbStmt' in tree) return refused('CREATE DATABASE');
  if ('DropdbStmt' in tree) return refused('DROP DATABASE');
  if ('CreateTableSpaceStmt' in tree) return refused('CREATE TABLESPACE');
  if ('DropTableSpaceStmt' in tree) return refused('DROP TABLESPACE');
  if ('AlterSystemStmt' in tree) return refused('ALTER SYSTEM');
  if (as('DiscardStmt', tree)?.target === 'DISCARD_ALL') return refused('DISCARD ALL');
  const movesDatabase = as('AlterDatabaseStmt', tree)?.options?.some(
    (option) => as('DefElem', option)?.defname === 'tablespace',
  );
  return movesDatabase ? refused('ALTER DATABASE SET TABLESPACE') : undefined;
}

function maintenance({ tree }: ParsedStatement, facts: FolderFacts): Placement | undefined {
  if (as('VacuumStmt', tree)?.is_vacuumcmd) return refused('VACUUM');
  const cluster = as('ClusterStmt', tree);
  if (cluster !== undefined) {
    if (cluster.relation === undefined) return refused('CLUSTER without a table');
    if (facts.partitionedTables.has(cluster.relation.relname ?? ''))
      return refused('CLUSTER of a partitioned table');
  }
  const reindex = as('ReindexStmt', tree);
  if (reindex !== undefined) {
    if (reindex.kind !== 'REINDEX_OBJECT_INDEX' && reindex.kind !== 'REINDEX_OBJECT_TABLE') {
      return refused('REINDEX of a schema or database');
    }
    if (facts.partitionedTables.has(reindex.relation?.relname ?? ''))
      return refused('REINDEX of a partitioned table');
  }
  const detaches = as('AlterTableStmt', tree)?.cmds?.some((node) => {
    const command = as('AlterTableCmd', node);
    return command?.subtype === 'AT_DetachPartition' && as('PartitionCmd', command.def)?.concurrent === true;
  });
  return detaches ? refused('DETACH PARTITION CONCURRENTLY') : undefined;
}

function subscription({ tree }: ParsedStatement): Placement | undefined {
  const create = as('CreateSubscriptionStmt', tree);
  if (create !== undefined) {
    const connects = booleanOption(create.options, 'connect') ?? true;
    const createsSlot = booleanOption(create.options, 'create_slot') ?? connects;
    return createsSlot ? refused('CREATE SUBSCRIPTION with create_slot') : undefined;
  }
  // Without a slot it could run in a transaction; only the catalog knows whether there is one.
  if ('DropSubscriptionStmt' in tree) return refusedAtTimes('DROP SUBSCRIPTION');
  const alter = as('AlterSubscriptionStmt', tree);
  return alter === undefined ? undefined : placeAlterSubscription(alter);
}

function placeAlterSubscription({ kind, options }: AlterSubscriptionStmt): Placement | undefined {
  switch (kind) {
    case 'ALTER_SUBSCRIPTION_REFRESH':
      return refused('ALTER SUBSCRIPTION REFRESH PUBLICATION');
    case 'ALTER_SUBSCRIPTION_SET_PUBLICATION':
    case 'ALTER_SUBSCRIPTION_ADD_PUBLICATION':
    case 'ALTER_SUBSCRIPTION_DROP_PUBLICATION':
      return (booleanOption(options, 'refresh') ?? true)
        ? refused('ALTER SUBSCRIPTION with refresh')
        : undefined;
    case 'ALTER_SUBSCRIPTION_OPTIONS': {
      const changesSlot = ['failover', 'two_phase'].some(
        (name) => booleanOption(options, name) !== undefined,
      );
      return changesSlot ? refusedAtTimes('ALTER SUBSCRIPTION SET (failover, two_phase)') : undefined;
    }
    default:
      return undefined;
  }
}

function committing(statement: ParsedStatement, facts: FolderFacts): Placement | undefined {
  if ('DoStmt' in statement.tree) {
    const body = procedureBody(statement);
    const commits =
      body?.commits === true || body?.calls.some((name) => facts.committingProcedures.has(name));
    return commits ? refusedAtTimes('A DO block that commits') : undefined;
  }
  const called = calledProcedure(statement.tree);
  if (called === undefined || !facts.committingProcedures.has(called)) return undefined;
  return refusedAtTimes(`CALL of ${called}, which commits`);
}
