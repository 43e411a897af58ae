import type { DropStmt } from 'libpg-query';
import { as, relationOfParts, strings } from '../../syntax/syntax-tree.ts';
import { isWord, splice } from '../../syntax/tokens.ts';
import type { Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';
import { written } from '../written-name.ts';

const RELATIONS: Readonly<Record<string, string>> = {
  OBJECT_FOREIGN_TABLE: 'foreign table',
  OBJECT_MATVIEW: 'materialized view',
  OBJECT_TABLE: 'table',
  OBJECT_VIEW: 'view',
};

function droppedRelations(context: StatementContext): readonly string[] {
  const drop = as('DropStmt', context.tree);
  if (RELATIONS[drop?.removeType ?? ''] === undefined) return [];
  return namesOf(drop)
    .filter((parts) => context.isExisting(relationOfParts(parts)))
    .filter((parts) => drop?.removeType === 'OBJECT_TABLE' || !isReplaced(context, parts.at(-1) ?? ''))
    .map((parts) => context.show(relationOfParts(parts)));
}

/** A view that is recreated in the same transaction is not missed. */
function isReplaced({ after }: StatementContext, name: string): boolean {
  return after.some(({ tree }) => {
    const made =
      as('ViewStmt', tree)?.view ??
      as('CreateTableAsStmt', tree)?.into?.rel ??
      as('CreateStmt', tree)?.relation;
    return made?.relname === name || as('RenameStmt', tree)?.newname === name;
  });
}

function namesOf(drop: DropStmt | undefined): readonly (readonly string[])[] {
  return (drop?.objects ?? []).map((object) => strings(as('List', object)?.items));
}

export const dropTable: Rule = {
  name: 'drop-table',
  severity: 'warning',
  title: 'DROP of a table or view that exists',
  aboutLocks: true,
  *check(context) {
    const names = droppedRelations(context).join(', ');
    if (names === '') return;
    yield {
      what: `Code deployed before this, or running alongside it, fails as soon as it refers to ${names}; and the dropped rows are gone.`,
      instead: context.allowing(this.name, `no deployed code names ${names}`, withoutCascade(context)),
      note: 'Deploy code that does not use it first. To keep a way back, rename the table before you drop it.',
    };
  },
};

export const dropCascade: Rule = {
  name: 'drop-cascade',
  severity: 'warning',
  title: 'CASCADE, which drops what the statement does not name',
  aboutLocks: false,
  *check(context) {
    const drop = as('DropStmt', context.tree);
    const commands = as('AlterTableStmt', context.tree)?.cmds ?? [];
    const ofCommand = commands.find((node) => as('AlterTableCmd', node)?.behavior === 'DROP_CASCADE');
    const owned = as('DropOwnedStmt', context.tree);
    const cascades = [drop?.behavior, owned?.behavior].includes('DROP_CASCADE') || ofCommand !== undefined;
    // CASCADE on a schema is covered by the rule drop-schema.
    if (!cascades || drop?.removeType === 'OBJECT_SCHEMA') return;
    if (
      drop !== undefined &&
      RELATIONS[drop.removeType ?? ''] !== undefined &&
      droppedRelations(context).length === 0
    )
      return;
    if (context.alteration !== undefined && !context.isExisting(context.alteration.table)) return;
    const plain = withoutCascade(context);
    const dropped = as('AlterTableCmd', ofCommand)?.subtype === 'AT_DropColumn';
    yield {
      what: 'CASCADE drops views, foreign keys and whatever else depends on it, including objects created since this was written.',
      instead:
        droppedRelations(context).length > 0
          ? context.allowing(
              'drop-table',
              `no deployed code names ${droppedRelations(context).join(', ')}`,
              plain,
            )
          : dropped
            ? context.allowing('drop-column', 'no deployed code names it', plain)
            : `${plain};`,
      note: 'Without CASCADE Postgres lists what depends on it; drop that by name first.',
    };
  },
};

function withoutCascade({ text, tokens }: StatementContext): string {
  return [...tokens]
    .reverse()
    .filter((token) => isWord(token, 'cascade'))
    .reduce((rest, token) => splice(rest, { start: token.start - 1, end: token.end }, ''), text);
}

export const dropSchema: Rule = {
  name: 'drop-schema',
  severity: 'error',
  title: 'DROP SCHEMA … CASCADE, or DROP DATABASE',
  aboutLocks: false,
  *check(context) {
    const database = as('DropdbStmt', context.tree)?.dbname;
    if (database !== undefined) {
      yield {
        what: `DROP DATABASE ${database} cannot be undone, and no migration needs it.`,
        instead: `-- Left out: drop the database ${written(database)} by hand if you mean to.`,
      };
    }
    const drop = as('DropStmt', context.tree);
    if (drop?.removeType !== 'OBJECT_SCHEMA' || drop.behavior !== 'DROP_CASCADE') return;
    yield {
      what: `DROP SCHEMA … CASCADE drops every table in ${strings(drop.objects).join(', ')}, with all their rows, including tables that no migration created.`,
      instead: `${withoutCascade(context)};`,
      note: 'Drop its tables by name first; without CASCADE Postgres says what is left.',
    };
  },
};

export const truncate: Rule = {
  name: 'truncate',
  severity: 'warning',
  title: 'TRUNCATE of a table that exists',
  aboutLocks: true,
  *check(context) {
    const statement = as('TruncateStmt', context.tree);
    const names = context.locks.map(({ relation }) => context.show(relation));
    if (statement === undefined || names.length === 0) return;
    const cascades = statement.behavior === 'DROP_CASCADE';
    yield {
      what: `All rows of ${names.join(', ')} are removed at once${cascades ? ', and those of every table that refers to it' : ''}; no query can use it meanwhile.`,
      instead: context.allowing(
        this.name,
        `nobody needs the rows of ${names.join(', ')}`,
        withoutCascade(context),
      ),
      ...(cascades ? { note: 'Name the tables that refer to it as well, instead of CASCADE.' } : {}),
    };
  },
};
