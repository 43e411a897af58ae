import { isIndexBuild } from '../../migration/build.ts';
import type { CompiledMigrations, IndexOperation, Step } from '../../migration/migration.ts';
import { statementsOf } from '../../migration/migration.ts';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import {
  concurrentCreate,
  concurrentDrop,
  concurrentReindex,
} from '../../postgres/catalog/index-statement.ts';
import { recordOf } from '../../postgres/ledger/ledger-rights.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { Build } from '../build.ts';

/**
 * Why a build must not be executed as the ledger has it; undefined if it may. Whoever can write the ledger could have
 * us run anything as our role. So a build that this code knows must match what it compiled; one that other code handed
 * off is continued only if nobody but the owner can write the ledger.
 */
export async function notAsCompiled(
  session: Session,
  build: Build,
  { ledgerSchema, migrations }: { readonly ledgerSchema: string; readonly migrations: CompiledMigrations },
): Promise<PostgresFault | undefined> {
  const { fingerprint, writers } = await recordOf(session, ledgerSchema, build);
  const step = migrations.migrations.find(({ version }) => version === build.version)?.steps[build.step];
  if (step !== undefined && step.fingerprint === fingerprint) {
    return isAsCompiled(build, step) ? undefined : changed(build);
  }
  return writers.length === 0 ? undefined : unknown(build, writers);
}

/** What is executed must match the step, except for the schema, the table and a name that Postgres chose. */
export function isAsCompiled(build: Build, step: Step): boolean {
  const { settings } = step;
  if (settings.length !== build.settings.length || settings.some((one, at) => one !== build.settings[at])) {
    return false;
  }
  if (isIndexBuild(build)) return step.kind === 'index-operation' && isOperation(build, step.operation);
  const [statement] = statementsOf(step);
  return step.long?.operation === build.operation && statement?.text === build.statement;
}

function isOperation(build: Build, operation: IndexOperation): boolean {
  const { schema, table, index, statement } = build;
  switch (operation.kind) {
    case 'create-index': {
      const { unique, definition } = operation;
      const relation = { schema, name: table };
      return (
        build.operation === 'create' &&
        build.definition === definition &&
        build.unique === unique &&
        statement === concurrentCreate({ unique, index, table: relation, definition })
      );
    }
    case 'drop-index':
      return (
        build.operation === 'drop' &&
        operation.indexes.some(({ name, schema: given = schema }) => name === index && given === schema) &&
        statement === concurrentDrop({ schema, name: index })
      );
    case 'reindex':
      return (
        build.operation === 'reindex' &&
        statement ===
          (index === ''
            ? concurrentReindex('table', { schema, name: table }, operation.options)
            : concurrentReindex('index', { schema, name: index }, operation.options))
      );
    default:
      return operation satisfies never;
  }
}

function changed({ version, file }: Build): PostgresFault {
  return {
    sqlstate: sqlstate.objectNotInPrerequisiteState,
    message: `the ledger's row of this build does not match what ${file} says, so it was not executed`,
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
