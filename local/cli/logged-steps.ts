import * as v from 'valibot';
import { appliedHow } from '../../lambda/run/run.ts';

/** Steps as the functions log them, and answer with them. */
export const loggedSteps = v.array(
  v.object({
    migration: v.string(),
    step: v.number(),
    of: v.number(),
    how: v.picklist(appliedHow),
    operation: v.exactOptional(v.string()),
  }),
);
