import * as v from 'valibot';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';

/** Our objects in the ledger's schema, which may hold others as well. */
export const LEDGER_RELATIONS = [
  'backfill',
  'index_build',
  'index_build_id_seq',
  'ledger',
  'run',
  'session_probe',
  'step',
  'undo_progress',
  'work',
] as const;

const NAMES = `array[${LEDGER_RELATIONS.map(quoteLiteral).join(', ')}]::name[]`;

/** Privileges by which others could have us execute their code; a trigger's function runs as whoever writes. */
const WRITING = "array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']";

/**
 * Revokes every privilege on the ledger from everybody but its owner: whoever can write it could have us execute
 * anything as our role, and whoever can read it sees row values. Default privileges may have granted such privileges,
 * and in a schema where others may create objects, one of our tables may be theirs. Send it in the transaction that
 * creates or changes the tables.
 */
export function closeLedger(schema: string): string {
  const s = quoteLiteral(schema);
  const ofOurs = `n.nspname = ${s} and c.relname = any (${NAMES})`;
  const grantee =
    "case a.grantee when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end";
  return `do ${quoteLiteral(`declare
  one record;
begin
  for one in select c.relname as name, pg_catalog.pg_get_userbyid(c.relowner) as owner
               from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where ${ofOurs}
                and c.relowner <> (select l.relowner from pg_catalog.pg_class l
                                    where l.relnamespace = n.oid and l.relname = 'ledger')
  loop
    raise insufficient_privilege using
      message = pg_catalog.format('%I.%I belongs to %s, and not to the role that the ledger belongs to', ${s}, one.name, one.owner),
      hint = 'Drop it, or give it to that role: its owner could have the migrations execute anything.';
  end loop;
  for one in select distinct case c.relkind when 'S' then 'sequence' else 'table' end as kind,
                    pg_catalog.format('%I.%I', n.nspname, c.relname) as name, ${grantee} as grantee
               from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              cross join lateral (
                select x.grantee from pg_catalog.aclexplode(c.relacl) x
                union all
                select x.grantee from pg_catalog.pg_attribute t cross join pg_catalog.aclexplode(t.attacl) x
                 where t.attrelid = c.oid) a
              where ${ofOurs} and a.grantee <> c.relowner
  loop
    execute pg_catalog.format('revoke all on %s %s from %s cascade', one.kind, one.name, one.grantee);
  end loop;
  for one in select ${grantee} as grantee
               from pg_catalog.pg_namespace n cross join pg_catalog.aclexplode(n.nspacl) a
              where n.nspname = ${s} and n.nspname <> 'public' and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner
                and (a.grantee = 0 or not pg_catalog.pg_has_role(a.grantee, 'usage')
                     or (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user))
                and pg_catalog.pg_has_role(n.nspowner, 'usage')
  loop
    execute pg_catalog.format('revoke create on schema %I from %s cascade', ${s}, one.grantee);
  end loop;
end`)}`;
}

/** Whether our role is not a member of a role (an oid, as SQL) that is no superuser. */
export function isStranger(role: string): string {
  return `(not pg_catalog.pg_has_role(${role}, 'usage')
           and not (select r.rolsuper or r.rolname = 'pg_database_owner' from pg_catalog.pg_roles r where r.oid = ${role})
           and ${role} <> (select d.datdba from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))`;
}

/**
 * Columns of a query: `stranger` is the owner of the ledger or its schema, if our role is not a member of it and it is
 * no superuser. `writers` are the roles besides the owner that can write the ledger.
 */
export function rightsColumns(schema: string): string {
  const s = quoteLiteral(schema);
  return `(select pg_catalog.pg_get_userbyid(n.nspowner) from pg_catalog.pg_namespace n
         where n.nspname = ${s} and ${isStranger('n.nspowner')}
       union all
       select pg_catalog.pg_get_userbyid(c.relowner) from pg_catalog.pg_class c
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = ${s} and c.relname = 'ledger' and not pg_catalog.pg_has_role(c.relowner, 'usage')
        limit 1) as stranger,
       ${writersOf(schema)} as writers`;
}

/** As JSON. */
function writersOf(schema: string): string {
  return `(select coalesce(pg_catalog.json_agg(distinct case a.grantee when 0 then 'public' else pg_catalog.pg_get_userbyid(a.grantee) end), '[]')
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         cross join lateral (
           select x.grantee, x.privilege_type from pg_catalog.aclexplode(c.relacl) x
           union all
           select x.grantee, x.privilege_type from pg_catalog.pg_attribute t cross join pg_catalog.aclexplode(t.attacl) x
            where t.attrelid = c.oid) a
         where n.nspname = ${quoteLiteral(schema)} and c.relname = any (${NAMES})
           and a.grantee <> c.relowner and a.privilege_type = any (${WRITING}))`;
}

const recordRow = v.object({
  fingerprint: v.nullable(v.string()),
  state: v.nullable(v.string()),
  parent: v.nullable(v.string()),
  writers: v.array(v.string()),
});

interface BuildRecord {
  /** Of its step; null where the ledger has none. */
  readonly fingerprint: string | null;
  readonly state: string | null;
  /** The build of the partitioned table to which it belongs. */
  readonly parent: { readonly index: string } | undefined;
  /** Who besides the ledger's owner could have changed it. */
  readonly writers: readonly string[];
}

/** What the ledger has of a build beside its own row. */
export async function recordOf(
  session: Session,
  schema: string,
  { id, version, step }: { readonly id: string; readonly version: string; readonly step: number },
): Promise<BuildRecord> {
  const s = quoteIdentifier(schema);
  const [row] = await session.query(
    `select step.fingerprint, step.state, ${writersOf(schema)} as writers,
            (select p.index_name from ${s}.work w join ${s}.work p on p.id = w.parent_build where w.id = $3) as parent
       from (select) as one left join ${s}.step on step.version = $1 and step.step = $2`,
    [version, step, id],
  );
  const { parent, ...record } = v.parse(recordRow, row);
  return { ...record, parent: parent === null ? undefined : { index: parent } };
}
