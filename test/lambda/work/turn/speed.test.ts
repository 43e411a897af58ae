import { describe, expect, it } from 'vitest';
import { freshScenario, type Scenario } from '../../run/scenario.ts';
import { theBuild } from './building.ts';

/** An index whose expression says, as an error, what its session has been given. */
const telling = {
  '1_big.sql': `create table big (x int); insert into big select generate_series(1, 200);
create function tell(x int) returns int immutable language plpgsql as $$
begin
  raise exception 'memory %, workers %, lock_timeout %', current_setting('maintenance_work_mem'),
    current_setting('max_parallel_maintenance_workers'), current_setting('lock_timeout');
end $$;`,
};
const files = {
  ...telling,
  '2_index.sql': "set lock_timeout = '5s'; create index concurrently on big (tell(x));",
};

async function told(scenario: Scenario, options = {}): Promise<string | undefined> {
  await scenario.run(telling, options);
  await scenario.deploy(files, options);
  return (await theBuild(scenario.database)).fault?.message;
}

describe.each([
  ['loopback', true],
  ['attached', false],
])('a %s session', (_, dblink) => {
  it('has the memory and the workers that the server can spare, and no lock_timeout', async () => {
    expect(await told(await freshScenario({ dblink }))).toBe('memory 64MB, workers 2, lock_timeout 0');
  });

  it('has those of the props instead', async () => {
    const options = { maintenanceWorkMemMegabytes: 96, parallelWorkers: 1 };
    expect(await told(await freshScenario({ dblink }), options)).toBe(
      'memory 96MB, workers 1, lock_timeout 0',
    );
  });
});
