import type { RelationName } from '../../../lambda/migration/relation-name.ts';
import { constraintName } from '../../syntax/index-name.ts';
import { as, relationOf } from '../../syntax/syntax-tree.ts';
import { isWord } from '../../syntax/tokens.ts';
import type { Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';
import { addThenValidate } from '../two-steps.ts';
import { written } from '../written-name.ts';

export const createTrigger: Rule = {
  name: 'create-trigger',
  severity: 'advice',
  title: 'CREATE TRIGGER on a table that exists',
  aboutLocks: true,
  *check(context) {
    const trigger = as('CreateTrigStmt', context.tree);
    if (trigger?.relation === undefined) return;
    const table = relationOf(trigger.relation);
    if (!context.isExisting(table)) return;
    yield {
      what: `From here on every write to ${context.show(table)} that fires it also runs its function, and fails if that fails.`,
      instead: context.allowing(
        this.name,
        `its function is fast and was tried with the traffic of ${table.name}`,
      ),
      relation: table,
    };
  },
};

export const disableTrigger: Rule = {
  name: 'disable-trigger',
  severity: 'warning',
  title: 'DISABLE TRIGGER on a table that exists',
  aboutLocks: true,
  *check(context) {
    const { alteration } = context;
    if (alteration === undefined || !context.isExisting(alteration.table)) return;
    for (const { tree, start } of alteration.commands) {
      if (!tree.subtype?.startsWith('AT_DisableTrig')) continue;
      const all = tree.subtype === 'AT_DisableTrigAll' ? ', foreign keys included,' : '';
      yield {
        index: context.statement.index + start,
        what: `Until it is enabled again the application's own writes to ${context.show(alteration.table)} bypass it${all} too, and nothing makes up for that later.`,
        instead: context.allowing(this.name, `nobody else writes to ${alteration.table.name} meanwhile`),
        note: "Better let the trigger's function check a setting of its own (current_setting('app.skip', true)), and set that in this transaction alone.",
        relation: alteration.table,
      };
    }
  },
};

export const rowSecurityWithoutPolicy: Rule = {
  name: 'row-security-without-policy',
  severity: 'warning',
  title: 'ENABLE ROW LEVEL SECURITY on an existing table that has no policy',
  aboutLocks: true,
  *check(context) {
    const { alteration } = context;
    if (alteration === undefined || !context.isExisting(alteration.table)) return;
    const { table } = alteration;
    for (const { tree, start } of alteration.commands) {
      if (tree.subtype !== 'AT_EnableRowSecurity' || hasPolicy(context, table)) continue;
      const policy = written(constraintName(table.name, [], 'all'));
      yield {
        index: context.statement.index + start,
        what: `From here on nobody but its owner sees a row of ${context.show(table)}, since no policy allows it.`,
        instead: `create policy ${policy} on ${context.show(table)} using (true);\n${context.text};`,
        note: 'Replace the policy that lets everybody see everything with the ones that you need.',
        relation: table,
      };
    }
  },
};

function hasPolicy({ schema, before, after }: StatementContext, table: RelationName): boolean {
  const near = [...before.map(({ tree }) => tree), ...after.map(({ tree }) => tree)];
  const here = near.some((tree) => as('CreatePolicyStmt', tree)?.table?.relname === table.name);
  return here || schema.relation(table)?.hasPolicy === true;
}

export const domainConstraint: Rule = {
  name: 'domain-constraint',
  severity: 'warning',
  title: 'a constraint on a domain that is in use',
  aboutLocks: false,
  *check(context) {
    const alter = as('AlterDomainStmt', context.tree);
    if (alter === undefined || (alter.subtype !== 'C' && alter.subtype !== 'O')) return;
    const constraint = as('Constraint', alter.def);
    if (constraint?.skip_validation) return;
    const parts = (alter.typeName ?? []).map((node) => as('String', node)?.sval ?? '');
    const domain: RelationName = { schema: parts.at(-2), name: parts.at(-1) ?? '' };
    if (isNew(context, domain)) return;
    const name = constraint?.conname ?? constraintName(domain.name, [], 'check');
    const at = context.tokens.findIndex((token) => isWord(token, 'check'));
    yield {
      what: `Postgres reads every row of every table with a column of type ${context.show(domain)}, while nobody can write to them.`,
      instead:
        constraint?.contype === 'CONSTR_CHECK'
          ? addThenValidate(context, {
              object: 'domain',
              table: domain,
              name,
              body: context.text.slice(context.tokens[at]?.start),
            })
          : context.allowing(this.name, `the tables with a column of type ${domain.name} are small`),
    };
  },
};

function isNew({ file, number }: StatementContext, { name }: RelationName): boolean {
  return file.statements.slice(0, number).some(({ tree }) => {
    const create = as('CreateDomainStmt', tree);
    return as('String', create?.domainname?.at(-1))?.sval === name;
  });
}
