import { Annotations, CustomResource, Duration } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as events from 'aws-cdk-lib/aws-events';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { compiledFrom, parseMigrations } from '../compiler/steps/compile-migrations.ts';
import { environment } from '../lambda/environment.ts';
import { defaultOptions } from '../lambda/migration/options.ts';
import { acknowledgeFindings } from './acknowledgements.ts';
import { lambdaBundle, ROOT_CERTIFICATE_FILE } from './bundle/lambda-bundle.ts';
import { DatabaseAccess } from './database-access.ts';
import { DeployProvider } from './deploy-provider.ts';
import { IndexBuildLoop } from './index-build-loop.ts';
import { lintAtSynth } from './lint-at-synth.ts';
import { MigrationFunction } from './migration-function.ts';
import { checkProps, migrationOptions } from './migration-options.ts';
import { Observability } from './observability.ts';
import { operatorOutputs } from './operator-outputs.ts';
import type { PostgresMigrationsProps } from './postgres-migrations-props.ts';
import { HOOK_TIMEOUT, PreflightHook } from './preflight-hook.ts';

/**
 * Runs a folder of migrations when the stack is deployed, each step once and in order, and hands index builds on
 * tables that are not small to a loop that outlives the deploy. Fails synth, with file, line and column, where a
 * migration can't be parsed, or does what the linter takes for an error.
 */
export class PostgresMigrations extends Construct implements ec2.IConnectable {
  /** Runs the migrations: for CloudFormation, and for whoever invokes it with an action. */
  readonly migrator: lambda.IFunction;
  /** The index-build loop. */
  readonly stateMachine: sfn.IStateMachine;
  /** Changes, and so runs the migrations, only where they or what they mean changed. */
  readonly customResource: CustomResource;
  /** Alarms and dashboard. */
  readonly observability: Observability;
  /** The functions' security groups; without `vpc` there are none. */
  readonly connections: ec2.Connections;

  constructor(scope: Construct, id: string, props: PostgresMigrationsProps) {
    super(scope, id);
    checkProps(this.node.path, props);
    const parsed = parseMigrations(props.migrations, {
      layout: props.layout,
      placeholders: props.placeholders,
    });
    const linted = props.lint === false ? parsed : lintAtSynth(this, parsed, props.lint);
    const migrations = compiledFrom(linted);
    const options = migrationOptions(props);
    const logRetention = props.logRetention ?? logs.RetentionDays.SIX_MONTHS;

    const access = new DatabaseAccess(this, 'Access', props);
    const service = this.node.path;
    const shared = {
      code: lambdaBundle(this, migrations, props.rootCertificate),
      credentials: access.credentials,
      network: access.network,
      service,
      eventBus: props.eventBus ?? events.EventBus.fromEventBusName(this, 'DefaultBus', 'default'),
      extraCertificates: extraCertificates(props),
      logEncryptionKey: props.logEncryptionKey,
      options,
      memorySize: props.memorySize ?? 512,
      timeout: props.timeout ?? Duration.minutes(14),
      logRetention,
    };
    const indexBuild = new MigrationFunction(this, 'IndexBuild', {
      ...shared,
      handler: 'index-build.handler',
      description: `One task of the index-build loop (${this.node.path})`,
      timeout: Duration.minutes(15),
    });
    const loop = new IndexBuildLoop(this, 'IndexBuildLoop', {
      indexBuild,
      maxConcurrentTables: props.maxConcurrentTables ?? defaultOptions.maxConcurrentTables,
      logRetention,
      logEncryptionKey: props.logEncryptionKey,
    });
    const migrator = new MigrationFunction(this, 'Migrator', {
      ...shared,
      handler: 'migrate.handler',
      description: `Runs the migrations (${this.node.path})`,
    });
    const isComplete = new MigrationFunction(this, 'IsComplete', {
      ...shared,
      handler: 'migrate.isComplete',
      description: `Says whether a deploy may continue (${this.node.path})`,
    });
    // Either may end a run, and a run hands off; and looks whether somebody does already.
    for (const handsOff of [migrator, isComplete]) {
      handsOff.addEnvironment(environment.stateMachineArn, loop.stateMachine.stateMachineArn);
      loop.stateMachine.grant(handsOff, 'states:StartExecution', 'states:ListExecutions');
    }

    const longestWait = props.longestWait ?? Duration.minutes(55);
    // Its own message, which says what still runs, has to come before the framework's, which does not.
    const ownPatience = Math.max(30, longestWait.toSeconds() - 180);
    isComplete.addEnvironment(environment.longestWait, String(ownPatience));
    const provider = new DeployProvider(this, 'Deploy', {
      onEvent: migrator,
      isComplete,
      longestWait,
      logRetention,
      logEncryptionKey: props.logEncryptionKey,
    });
    this.customResource = new CustomResource(this, 'Run', {
      resourceType: 'Custom::PostgresMigrations',
      serviceToken: provider.serviceToken,
      properties: {
        Checksum: migrations.checksum,
        ...access.credentials.properties,
        LedgerSchema: options.ledgerSchema ?? defaultOptions.ledgerSchema,
        IndexStrategy: options.indexStrategy ?? defaultOptions.indexStrategy,
        SmallTableRows: options.smallTableRows ?? defaultOptions.smallTableRows,
        WaitFor: options.waitFor ?? defaultOptions.waitFor,
      },
    });
    // The first run may hand off at once, and what the loop is allowed to do hangs on the loop alone.
    this.customResource.node.addDependency(loop);
    if (props.database !== undefined) this.customResource.node.addDependency(props.database, ...access.rules);
    if (props.preflightHook !== undefined) {
      const preflight = new MigrationFunction(this, 'Preflight', {
        ...shared,
        handler: 'preflight.handler',
        description: `Checks a deploy before it begins (${this.node.path})`,
        timeout: HOOK_TIMEOUT,
      });
      new PreflightHook(this, 'PreflightHook', { ...props.preflightHook, preflight });
    }
    this.observability = new Observability(this, 'Observability', {
      service,
      stateMachine: loop.stateMachine,
      alarmTopic: props.alarmTopic,
      stuckAfter: props.stuckAfter ?? Duration.minutes(15),
      dashboard: props.dashboard ?? true,
    });
    if (options.ledgerSchema === 'public') {
      Annotations.of(this).addWarningV2(
        'postgres-migrations:ledger-in-public',
        "The ledger would be in the schema 'public', where others may create objects, and what it contains is executed: no new ledger is created there. Move an old one into a schema of its own; docs/security.md tells how.",
      );
    }
    this.migrator = migrator;
    this.stateMachine = loop.stateMachine;
    this.connections = access.connections;
    if (props.outputs !== false) operatorOutputs(this, this);
    acknowledgeFindings(this);
  }

  /** Migrates before the given constructs are created or updated. */
  executeBefore(...scopes: Construct[]): void {
    for (const scope of scopes) scope.node.addDependency(this.customResource);
  }

  /** Migrates only after the given constructs are created or updated. */
  executeAfter(...scopes: Construct[]): void {
    this.customResource.node.addDependency(...scopes);
  }

  /** Lets the grantee invoke the migrator with an action. */
  grantInvoke(grantee: iam.IGrantable): iam.Grant {
    return this.migrator.grantInvoke(grantee);
  }
}

/** Lambda's Node does not load the certificates of RDS by itself, though it carries them. */
const AMAZON_CERTIFICATES = '/var/runtime/ca-cert.pem';

function extraCertificates({ rootCertificate, database }: PostgresMigrationsProps): string | undefined {
  if (rootCertificate !== undefined) return `/var/task/${ROOT_CERTIFICATE_FILE}`;
  return database === undefined ? undefined : AMAZON_CERTIFICATES;
}
