import { onTestFinished } from 'vitest';
import {
  type HardenedForm,
  type HardenedRoles,
  hardenDatabase,
  hardenObjects,
  hardenRoles,
} from '../../local/postgres/hardened-profile.ts';
import { type FreshDatabase, freshDatabase } from './fresh-database.ts';

export interface HardenedDatabase extends FreshDatabase {
  readonly roles: HardenedRoles;
  /** What was made to run that was not ours; nothing, one hopes. */
  taken(): Promise<string[]>;
}

/** A database of one test, as careful teams run it. `url` and `query` are those of the role for migrations. */
export async function hardenedDatabase(form?: HardenedForm): Promise<HardenedDatabase> {
  const database = await freshDatabase();
  const { name, owner, adminQuery } = database;
  const roles = { login: owner, owner: `tables_of_${owner}`, stranger: `stranger_${owner}` };
  await adminQuery(hardenRoles(roles, form));
  onTestFinished(async () => {
    await adminQuery(`drop owned by ${roles.owner}, ${roles.stranger}, ${owner} cascade;
      drop role ${roles.owner}; drop role ${roles.stranger}`);
  });
  await adminQuery(`${hardenDatabase(name, roles, form)};\n${hardenObjects(roles, form)}`);
  return {
    ...database,
    roles,
    taken: async () => {
      const rows = await adminQuery<{ by: string }>('select distinct by from watched.taken');
      return rows.map(({ by }) => by);
    },
  };
}
