import type { Direction, ProtocolMessage } from './protocol-messages.ts';

/** An injected fault at one message. It happens once. */
export interface InjectedFault {
  readonly direction: Direction;
  /** 1-based, among the messages that the fields below let through, from when the fault is set. @default 1 */
  readonly message?: number;
  /** Only messages of this connection, 1-based in the order of connecting. @default any */
  readonly connection?: number;
  readonly type?: ProtocolMessage['type'];
  /** Only messages with this text in them. */
  readonly containing?: string;
  readonly action: FaultAction;
}

/**
 * `cut-before`: the connection breaks and the message is lost. `cut-after`: its receiver gets it, then the
 * connection breaks. `stall`: it and all after it wait until released. `duplicate`: it is sent twice.
 */
export type FaultAction =
  | 'cut-before'
  | 'cut-after'
  | 'stall'
  | 'duplicate'
  | { readonly delayMilliseconds: number };

interface SetFault {
  readonly fault: InjectedFault;
  matched: number;
  readonly fired: () => void;
}

/** The faults of one proxy that have not happened yet. */
export class FaultPlan {
  #pending: SetFault[] = [];
  /** Those that happened, in order. */
  readonly fired: InjectedFault[] = [];

  /** Resolves when it happens. */
  set(fault: InjectedFault): Promise<void> {
    return new Promise((fired) => this.#pending.push({ fault, matched: 0, fired }));
  }

  /** The fault to inject at this message; if two match, the first. */
  at(message: ProtocolMessage, direction: Direction, connection: number): FaultAction | undefined {
    if (this.#pending.length === 0) return undefined;
    const due = this.#pending.filter((set) => {
      if (!concerns(set.fault, { message, direction, connection })) return false;
      set.matched++;
      return set.matched === (set.fault.message ?? 1);
    });
    this.#pending = this.#pending.filter((set) => !due.includes(set));
    for (const { fault, fired } of due) {
      this.fired.push(fault);
      fired();
    }
    return due[0]?.fault.action;
  }
}

interface Passing {
  readonly message: ProtocolMessage;
  readonly direction: Direction;
  readonly connection: number;
}

function concerns(fault: InjectedFault, { message, direction, connection }: Passing): boolean {
  if (fault.direction !== direction) return false;
  if (fault.connection !== undefined && fault.connection !== connection) return false;
  if (fault.type !== undefined && fault.type !== message.type) return false;
  return fault.containing === undefined || message.bytes.includes(fault.containing);
}
