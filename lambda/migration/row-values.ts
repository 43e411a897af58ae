/**
 * Whether a text is for those who may read the database (a terminal, the ledger, the action `status`), or for the many
 * more who may read logs, events and histories: there are names, counts and SQLSTATEs, and no value of any row.
 */
export type RowValues = 'shown' | 'hidden';

/** A text that has values of rows in it, or leaves them out. */
export type Text = string | ((rows: RowValues) => string);

export function textOf(text: Text, rows: RowValues): string {
  return typeof text === 'string' ? text : text(rows);
}

export function hasRowValues(text: Text): boolean {
  return textOf(text, 'shown') !== textOf(text, 'hidden');
}
