import type { Amendment } from '../../migration/plan.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';

/**
 * Aligns the ledger's rows of a corrected file with the file as it is now: its checksum, the number of steps, and their
 * numbers. From then on it counts as the file that was applied. Send it in one transaction.
 */
export function amendSteps(
  ledgerSchema: string,
  { migration, moved, dropped, begun }: Amendment,
): readonly string[] {
  const s = quoteIdentifier(ledgerSchema);
  const version = `version = ${quoteLiteral(migration.version)}`;
  const gone = dropped.length === 0 ? [] : [`${version} and step in (${dropped.join(', ')})`];
  const number = moved.map(({ from, to }) => `when ${from} then ${to}`).join(' ');
  const kept = begun.length === 0 ? '' : ` and step not in (${begun.join(', ')})`;
  return [
    ...gone.flatMap((where) => [
      `delete from ${s}.work where ${where}`,
      `delete from ${s}.step where ${where}`,
    ]),
    ...(moved.length === 0
      ? []
      : [
          `update ${s}.work set step = case step ${number} else step end where ${version}`,
          // Uses temporary numbers, since two rows may swap places.
          `update ${s}.step set step = -1 - case step ${number} else step end where ${version}`,
          `update ${s}.step set step = -1 - step where ${version} and step < 0`,
        ]),
    `update ${s}.step set steps = ${migration.steps.length}, name = ${quoteLiteral(migration.name)}, checksum = ${quoteLiteral(migration.checksum)}
 where ${version}${kept}`,
  ];
}
