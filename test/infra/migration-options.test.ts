import { Duration, Size, Token } from 'aws-cdk-lib';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, it } from 'vitest';
import { checkProps, migrationOptions } from '../../infra/migration-options.ts';
import type { PostgresMigrationsProps } from '../../infra/postgres-migrations-props.ts';

const props = (given: Partial<PostgresMigrationsProps>): PostgresMigrationsProps => ({
  migrations: 'migrations',
  secret: {} as secretsmanager.ISecret,
  ...given,
});

describe('a prop that cannot be is refused at synth', () => {
  it.each<[Partial<PostgresMigrationsProps>, string]>([
    [
      { ledgerSchema: '' },
      'ledgerSchema is "", but must be a schema name of 1 to 63 bytes that does not begin with pg_',
    ],
    [
      { ledgerSchema: 'pg_mine' },
      'ledgerSchema is "pg_mine", but must be a schema name of 1 to 63 bytes that does not begin with pg_',
    ],
    [
      { indexStrategy: 'fast' as 'auto' },
      `indexStrategy is "fast", but must be one of 'auto', 'inline', 'concurrent'`,
    ],
    [
      { waitFor: 'all' as 'nothing' },
      `waitFor is "all", but must be one of 'migrations', 'index-builds', 'nothing'`,
    ],
    [{ smallTableRows: -1 }, 'smallTableRows is -1, but must be a whole number of at least 0'],
    [{ maxAttempts: 0 }, 'maxAttempts is 0, but must be a whole number from 1 to 100'],
    [{ maxConcurrentTables: 2.5 }, 'maxConcurrentTables is 2.5, but must be a whole number from 1 to 40'],
    [
      { lockTimeout: Duration.minutes(2) },
      'lockTimeout is "120 seconds", but must be from 0.001 to 60 seconds',
    ],
    [
      { lockTimeout: Duration.seconds(30), lockBudget: Duration.seconds(10) },
      'lockBudget is "10 seconds", but must be from 30 to 600 seconds',
    ],
    [{ attach: Duration.minutes(15) }, 'attach is "900 seconds", but must be from 0 to 840 seconds'],
    [
      { maintenanceWorkMem: Size.kibibytes(10) },
      'maintenanceWorkMem is "0 MiB", but must be from 1 to 1048576 MiB',
    ],
    [{ parallelWorkers: 65 }, 'parallelWorkers is 65, but must be a whole number from 0 to 64'],
    [
      { longestWait: Duration.hours(2) },
      'longestWait is "7200 seconds", but must be from 60 to 3600 seconds',
    ],
    [{ timeout: Duration.minutes(16) }, 'timeout is "960 seconds", but must be from 60 to 900 seconds'],
    [{ memorySize: 64 }, 'memorySize is 64, but must be a whole number from 128 to 10240'],
  ])('%o', (given, said) => {
    expect(() => checkProps('Stack/Migrations', props(given))).toThrow(
      `Stack/Migrations: ${said}\nNext: change ${said.split(' ')[0]} where the construct is made, then synthesize again`,
    );
  });

  it('passes what only the deploy knows', () => {
    const given = props({
      smallTableRows: Token.asNumber({ Ref: 'Rows' }),
      ledgerSchema: Token.asString({ Ref: 'Schema' }),
      lockTimeout: Duration.seconds(Token.asNumber({ Ref: 'Seconds' })),
      maintenanceWorkMem: Size.mebibytes(Token.asNumber({ Ref: 'Mebibytes' })),
    });

    expect(() => checkProps('Stack/Migrations', given)).not.toThrow();
  });
});

describe('options for the functions', () => {
  it('hold what was set, in seconds, and nothing else', () => {
    const given = props({
      attach: Duration.minutes(2),
      lockTimeout: Duration.millis(250),
      waitFor: 'nothing',
    });

    expect(migrationOptions(given)).toEqual({
      attachSeconds: 120,
      lockTimeoutSeconds: 0.25,
      waitFor: 'nothing',
    });
    expect(migrationOptions(props({}))).toEqual({});
  });
});
