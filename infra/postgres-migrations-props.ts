import type { Duration } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as events from 'aws-cdk-lib/aws-events';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as logs from 'aws-cdk-lib/aws-logs';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type * as sns from 'aws-cdk-lib/aws-sns';
import type { LayoutName } from '../lambda/migration/layout.ts';
import type { Authentication, ConnectableDatabase } from './database-access.ts';
import type { LintProps } from './lint-at-synth.ts';
import type { PreflightHookProps } from './preflight-hook.ts';
import type { RunProps } from './run-props.ts';

/** Props of the construct; those of a run itself are RunProps. */
export interface PostgresMigrationsProps extends RunProps {
  /** Folder of the migrations, absolute or relative to the directory that the CDK app runs in. */
  readonly migrations: string;

  /**
   * Whose way the folder is laid out: `plain`, or that of another tool, whose names, order, parts and directives then
   * count. docs/coming-from.md has a section for each.
   *
   * @default - detected from the folder's files
   */
  readonly layout?: LayoutName;

  /**
   * Values of the placeholders in the files: psql's `:'name'`, `:"name"` and `:name`, Flyway's and goose's `${name}`. Each
   * is written as its place wants it, as a string, a name or a number, and can be nothing more. One without a value fails
   * synth. They end up in the function's code: no secrets.
   *
   * @default - none
   */
  readonly placeholders?: Readonly<Record<string, string>>;

  /**
   * Secret with the connection: a URL; JSON with `DATABASE_URL`, `connectionString` or `url`; or JSON as RDS writes
   * it. It is read at run time only.
   *
   * @default - the secret of `database`
   */
  readonly secret?: secretsmanager.ISecret;

  /**
   * An RDS or Aurora cluster or instance: its secret is used, its security group lets the functions in, and the
   * migrations run after it is there. Needs `vpc`.
   *
   * @default - a database that `secret` alone leads to
   */
  readonly database?: ConnectableDatabase;

  /**
   * How the functions are let in. `secret`: by the password of `secret`. `iam`: as what they are, by RDS IAM
   * authentication, with a token for each connection and no secret; needs `database`, with `iamAuthentication: true`, and
   * `databaseUser`.
   *
   * @default 'secret'
   */
  readonly authentication?: Authentication;

  /**
   * User of the database to connect as with `authentication: 'iam'`: one that has been granted `rds_iam`.
   *
   * @default - that of the secret
   */
  readonly databaseUser?: string;

  /**
   * Name of the database to migrate with `authentication: 'iam'`.
   *
   * @default - that of the secret; with `authentication: 'iam'`, 'postgres'
   */
  readonly databaseName?: string;

  /**
   * Network of the functions. They need a way out of it to Secrets Manager, Step Functions and EventBridge: a NAT
   * gateway or interface endpoints.
   *
   * @default - no network: the database is reached over the internet
   */
  readonly vpc?: ec2.IVpc;

  /**
   * Subnets of the functions.
   *
   * @default - the private subnets with a way out
   */
  readonly vpcSubnets?: ec2.SubnetSelection;

  /**
   * Security groups of the functions.
   *
   * @default - a new one
   */
  readonly securityGroups?: ec2.ISecurityGroup[];

  /**
   * PEM file with the root certificate of the database's server, where no public authority signed it.
   *
   * @default - public authorities and, for `database`, Amazon's own for RDS
   */
  readonly rootCertificate?: string;

  /**
   * Bus that hears of the end of each run and each index build.
   *
   * @default - the account's default bus
   */
  readonly eventBus?: events.IEventBus;

  /**
   * Topic of the alarms: a build failed, a build is stuck, a run failed, the loop failed.
   *
   * @default - alarms without an action
   */
  readonly alarmTopic?: sns.ITopic;

  /**
   * After waiting this long for another session's transaction, a build counts as stuck.
   *
   * @default Duration.minutes(15)
   */
  readonly stuckAfter?: Duration;

  /**
   * Whether there is a CloudWatch dashboard with the progress of each build.
   *
   * @default true
   */
  readonly dashboard?: boolean;

  /**
   * Whether the stack's outputs have the commands that invoke the migrator, and the links to the functions, the loop
   * and the dashboard in the console.
   *
   * @default true
   */
  readonly outputs?: boolean;

  /**
   * A CloudFormation Hook that checks each deploy of the stack before any resource is touched. It runs in the account
   * as it is before the deploy: it exists from the second deploy on.
   *
   * @default - no hook
   */
  readonly preflightHook?: Omit<PreflightHookProps, 'preflight'>;

  /**
   * Key of all logs; it has to let CloudWatch Logs use it.
   *
   * @default - CloudWatch's own encryption
   */
  readonly logEncryptionKey?: kms.IKey;

  /**
   * What the linter makes of the migrations at synth: its errors fail it, its warnings are shown. `false`: it is not
   * asked.
   *
   * @default - every file is judged, by the levels that docs/lint.md gives
   */
  readonly lint?: LintProps | false;

  /**
   * The longest that a deploy waits, after the first run, for what `waitFor` names: 1 minute to 1 hour. Index builds
   * continue after it. CloudFormation itself waits no longer than an hour.
   *
   * @default Duration.minutes(55)
   */
  readonly longestWait?: Duration;

  /**
   * The longest that one run may take: 1 to 15 minutes. The default leaves a minute for the answer to CloudFormation
   * within the 15 minutes of the function that waits for it.
   *
   * @default Duration.minutes(14)
   */
  readonly timeout?: Duration;

  /**
   * Memory of each function, in MB: 128 to 10240.
   *
   * @default 512
   */
  readonly memorySize?: number;

  /**
   * How long the functions' and the loop's logs are kept. Logs outlive the stack, so that a first deploy that failed
   * can still be read.
   *
   * @default RetentionDays.SIX_MONTHS
   */
  readonly logRetention?: logs.RetentionDays;
}
