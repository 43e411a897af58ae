import { isDistributed, type LocalDefinition, type State } from './state-machine-definition.ts';

/** Step Functions ends a standard execution whose history would become longer. */
export const MOST_EVENTS = 25_000;

/** The library's reports that are counted. */
export interface LoggedEvent {
  readonly type: string;
  readonly state?: { readonly name: string; readonly input?: unknown; readonly output?: unknown } | undefined;
  readonly parentState?: { readonly name: string } | undefined;
  /** Index of the item, within a map. */
  readonly index?: number | undefined;
}

export interface History {
  /** `execution`, or for a child of a distributed map: `BuildTables[2]` for its third item. */
  readonly execution: string;
  events: number;
}

/**
 * Counts, as the library runs, what AWS would have: the events of each execution's history, and the state
 * transitions that it bills. By the documented event types a state enters and exits (2), a task is also scheduled,
 * started and ended at each attempt (3), and a distributed map starts a run and has a history for each child. It is
 * an estimate: AWS does not promise which events it writes.
 */
export class ExecutionHistory {
  readonly #definition: LocalDefinition;
  readonly #root: History = { execution: 'execution', events: 0 };
  readonly #children = new Map<string, History>();
  readonly #caught = new Set<string>();
  readonly histories: History[] = [this.#root];
  /** A state entered, a retry, the end of an execution. */
  transitions = 0;
  /** Input or output of a state, as JSON. */
  largestStateBytes = 0;
  #iterations = { started: 0, ended: 0 };

  constructor(definition: LocalDefinition) {
    this.#definition = definition;
  }

  get longest(): History {
    return this.histories.reduce((longest, next) => (next.events > longest.events ? next : longest));
  }

  /** Items of maps whose end is not reported yet. */
  get openIterations(): number {
    return this.#iterations.started - this.#iterations.ended;
  }

  /** What the event belongs to: the execution, or a child of it. */
  add(event: LoggedEvent): History {
    if (event.type.startsWith('MapIteration')) return this.#iteration(event);
    if (event.type.startsWith('Execution'))
      return this.#bounds(this.#root, event.type === 'ExecutionStarted');
    const placed = this.#definition.states.get(event.state?.name ?? '');
    if (placed === undefined) return this.#root;
    const history =
      (placed.distributedMap && this.#children.get(`${placed.distributedMap}[${event.index}]`)) || this.#root;
    const instance = `${history.execution}/${placed.name}`;
    if (event.type === 'StateEntered' || event.type === 'StateRetried') this.transitions++;
    if (event.type === 'StateCaught') this.#caught.add(instance);
    const caught = event.type === 'StateExited' && this.#caught.delete(instance);
    history.events += eventsOf(event.type, placed.state, caught);
    this.#measure(event.type === 'StateExited' ? event.state?.output : event.state?.input);
    return history;
  }

  #iteration({ type, parentState, index }: LoggedEvent): History {
    const starts = type === 'MapIterationStarted';
    this.#iterations[starts ? 'started' : 'ended']++;
    const map = this.#definition.states.get(parentState?.name ?? '');
    if (map === undefined || !isDistributed(map.state)) {
      this.#root.events++;
      return this.#root;
    }
    const execution = `${map.name}[${index}]`;
    const history = starts ? { execution, events: 0 } : (this.#children.get(execution) ?? this.#root);
    if (starts) {
      this.#children.set(execution, history);
      this.histories.push(history);
    }
    return this.#bounds(history, starts);
  }

  #bounds(history: History, starts: boolean): History {
    history.events++;
    if (!starts) this.transitions++;
    return history;
  }

  #measure(value: unknown): void {
    const bytes = value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
    this.largestStateBytes = Math.max(this.largestStateBytes, bytes);
  }
}

/** Pure: how many events AWS writes for one report of the library. */
export function eventsOf(type: string, state: State, caught: boolean): number {
  const [begins, ends] = attemptEvents(state);
  switch (type) {
    case 'StateEntered':
      return 1 + begins;
    case 'StateRetried':
      return begins;
    case 'StateFailed':
      return ends;
    case 'StateExited':
      return caught ? 1 : 1 + ends;
    default:
      return 0;
  }
}

/** Events at the beginning and at the end of each attempt of a state. */
function attemptEvents(state: State): readonly [begins: number, ends: number] {
  switch (state.Type) {
    case 'Task':
      return [2, 1];
    case 'Map':
      return isDistributed(state) ? [2, 2] : [1, 1];
    case 'Parallel':
      return [1, 1];
    default:
      return [0, 0];
  }
}
