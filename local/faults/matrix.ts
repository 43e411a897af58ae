import type { TriedSession } from './fault-server.ts';

/** One thing that goes wrong, once. */
export type FaultCase = { readonly session: TriedSession } & (
  | {
      readonly kind: 'message';
      readonly direction: Direction;
      readonly message: number;
      readonly action: Action;
    }
  | { readonly kind: 'kill-handler'; readonly direction: Direction; readonly message: number }
  | { readonly kind: 'phase'; readonly phase: Phase; readonly strike: Strike }
  | { readonly kind: 'restart'; readonly phase: Phase }
  /** Every task, and the deploy itself, is delivered a second time after this many milliseconds. */
  | { readonly kind: 'tasks-twice'; readonly afterMilliseconds: number }
  | { readonly kind: 'two-loops'; readonly afterMilliseconds: number }
);

type Direction = 'to-server' | 'to-client';
type Action = 'cut-before' | 'cut-after' | 'delay';

/** Where a fault can be injected, in a step or in a build; each is made to last until then. */
export const PHASES = [
  'a transaction step',
  'waiting for its table',
  'waiting for writers before build',
  'building index: scanning table',
  'waiting for writers before validation',
  'index validation: scanning table',
  'waiting for old snapshots',
  'a batch of a backfill',
  'a validation',
  'a refresh',
  'upkeep',
  'a statement under hand-off',
] as const;
export type Phase = (typeof PHASES)[number];

export const STRIKES = [
  'cancel builder',
  'terminate builder',
  'cancel supervisor',
  'terminate supervisor',
  'terminate turn',
  'terminate all',
  'kill handler',
] as const;
export type Strike = (typeof STRIKES)[number];

/** Messages of an undisturbed deploy, both ways, by kind of session. */
export type MessageCounts = Readonly<Record<TriedSession, Readonly<Record<Direction, number>>>>;

/** All faults, in a fixed order. */
export function allFaults(counts: MessageCounts): FaultCase[] {
  const faults: FaultCase[] = [];
  for (const session of ['loopback', 'orphan'] as const) {
    for (const direction of ['to-server', 'to-client'] as const) {
      for (let message = 1; message <= counts[session][direction]; message += 1) {
        for (const action of ['cut-before', 'cut-after', 'delay'] as const) {
          faults.push({ session, kind: 'message', direction, message, action });
        }
        faults.push({ session, kind: 'kill-handler', direction, message });
      }
    }
    for (const phase of PHASES) {
      for (const strike of STRIKES) {
        if (!isThere(strike, session, phase)) continue;
        faults.push({ session, kind: 'phase', phase, strike });
      }
      faults.push({ session, kind: 'restart', phase });
    }
    for (let step = 0; step < 40; step += 1) {
      faults.push({ session, kind: 'tasks-twice', afterMilliseconds: step * 3 });
      faults.push({ session, kind: 'two-loops', afterMilliseconds: step * 20 });
    }
  }
  return faults;
}

function isThere(strike: Strike, session: TriedSession, phase: Phase): boolean {
  const byItself = phase === 'a transaction step' || phase === 'a batch of a backfill';
  if (strike.endsWith('supervisor')) return session === 'loopback' && !byItself;
  return !strike.endsWith('builder') || !byItself;
}

/** A fault's name, by which it can be tried again: `loopback/message/to-server/12/cut-before`. */
export function nameOf(fault: FaultCase): string {
  const { session, kind } = fault;
  switch (kind) {
    case 'message':
      return [session, kind, fault.direction, fault.message, fault.action].join('/');
    case 'kill-handler':
      return [session, kind, fault.direction, fault.message].join('/');
    case 'phase':
      return [session, kind, fault.phase, fault.strike].join('/');
    case 'restart':
      return [session, kind, fault.phase].join('/');
    case 'tasks-twice':
    case 'two-loops':
      return [session, kind, fault.afterMilliseconds].join('/');
    default:
      return fault satisfies never;
  }
}

/** A sample of this size, the same for the same seed; drawn from each kind in turn, so that a small one has all. */
export function sample(faults: readonly FaultCase[], count: number, seed: number): FaultCase[] {
  if (count >= faults.length) return [...faults];
  const random = generator(seed);
  const shuffled = (list: readonly FaultCase[]) =>
    list
      .map((fault) => ({ fault, key: random() }))
      .sort((a, b) => a.key - b.key)
      .map(({ fault }) => fault);
  const groups = [...groupByKind(faults).values()].map(shuffled);
  const chosen: FaultCase[] = [];
  for (let round = 0; chosen.length < count; round += 1) {
    for (const group of groups) {
      const fault = group[round];
      if (fault !== undefined && chosen.length < count) chosen.push(fault);
    }
  }
  return chosen;
}

function groupByKind(faults: readonly FaultCase[]): Map<FaultCase['kind'], FaultCase[]> {
  const groups = new Map<FaultCase['kind'], FaultCase[]>();
  for (const fault of faults) {
    const group = groups.get(fault.kind) ?? [];
    group.push(fault);
    groups.set(fault.kind, group);
  }
  return groups;
}

/** Mulberry32: numbers from 0 to 1 that depend on nothing but the seed. */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
