import type { RecordedBuild } from '../../migration/build.ts';
import { type LongStatement, statementsOf } from '../../migration/migration.ts';
import type { PendingStep } from '../../migration/plan.ts';
import { type Build, WITH_ROWS } from '../../work/build.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';

/** The row that is inserted when an index operation is handed off. */
export interface NewBuild
  extends Pick<
    Build,
    | 'version'
    | 'step'
    | 'runId'
    | 'file'
    | 'line'
    | 'operation'
    | 'schema'
    | 'table'
    | 'index'
    | 'unique'
    | 'statement'
    | 'definition'
    | 'settings'
    | 'partitioned'
  > {
  /** The build of the partitioned table to which this one belongs. */
  readonly parentBuild?: string;
  readonly rows: number | undefined;
  readonly bytes: number | undefined;
}

export function insertBuild(ledgerSchema: string, build: NewBuild): string {
  const replaced =
    build.index === ''
      ? ' and not i.indisexclusion and i.indisvalid'
      : ` and c.relname operator(pg_catalog.=) ${quoteLiteral(build.index)}`;
  const replaces =
    build.operation === 'reindex'
      ? // It may be sent under a file's search path. Of a whole table, Postgres skips the indexes of exclusion constraints
        // and the INVALID ones.
        `array(select i.indexrelid from pg_catalog.pg_index i
                 join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid
                 join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) i.indrelid
                 join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) t.relnamespace
                where n.nspname operator(pg_catalog.=) ${quoteLiteral(build.schema)}
                  and t.relname operator(pg_catalog.=) ${quoteLiteral(build.table)}${replaced})`
      : `'{}'`;
  const values = [
    quoteLiteral(build.version),
    build.step,
    quoteLiteral(build.runId),
    quoteLiteral(build.file),
    build.line,
    quoteLiteral(build.operation),
    quoteLiteral(build.schema),
    quoteLiteral(build.table),
    quoteLiteral(build.index),
    build.unique,
    quoteLiteral(build.statement),
    quoteLiteral(build.definition),
    build.settings.length === 0 ? `'{}'` : `array[${build.settings.map(quoteLiteral).join(', ')}]`,
    replaces,
    build.partitioned,
    build.parentBuild ?? 'null',
    build.rows ?? 'null',
    build.bytes ?? 'null',
  ].join(', ');
  return `insert into ${quoteIdentifier(ledgerSchema)}.work (version, step, run_id, file, line, operation, schema_name, table_name, index_name, is_unique, statement, definition, settings, replaces, partitioned, parent_build, table_rows, table_bytes) values (${values})`;
}

/** Work that is not an index build: its statement is sent as written, under the settings of its file. */
export function newWork(
  pending: PendingStep,
  { long, target, runId }: { long: LongStatement; target: WorkTarget | undefined; runId: string },
): NewBuild {
  const { migration, step } = pending;
  const [statement] = statementsOf(step);
  const line = statement?.position.line ?? 1;
  return {
    version: migration.version,
    step: step.number,
    runId,
    file: migration.file,
    line,
    operation: long.operation,
    schema: target?.schema ?? '',
    table: target?.table ?? '',
    index: long.operation === 'statement' ? `${migration.file}:${line}` : long.names.join(', '),
    unique: false,
    statement: statement?.text ?? '',
    definition: long.hasRows ? WITH_ROWS : long.backfill === undefined ? '' : JSON.stringify(long.backfill),
    settings: step.settings,
    partitioned: false,
    rows: target?.rows,
    bytes: target?.bytes,
  };
}

/** The target of a long statement, as measured. */
type WorkTarget = Readonly<Record<'schema' | 'table', string> & Record<'rows' | 'bytes', number>>;

/** As the ledger has it from then on, but for its id. */
export function asRecorded(build: NewBuild): RecordedBuild {
  const { version, step, operation, schema, table, index, unique } = build;
  return { id: '', version, step, operation, schema, table, index, unique, state: 'pending' };
}
