import type { Amendment } from '../../migration/plan.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';

/**
 * Brings what the ledger has of a mended file in line with the file as it is now: its bytes, how many steps it has, and
 * their numbers. From then on it is no other file than the one that was applied. To be sent in one transaction.
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
          // By way of numbers that no step has: two rows may change places.
          `update ${s}.step set step = -1 - case step ${number} else step end where ${version}`,
          `update ${s}.step set step = -1 - step where ${version} and step < 0`,
        ]),
    `update ${s}.step set steps = ${migration.steps.length}, name = ${quoteLiteral(migration.name)}, checksum = ${quoteLiteral(migration.checksum)}
 where ${version}${kept}`,
  ];
}
