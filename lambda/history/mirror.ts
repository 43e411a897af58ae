import { type Migration, type Step, statementsOf } from '../migration/migration.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/session/quote.ts';
import { placeOf } from './adopt.ts';
import type { History } from './read-history.ts';

/**
 * Writes the tool's own table as the tool would, so that the tool finds nothing to do and nothing wrong. Its statements
 * run in a step's own transaction, under the role's search path.
 */
export class Mirror {
  readonly #history: History;
  readonly #migrations: readonly Migration[];
  readonly #t: string;

  constructor(history: History, migrations: readonly Migration[]) {
    this.#history = history;
    this.#migrations = migrations;
    this.#t = `${quoteIdentifier(history.schema)}.${quoteIdentifier(history.table)}`;
  }

  /** Goes with the last step of a migration, in that step's transaction. */
  rowsFor(migration: Migration, step: Step): readonly string[] {
    return step.number === migration.steps.length - 1 ? this.applied(migration) : [];
  }

  applied(migration: Migration): readonly string[] {
    const t = this.#t;
    const { version, name, record = {}, steps, kind } = migration;
    const id = quoteLiteral(version);
    const checksum = quoteLiteral(record.checksum ?? '');
    switch (this.#history.tool) {
      case 'prisma':
        return [
          `update ${t} set rolled_back_at = pg_catalog.now() where migration_name operator(pg_catalog.=) ${id} and finished_at is null and rolled_back_at is null`,
          `insert into ${t} (id, checksum, finished_at, migration_name, started_at, applied_steps_count) values (pg_catalog.gen_random_uuid()::pg_catalog.text, ${checksum}, pg_catalog.clock_timestamp(), ${id}, pg_catalog.now(), 1)`,
        ];
      case 'drizzle':
        return [
          this.#insert({
            hash: checksum,
            created_at: String(record.when ?? 0),
            name: id,
            applied_at: 'pg_catalog.now()',
          }),
        ];
      case 'dbmate':
      case 'diesel':
        return [`insert into ${t} (version) values (${id}) on conflict do nothing`];
      case 'goose':
        return [`insert into ${t} (version_id, is_applied) values (${version}, true)`];
      case 'golang-migrate':
        return [
          `insert into ${t} (version, dirty) select ${version}, false where not exists (select from ${t})`,
          `update ${t} set version = ${version}, dirty = false where version operator(pg_catalog.<=) ${version}`,
        ];
      case 'sqlx':
        return [
          `delete from ${t} where version operator(pg_catalog.=) ${version} and not success`,
          `insert into ${t} (version, description, success, checksum, execution_time) values (${version}, ${quoteLiteral(record.description ?? '')}, true, pg_catalog.decode(${checksum}, 'hex'), 0) on conflict do nothing`,
        ];
      case 'supabase': {
        const texts = steps.flatMap(statementsOf).map(({ text }) => quoteLiteral(text));
        return [
          this.#insert({
            version: id,
            name: quoteLiteral(name.slice(version.length + 1)),
            statements: `array[${texts.join(', ')}]::pg_catalog.text[]`,
          }),
        ];
      }
      case 'node-pg-migrate':
        return [`insert into ${t} (name, run_on) values (${id}, pg_catalog.now())`];
      case 'flyway': {
        const type = kind === 'checkpoint' ? 'SQL_BASELINE' : 'SQL';
        return [
          `delete from ${t} where not success and script operator(pg_catalog.=) ${quoteLiteral(record.script ?? '')}`,
          this.#flywayRow(migration, type),
        ];
      }
      case 'graphile-migrate': {
        const previous = record.previous?.[0];
        return [
          `insert into ${t} (hash, previous_hash, filename) values (${checksum}, ${previous === undefined ? 'null' : quoteLiteral(previous)}, ${id}) on conflict do nothing`,
        ];
      }
      case 'atlas': {
        const total = steps.flatMap(statementsOf).length;
        return [
          `delete from ${t} where version operator(pg_catalog.=) ${id}`,
          this.#insert({
            version: id,
            description: quoteLiteral(record.description ?? ''),
            type: '2',
            applied: String(total),
            total: String(total),
            executed_at: 'pg_catalog.now()',
            execution_time: '0',
            error: "''",
            error_stmt: "''",
            hash: checksum,
            operator_version: "'cdk-postgres-migrations'",
          }),
        ];
      }
      case 'liquibase': {
        const [file, change, author] = this.#changeset(version);
        const order = `(select coalesce(pg_catalog.max(orderexecuted), 0) operator(pg_catalog.+) 1 from ${t})`;
        return [
          `delete from ${t} where id operator(pg_catalog.=) ${change} and author operator(pg_catalog.=) ${author} and filename operator(pg_catalog.=) ${file}`,
          this.#insert({
            id: change,
            author,
            filename: file,
            dateexecuted: 'pg_catalog.now()',
            orderexecuted: order,
            exectype: "'EXECUTED'",
            description: "'sql'",
            comments: quoteLiteral(record.description ?? ''),
          }),
        ];
      }
      default:
        // Alembic's script writes its table itself.
        return [];
    }
  }

  /** As `applied`, where nothing of the migration runs: Alembic's script would have written its table by itself. */
  stamped(migration: Migration): readonly string[] {
    if (this.#history.tool !== 'alembic') return this.applied(migration);
    return [
      ...(migration.record?.previous ?? []).map((id) => this.#withoutRevision(id)),
      this.#withRevision(migration.version),
    ];
  }

  /**
   * As `undone`, where nothing of the migration runs. Of Alembic's parents only those come back that no head descends
   * from.
   */
  forgotten(migration: Migration): readonly string[] {
    if (this.#history.tool !== 'alembic') return this.undone(migration);
    const known = new Map(
      this.#migrations.map((each) => [String(each.version), each.record?.previous ?? []]),
    );
    const reached = this.#history.rows.flatMap(({ id }) => (id === migration.version ? [] : (id ?? [])));
    for (const id of reached)
      reached.push(...(known.get(id) ?? []).filter((each) => !reached.includes(each)));
    const back = (migration.record?.previous ?? []).filter((id) => !reached.includes(id));
    return [this.#withoutRevision(migration.version), ...back.map((id) => this.#withRevision(id))];
  }

  #withRevision(id: string): string {
    return `insert into ${this.#t} (version_num) values (${quoteLiteral(id)}) on conflict do nothing`;
  }

  #withoutRevision(id: string): string {
    return `delete from ${this.#t} where version_num operator(pg_catalog.=) ${quoteLiteral(id)}`;
  }

  /** Removes it: with the last step of an undo, or if it was never applied. */
  undone(migration: Migration): readonly string[] {
    const t = this.#t;
    const { version, record = {} } = migration;
    const id = quoteLiteral(version);
    switch (this.#history.tool) {
      case 'prisma':
        return [
          `update ${t} set rolled_back_at = pg_catalog.now() where migration_name operator(pg_catalog.=) ${id} and rolled_back_at is null`,
        ];
      case 'drizzle':
        return this.#history.columns.includes('name')
          ? [`delete from ${t} where name operator(pg_catalog.=) ${id}`]
          : [`delete from ${t} where created_at operator(pg_catalog.=) ${record.when ?? 0}`];
      case 'dbmate':
      case 'diesel':
      case 'supabase':
      case 'atlas':
        return [`delete from ${t} where version operator(pg_catalog.=) ${id}`];
      case 'goose':
        return [`delete from ${t} where version_id operator(pg_catalog.=) ${version}`];
      case 'golang-migrate': {
        const place = this.#migrations.findIndex((each) => each.version === version);
        const before = this.#migrations[place - 1]?.version;
        return [
          before === undefined
            ? `delete from ${t}`
            : `update ${t} set version = ${before}, dirty = false where version operator(pg_catalog.=) ${version}`,
        ];
      }
      case 'sqlx':
        return [`delete from ${t} where version operator(pg_catalog.=) ${version}`];
      case 'node-pg-migrate':
        return [`delete from ${t} where name operator(pg_catalog.=) ${id}`];
      case 'flyway':
        // The paid Flyway would add a row of type UNDO_SQL, at which the free one can't read its table any more.
        return [
          `delete from ${t} where installed_rank operator(pg_catalog.=) (select pg_catalog.max(installed_rank) from ${t} where script operator(pg_catalog.=) ${quoteLiteral(record.script ?? '')})`,
        ];
      case 'graphile-migrate':
        return [`delete from ${t} where filename operator(pg_catalog.=) ${id}`];
      case 'liquibase': {
        const [file, change, author] = this.#changeset(version);
        return [
          `delete from ${t} where id operator(pg_catalog.=) ${change} and author operator(pg_catalog.=) ${author} and filename operator(pg_catalog.=) ${file}`,
        ];
      }
      default:
        return [];
    }
  }

  /** The changed file counts as what was applied, so that a tool that compares checksums does not stop at it. */
  accepted({ version, record = {} }: Migration): readonly string[] {
    const { checksum = '', script = '' } = record;
    switch (this.#history.tool) {
      case 'sqlx':
        return [
          `update ${this.#t} set checksum = pg_catalog.decode(${quoteLiteral(checksum)}, 'hex') where version operator(pg_catalog.=) ${version}`,
        ];
      case 'flyway':
        return [
          `update ${this.#t} set checksum = ${checksum} where success and script operator(pg_catalog.=) ${quoteLiteral(script)}`,
        ];
      default:
        return [];
    }
  }

  /** Removes the failure so that it can be applied, as the tool's own repair does. */
  notApplied(migration: Migration): readonly string[] {
    if (this.#history.tool !== 'flyway') return this.undone(migration);
    const script = quoteLiteral(migration.record?.script ?? '');
    return [`delete from ${this.#t} where not success and script operator(pg_catalog.=) ${script}`];
  }

  /** Liquibase's three names of it, as literals. */
  #changeset(version: string): readonly [file: string, id: string, author: string] {
    const [file = '', id = '', author = ''] = version.split('::');
    const place = placeOf(this.#history, this.#migrations);
    return [quoteLiteral(place + file), quoteLiteral(id), quoteLiteral(author)];
  }

  #flywayRow({ version, record = {}, kind }: Migration, type: string): string {
    const own = kind === 'repeatable' ? 'null' : quoteLiteral(version.replace(/^B/, ''));
    return this.#insert({
      installed_rank: `(select coalesce(pg_catalog.max(installed_rank), 0) operator(pg_catalog.+) 1 from ${this.#t})`,
      version: own,
      description: quoteLiteral(record.description ?? ''),
      type: quoteLiteral(type),
      script: quoteLiteral(record.script ?? ''),
      checksum: String(record.checksum ?? 'null'),
      installed_by: 'current_user',
      execution_time: '0',
      success: 'true',
    });
  }

  /** Those columns that the table has: older versions of a tool have fewer. */
  #insert(values: Readonly<Record<string, string>>): string {
    const columns = Object.keys(values).filter((column) => this.#history.columns.includes(column));
    return `insert into ${this.#t} (${columns.join(', ')}) values (${columns.map((column) => values[column]).join(', ')})`;
  }
}
