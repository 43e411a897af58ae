import type { Session } from './session.ts';

/**
 * Asks as the role that logged in. A role that begins each of its sessions as another one (`alter role … set role …`)
 * sees and may end only that other role's sessions, and not those that it has opened itself: these belong to who
 * logged in. `question` is a query without values; its rows come back as JSON has them.
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
