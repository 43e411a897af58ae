import type { Session } from './session.ts';

/**
 * Runs a query as the role that logged in. A role that starts its sessions as another one (`alter role … set role …`)
 * sees and may end only that other role's sessions, not those that it opened itself, which belong to the login role.
 * `question` is a query without bound values; its rows are returned as JSON has them.
 *
 * @throws StatementFault
 */
export async function asLoginRole(session: Session, question: string): Promise<unknown[]> {
  const { rows, fault } = await session.script(
    [
      'begin',
      'set local role none',
      `select pg_catalog.json_agg(answer) as answers from (${question}\n) as answer`,
      'rollback',
    ].join('\n;\n'),
  );
  if (fault !== undefined) {
    await session.script('rollback');
    throw fault;
  }
  const answers: unknown = JSON.parse(rows[2]?.[0]?.answers ?? '[]');
  return Array.isArray(answers) ? answers : [];
}
