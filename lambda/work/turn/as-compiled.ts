import { isIndexBuild } from '../../migration/build.ts';
import type { CompiledMigrations, IndexOperation, Step } from '../../migration/migration.ts';
import { statementsOf } from '../../migration/migration.ts';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import type { RelationName } from '../../migration/relation-name.ts';
import { isPermanent, sqlstate } from '../../migration/sqlstate.ts';
import {
  concurrentCreate,
  concurrentDrop,
  concurrentReindex,
  namesOfIndex,
} from '../../postgres/catalog/index-statement.ts';
import { namedTarget } from '../../postgres/catalog/named-target.ts';
import { partitionIndexName } from '../../postgres/catalog/partition-tree.ts';
import { recordOf } from '../../postgres/ledger/ledger-rights.ts';
import { StatementFault } from '../../postgres/session/fault.ts';
import type { Session } from '../../postgres/session/session.ts';
import { type Build, WITH_ROWS } from '../build.ts';

/**
 * `refused`: what the ledger has of a build is not to be executed, and neither is anything dropped that it names.
 * `detached`: it is the build of a partition that is none any more: nothing is done, and what is missing is handed off.
 */
export type Compared =
  | { readonly kind: 'as compiled' }
  | { readonly kind: 'detached' }
  | { readonly kind: 'refused'; readonly fault: PostgresFault };

const AS_COMPILED: Compared = { kind: 'as compiled' };

/**
 * Compares what the ledger has of a build with the code: whoever can write the ledger could have us run anything as our
 * role, or have it done to another table. So what this code knows has to be as this code has compiled it, and about
 * what its names mean; what it does not know, since it was handed off by other code, is continued only where nobody
 * but its owner can write the ledger.
 */
export async function compareWithCode(
  session: Session,
  build: Build,
  { ledgerSchema, migrations }: { readonly ledgerSchema: string; readonly migrations: CompiledMigrations },
): Promise<Compared> {
  const { fingerprint, state, parent, writers } = await recordOf(session, ledgerSchema, build);
  const step = migrations.migrations.find(({ version }) => version === build.version)?.steps[build.step];
  if (step === undefined || step.fingerprint !== fingerprint) {
    return writers.length === 0 ? AS_COMPILED : { kind: 'refused', fault: unknown(build, writers) };
  }
  if (!isAsCompiled(build, step, parent)) return { kind: 'refused', fault: changed(build) };
  if (state === 'applied' || state === 'baselined')
    return { kind: 'refused', fault: changed(build, `Its step is recorded as ${state}.`) };
  switch (await targetOf(session, build, { step, parent })) {
    case 'as written':
      return AS_COMPILED;
    case 'detached':
      return { kind: 'detached' };
    default:
      return { kind: 'refused', fault: changed(build, elsewhere(build)) };
  }
}

type Parent = Pick<Build, 'index'> | undefined;

/** What is executed of a build is what its step says; what its names mean is left to targetOf(). */
function isAsCompiled(build: Build, step: Step, parent: Parent): boolean {
  const { settings } = step;
  if (settings.length !== build.settings.length || settings.some((one, at) => one !== build.settings[at])) {
    return false;
  }
  if (isIndexBuild(build))
    return step.kind === 'index-operation' && isOperation(build, step.operation, parent);
  const [statement] = statementsOf(step);
  return (
    step.long?.operation === build.operation &&
    statement?.text === build.statement &&
    // Of a statement it is its place in the file, for people.
    (build.operation === 'statement' || step.long.names.join(', ') === build.index) &&
    // Of a backfill the code's own is taken.
    (build.operation === 'backfill' ||
      build.definition === '' ||
      (step.long.hasRows === true && build.definition === WITH_ROWS)) &&
    parent === undefined &&
    !build.partitioned &&
    !build.unique
  );
}

function isOperation(build: Build, operation: IndexOperation, parent: Parent): boolean {
  const { schema, table, index, statement } = build;
  if (operation.kind !== 'create-index') {
    if (parent !== undefined || build.partitioned || build.unique || build.definition !== '') return false;
  }
  switch (operation.kind) {
    case 'create-index': {
      const { unique, definition } = operation;
      const relation = { schema, name: table };
      return (
        build.operation === 'create' &&
        build.definition === definition &&
        build.unique === unique &&
        statement === concurrentCreate({ unique, index, table: relation, definition }) &&
        namesOfIndex(operation).includes(parent === undefined ? index : parent.index) &&
        (parent === undefined || index === partitionIndexName(table, parent.index))
      );
    }
    case 'drop-index':
      return (
        build.operation === 'drop' &&
        namedIndex(build, operation.indexes) !== undefined &&
        statement === concurrentDrop({ schema, name: index })
      );
    case 'reindex':
      return (
        build.operation === 'reindex' &&
        (operation.target === 'index') === (index !== '') &&
        statement ===
          (index === ''
            ? concurrentReindex('table', { schema, name: table }, operation.options)
            : concurrentReindex('index', { schema, name: index }, operation.options))
      );
    default:
      return operation satisfies never;
  }
}

function namedIndex({ schema, index }: Build, names: readonly RelationName[]): RelationName | undefined {
  return names.find(({ name, schema: given = schema }) => name === index && given === schema);
}

/**
 * Whether a build is about what its file's names mean, under the file's settings. What is not there any more is as
 * written: nothing can be done to it.
 */
async function targetOf(
  session: Session,
  build: Build,
  { step, parent }: { readonly step: Step; readonly parent: Parent },
): Promise<'as written' | 'detached' | 'other'> {
  const named = nameOfTarget(build, step);
  if (named === 'any') return isOwnSchema(build.schema) ? 'other' : 'as written';
  // Where it was handed off, it was not found.
  const nowhere = build.schema === '' && build.table === '';
  if (named === undefined || nowhere) return nowhere ? 'as written' : 'other';
  const seen = await namedTarget(session, build, named).catch((error: unknown) => {
    // If the settings fail permanently, nothing is executed either.
    if (error instanceof StatementFault && isPermanent(error.fault)) return undefined;
    throw error;
  });
  if (seen === undefined) return 'as written';
  const { table, index, onTable, partitioned } = seen;
  const within = (target: typeof table) => target === 'named' || target === 'part';
  const check = (isSo: boolean) => (isSo ? 'as written' : 'other');
  switch (build.operation) {
    case 'create': {
      if (table === 'absent') return 'as written';
      if ((partitioned === true && !isOnOnly(step)) !== build.partitioned) return 'other';
      if (parent === undefined) return check(table === 'named');
      return table === 'part' ? 'as written' : 'detached';
    }
    case 'drop':
      return check(index === 'absent' || (index === 'named' && onTable === true));
    case 'reindex':
      if (build.index === '') return check(table === 'absent' || within(table));
      return check(index === 'absent' || (within(index) && onTable === true));
    default:
      return check(table === 'absent' || table === 'named');
  }
}

function isOnOnly(step: Step): boolean {
  return step.kind === 'index-operation' && step.operation.kind === 'create-index' && step.operation.only;
}

/** `any`: whatever table there is; undefined where it names none. */
function nameOfTarget(build: Build, step: Step): Parameters<typeof namedTarget>[2] | 'any' | undefined {
  if (step.kind !== 'index-operation') {
    const { relation: name, operation } = step.long ?? {};
    return name && { kind: operation === 'validate-domain' ? 'domain' : 'relation', name };
  }
  const { operation } = step;
  switch (operation.kind) {
    case 'create-index':
      return { kind: 'relation', name: operation.table };
    case 'drop-index': {
      const name = namedIndex(build, operation.indexes);
      return name && { kind: 'relation', name };
    }
    case 'reindex': {
      const { target, name } = operation;
      if (target === 'schema') return name?.name === build.schema ? 'any' : undefined;
      return target === 'database' || name === undefined ? 'any' : { kind: 'relation', name };
    }
    default:
      return operation satisfies never;
  }
}

/** Postgres's own, which none of our REINDEX touches. */
function isOwnSchema(schema: string): boolean {
  return schema.startsWith('pg_') || schema === 'information_schema';
}

function elsewhere({ schema, table, index, file }: Build): string {
  const of = `${schema}.${table}`;
  return `The ledger says ${index === '' ? of : `${index} of ${of}`}, and the names in ${file} mean something else.`;
}

function changed({ version, file }: Build, detail?: string): PostgresFault {
  return {
    sqlstate: sqlstate.objectNotInPrerequisiteState,
    message: `the ledger's row of this build does not match what ${file} says, so it was not executed`,
    ...(detail === undefined ? {} : { detail }),
    hint: `Somebody has changed it in the ledger. Find out who may write its tables; then have it handed off again: repair ${version} --forget, and run again.`,
  };
}

function unknown({ file }: Build, writers: readonly string[]): PostgresFault {
  return {
    sqlstate: sqlstate.objectNotInPrerequisiteState,
    message: `the deployed code does not know ${file} as it was handed off, and others may have changed it in the ledger, so it was not executed`,
    hint: `Revoke the privilege to write the ledger's tables from ${writers.join(', ')} (revoke all on all tables in schema … from …), or deploy the code that has this file; then retry.`,
  };
}
