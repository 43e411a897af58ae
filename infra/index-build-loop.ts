import { Aws, Duration, Fn, Names, RemovalPolicy } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import { Construct } from 'constructs';
import type { LoopTask } from '../lambda/work/loop-task.ts';

export interface IndexBuildLoopProps {
  /** Does every task of the loop; see `lambda/work/loop-task.ts` for requests and answers. */
  readonly indexBuild: lambda.IFunction;
  /** Tables that build side by side. */
  readonly maxConcurrentTables: number;
  readonly logRetention: logs.RetentionDays;
  readonly logEncryptionKey?: kms.IKey | undefined;
}

/** A task may take as long as Lambda allows, and a little longer for Lambda to report a timeout. */
const TASK_TIMEOUT = Duration.seconds(15 * 60 + 30);

/**
 * Retries of errors (a throttled or failing service, a function that died, a database that restarts): quickly at first,
 * then every two minutes at most, with full jitter, for about ten minutes on average.
 */
const faultRetry = {
  errors: [sfn.Errors.TASKS_FAILED, sfn.Errors.TIMEOUT],
  interval: Duration.seconds(2),
  backoffRate: 2,
  maxDelay: Duration.minutes(2),
  maxAttempts: 15,
  jitterStrategy: sfn.JitterType.FULL,
} satisfies sfn.RetryProps;

const EVENTS_PER_EXECUTION = 25_000;
/** Turn 5, its outcome 2, the wait 2; and 3 for each retry of the turn. */
const MOST_EVENTS_PER_TURN = 9 + 3 * faultRetry.maxAttempts;

/**
 * A branch ends after this many turns, which stay within the event limit of its execution whatever happens in them; the
 * loop then finds its table again, for a new branch with a new history.
 */
export const TURNS_PER_BRANCH = Math.floor((EVENTS_PER_EXECUTION * 0.9) / MOST_EVENTS_PER_TURN);

/** A round in which every branch failed takes about ten minutes; this many in a row are enough. */
const ROUNDS_WITHOUT_PROGRESS = 3;

/** How a branch ended: no build left, too many turns for one history, or an error that outlasted its retries. */
type BranchEnd = 'done' | 'turn-limit' | 'failed';

/**
 * The state machine that completes builds, however long they take. Each table is a branch with an
 * execution of its own, so that days of turns of many tables stay within Step Functions' event limit. JSONPath, not
 * JSONata: the local runner knows nothing else. No state holds SQL, and none grows with the number of turns.
 */
export class IndexBuildLoop extends Construct {
  readonly stateMachine: sfn.StateMachine;

  constructor(scope: Construct, id: string, props: IndexBuildLoopProps) {
    super(scope, id);
    this.stateMachine = new sfn.StateMachine(this, 'StateMachine', {
      comment: 'Takes handed-off index builds to their end, then resumes the migrations that waited for them',
      definitionBody: sfn.DefinitionBody.fromChainable(this.loop(props)),
      tracingEnabled: true,
      logs: {
        destination: this.logGroup(props),
        level: sfn.LogLevel.ALL,
        includeExecutionData: false,
      },
    });
  }

  private loop(props: IndexBuildLoopProps): sfn.IChainable {
    const settle = this.settle(props);
    const onError = { errors: [sfn.Errors.ALL] };
    const findTables = this.task(props, 'FindTables', {
      asks: { task: 'tables' },
      resultSelector: { 'tables.$': '$.tables', 'newest.$': '$.newest' },
      resultPath: '$.found',
    });
    const resume = this.task(props, 'Resume', {
      asks: { task: 'resume' },
      resultSelector: { 'outcome.$': '$.outcome' },
      resultPath: '$.resumed',
    });
    const buildTables = this.buildTables(props);
    const begin = this.stalls('Begin', 0);

    begin
      .next(findTables.addCatch(settle, onError))
      .next(
        new sfn.Choice(this, 'AnyTables')
          .when(sfn.Condition.isPresent('$.found.tables[0]'), buildTables)
          .otherwise(resume),
      );
    // A table whose branch failed gets another branch as long as others make progress.
    buildTables
      .addRetry(faultRetry)
      .addCatch(settle, onError)
      .next(
        new sfn.Choice(this, 'AnyProgress')
          .when(
            sfn.Condition.or(
              sfn.Condition.booleanEquals('$.built.done', true),
              sfn.Condition.booleanEquals('$.built.turnLimit', true),
            ),
            this.stalls('Progress', 0).next(findTables),
          )
          .otherwise(this.stalls('Stall', 'one more').next(resume)),
      );
    // Builds whose errors outlast all rounds are left to the next hand-off; Settle reports them as unfinished.
    resume
      .addCatch(settle, onError)
      .next(
        new sfn.Choice(this, 'ResumeOutcome')
          .when(
            sfn.Condition.and(
              sfn.Condition.stringEquals('$.resumed.outcome', 'more'),
              sfn.Condition.numberLessThan('$.stalls', ROUNDS_WITHOUT_PROGRESS),
            ),
            findTables,
          )
          .otherwise(settle),
      );
    return begin;
  }

  /** The loop's own state: how many rounds in a row only failed. It replaces the output of tasks. */
  private stalls(id: string, stalls: 0 | 'one more'): sfn.Pass {
    const parameters = stalls === 0 ? { stalls } : { 'stalls.$': 'States.MathAdd($.stalls, 1)' };
    return new sfn.Pass(this, id, { parameters });
  }

  private buildTables(props: IndexBuildLoopProps): sfn.DistributedMap {
    const ended = (end: BranchEnd): string => `States.ArrayContains($[*].end, '${end}')`;
    return new sfn.DistributedMap(this, 'BuildTables', {
      label: 'BuildTables',
      itemsPath: '$.found.tables',
      itemSelector: {
        'newest.$': '$.found.newest',
        last: { turn: 0, 'tables.$': 'States.Array($$.Map.Item.Value)' },
      },
      maxConcurrency: props.maxConcurrentTables,
      mapExecutionType: sfn.StateMachineType.STANDARD,
      // A branch catches its own errors; those that can't be caught must not stop other branches either.
      toleratedFailurePercentage: 100,
      resultSelector: { 'done.$': ended('done'), 'turnLimit.$': ended('turn-limit') },
      resultPath: '$.built',
    }).itemProcessor(this.branch(props));
  }

  /**
   * One table, and what follows from its builds (partitions, what resumed steps hand off), turn by turn until nothing
   * is left.
   */
  private branch(props: IndexBuildLoopProps): sfn.IChainable {
    const failed = this.branchEnd('TableFailed', 'failed');
    const turn = this.task(props, 'Turn', {
      asks: {
        task: 'turn',
        'tables.$': '$.last.tables',
        'newest.$': '$.newest',
        'turn.$': 'States.MathAdd($.last.turn, 1)',
      },
      resultSelector: {
        'outcome.$': '$.outcome',
        'waitSeconds.$': '$.waitSeconds',
        'turn.$': '$.turn',
        'tables.$': '$.tables',
      },
      resultPath: '$.last',
    });
    const wait = new sfn.Wait(this, 'WaitForBuild', {
      time: sfn.WaitTime.secondsPath('$.last.waitSeconds'),
    });
    wait.next(turn);

    const outcome = (name: string): sfn.Condition => sfn.Condition.stringEquals('$.last.outcome', name);
    turn.addCatch(failed, { errors: [sfn.Errors.ALL] }).next(
      new sfn.Choice(this, 'TurnOutcome')
        .when(outcome('done'), this.branchEnd('TableDone', 'done'))
        .when(
          sfn.Condition.and(
            outcome('wait'),
            sfn.Condition.numberGreaterThanEquals('$.last.turn', TURNS_PER_BRANCH),
          ),
          this.branchEnd('TurnLimit', 'turn-limit'),
        )
        .when(
          sfn.Condition.and(outcome('wait'), sfn.Condition.numberGreaterThan('$.last.waitSeconds', 0)),
          wait,
        )
        .when(outcome('wait'), turn)
        .otherwise(failed),
    );
    return turn;
  }

  private settle(props: IndexBuildLoopProps): sfn.TaskStateBase {
    const settle = this.task(props, 'Settle', {
      asks: {
        task: 'settle',
        'execution.$': '$$.Execution.Name',
        'startedAt.$': '$$.Execution.StartTime',
      },
      resultSelector: { 'outcome.$': '$.outcome', 'message.$': '$.message' },
      resultPath: '$.settled',
    });
    settle.next(
      new sfn.Choice(this, 'SettleOutcome')
        .when(
          sfn.Condition.stringEquals('$.settled.outcome', 'failed'),
          new sfn.Fail(this, 'BuildsFailed', { error: 'BuildsFailed', causePath: '$.settled.message' }),
        )
        .when(
          sfn.Condition.isPresent('$.Cause'),
          new sfn.Fail(this, 'LoopFailed', { errorPath: '$.Error', causePath: '$.Cause' }),
        )
        .otherwise(new sfn.Succeed(this, 'AllValid')),
    );
    return settle;
  }

  private task(props: IndexBuildLoopProps, id: string, task: LoopTaskState): sfn.TaskStateBase {
    const { asks, resultSelector, resultPath } = task;
    return new tasks.LambdaInvoke(this, id, {
      lambdaFunction: props.indexBuild,
      payload: sfn.TaskInput.fromObject(asks),
      payloadResponseOnly: true,
      resultSelector,
      resultPath,
      taskTimeout: sfn.Timeout.duration(TASK_TIMEOUT),
      retryOnServiceExceptions: false,
    }).addRetry(faultRetry);
  }

  private branchEnd(id: string, end: BranchEnd): sfn.Pass {
    return new sfn.Pass(this, id, { result: sfn.Result.fromObject({ end }) });
  }

  /**
   * A name under /aws/vendedlogs/ keeps the account's policy for log delivery from growing with every machine. Having
   * a name of its own, the group goes with the construct: CloudFormation keeps what is retained also where it rolls the
   * first deploy back, and the next one would end in "already exists". What it holds, the executions' histories have.
   */
  private logGroup({ logRetention, logEncryptionKey }: IndexBuildLoopProps): logs.LogGroup {
    const stackId = Fn.select(2, Fn.split('/', Aws.STACK_ID));
    return new logs.LogGroup(this, 'Logs', {
      logGroupName: `/aws/vendedlogs/states/${Names.uniqueResourceName(this, { maxLength: 80 })}-${stackId}`,
      retention: logRetention,
      ...(logEncryptionKey === undefined ? {} : { encryptionKey: logEncryptionKey }),
      removalPolicy: RemovalPolicy.DESTROY,
    });
  }
}

interface LoopTaskState {
  /** A LoopTask, with paths in place of what the machine carries. */
  readonly asks: { readonly task: LoopTask['task'] } & Record<string, unknown>;
  /** Picks the fields that the machine knows, so that nothing else enters its history. */
  readonly resultSelector: Record<string, string>;
  readonly resultPath: string;
}
