import type { StateMachineDefinition } from 'aws-local-stepfunctions';
import * as v from 'valibot';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { CloudFormationTemplate } from '../aws/cloudformation-template.ts';

/** The part of a state that we read; the library reads the rest. */
const stateSchema = v.looseObject({
  Type: v.string(),
  Resource: v.optional(v.string()),
  TimeoutSeconds: v.optional(v.number()),
  TimeoutSecondsPath: v.optional(v.string()),
  ItemProcessor: v.optional(v.unknown()),
  Iterator: v.optional(v.unknown()),
  Branches: v.optional(v.array(v.unknown())),
});
export type State = v.InferOutput<typeof stateSchema>;

const statesSchema = v.looseObject({ StartAt: v.string(), States: v.record(v.string(), stateSchema) });
const processorSchema = v.looseObject({
  ...statesSchema.entries,
  ProcessorConfig: v.optional(v.looseObject({ Mode: v.optional(v.string()) })),
});

/** One state of a machine, wherever it is nested. */
export interface PlacedState {
  readonly name: string;
  readonly state: State;
  /** Name of the distributed map whose child executions have it; undefined in the execution itself. */
  readonly distributedMap: string | undefined;
}

export interface LocalDefinition {
  readonly states: ReadonlyMap<string, PlacedState>;
  /** The definition for the library. */
  readonly definition: StateMachineDefinition;
}

/** The state machine of a template whose logical id has this prefix, resolved: its ARN, and its definition as JSON. */
export function stateMachineOf(
  template: unknown,
  logicalIdPrefix = '',
): { arn: string; definition: unknown } {
  const resolved = new CloudFormationTemplate(template);
  const machines = resolved
    .resourcesOf('AWS::StepFunctions::StateMachine')
    .filter(({ logicalId }) => logicalId.startsWith(logicalIdPrefix));
  const [machine] = machines;
  if (machine === undefined || machines.length > 1) {
    throw refused(`the template has ${machines.length} of them whose id begins with '${logicalIdPrefix}'`);
  }
  const { DefinitionString, Definition } = machine.properties;
  return {
    arn: resolved.arnOf(machine.logicalId),
    definition: typeof DefinitionString === 'string' ? JSON.parse(DefinitionString) : Definition,
  };
}

/** Longest wait of a real setTimeout, in seconds. */
const LONGEST_TIMEOUT_SECONDS = 2_147_483;

/**
 * Makes a definition ready for aws-local-stepfunctions, which differs from AWS in a few things. Where it assumes a
 * timeout of 60 s for a task that names none, AWS assumes none. What it would silently do wrong is refused.
 * It does not tolerate failed items of a distributed map: the first one fails the map, whatever the definition says.
 */
export function prepareDefinition(definition: unknown): LocalDefinition {
  const text = JSON.stringify(definition);
  const unknown = /\$\$\.(?:State|Task)\b[\w.]*/.exec(text)?.[0];
  if (unknown !== undefined) throw refused(`${unknown} of the context object is not known locally`);
  if (text.includes('"QueryLanguage":"JSONata"')) throw refused('JSONata is not known locally');
  const copy: unknown = JSON.parse(text);
  const states = new Map<string, PlacedState>();
  collect(copy, undefined, states);
  for (const { state } of states.values()) {
    if (state.Type !== 'Task' || state.TimeoutSecondsPath !== undefined) continue;
    state.TimeoutSeconds = Math.min(state.TimeoutSeconds ?? LONGEST_TIMEOUT_SECONDS, LONGEST_TIMEOUT_SECONDS);
  }
  return { states, definition: copy as StateMachineDefinition };
}

function collect(part: unknown, distributedMap: string | undefined, into: Map<string, PlacedState>): void {
  if (!v.is(statesSchema, part)) throw refused('a part of it has no StartAt and States');
  for (const [name, state] of Object.entries(part.States)) {
    if (into.has(name)) throw refused(`it has two states named ${name}`);
    into.set(name, { name, state, distributedMap });
    for (const branch of state.Branches ?? []) collect(branch, distributedMap, into);
    const processor = state.ItemProcessor ?? state.Iterator;
    if (processor === undefined) continue;
    const distributed = isDistributed(state);
    if (distributed && distributedMap !== undefined)
      throw refused(`${name} is a distributed map in another one`);
    collect(processor, distributed ? name : distributedMap, into);
  }
}

export function isDistributed(state: State): boolean {
  return (
    v.is(processorSchema, state.ItemProcessor) && state.ItemProcessor.ProcessorConfig?.Mode === 'DISTRIBUTED'
  );
}

function refused(why: string): MigrationError {
  return new MigrationError({
    code: 'state-machine-refused',
    what: `The state machine can't be run locally: ${why}.`,
    next: 'change the definition, or local/step-functions/state-machine-definition.ts.',
  });
}
