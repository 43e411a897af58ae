import { type RelationName, relationKey } from './relation-name.ts';

/** Table-level lock modes as Postgres orders them, the weakest first. */
export const lockModes = [
  'access share',
  'row share',
  'row exclusive',
  'share update exclusive',
  'share',
  'share row exclusive',
  'exclusive',
  'access exclusive',
] as const;

export type LockMode = (typeof lockModes)[number];

/**
 * What a statement does while it holds a lock, the shortest first. `moment`: it changes the catalog. `scan`: it reads
 * the whole relation. `build`: it builds an index over it. `write`: it writes rows. `rewrite`: it rewrites the whole
 * relation and all its indexes.
 */
export const lockWorks = ['moment', 'scan', 'build', 'write', 'rewrite'] as const;

export type LockWork = (typeof lockWorks)[number];

/** The strongest lock that a statement takes on one relation, and what it does under it. */
export interface RelationLock {
  readonly relation: RelationName;
  readonly mode: LockMode;
  readonly work: LockWork;
}

/** Which modes conflict with each, from the table in "13.3. Explicit Locking" of the Postgres manual. */
const CONFLICTS: Readonly<Record<LockMode, readonly LockMode[]>> = {
  'access share': ['access exclusive'],
  'row share': ['exclusive', 'access exclusive'],
  'row exclusive': ['share', 'share row exclusive', 'exclusive', 'access exclusive'],
  'share update exclusive': [
    'share update exclusive',
    'share',
    'share row exclusive',
    'exclusive',
    'access exclusive',
  ],
  share: ['row exclusive', 'share update exclusive', 'share row exclusive', 'exclusive', 'access exclusive'],
  'share row exclusive': [
    'row exclusive',
    'share update exclusive',
    'share',
    'share row exclusive',
    'exclusive',
    'access exclusive',
  ],
  exclusive: [
    'row share',
    'row exclusive',
    'share update exclusive',
    'share',
    'share row exclusive',
    'exclusive',
    'access exclusive',
  ],
  'access exclusive': lockModes,
};

/** Whether one session waits for another that holds the other mode on the same relation. */
export function modesConflict(a: LockMode, b: LockMode): boolean {
  return CONFLICTS[a].includes(b);
}

/** A mode as pg_locks writes it: `ShareUpdateExclusiveLock`. An unknown mode counts as the strongest. */
export function modeOfLock(written: string): LockMode {
  const words = written
    .replace(/Lock$/, '')
    .replace(/(?!^)[A-Z]/g, ' $&')
    .toLowerCase();
  return lockModes.find((mode) => mode === words) ?? 'access exclusive';
}

/** What a lock blocks, in the words of someone who runs an application. */
export type Blocked = 'nothing' | 'other DDL' | 'writes' | 'reads and writes';

export function blockedBy(mode: LockMode): Blocked {
  if (modesConflict(mode, 'access share')) return 'reads and writes';
  if (modesConflict(mode, 'row exclusive')) return 'writes';
  return modesConflict(mode, 'share update exclusive') ? 'other DDL' : 'nothing';
}

export function strongerMode(a: LockMode, b: LockMode): LockMode {
  return lockModes.indexOf(a) >= lockModes.indexOf(b) ? a : b;
}

export function longerWork(a: LockWork, b: LockWork): LockWork {
  return lockWorks.indexOf(a) >= lockWorks.indexOf(b) ? a : b;
}

/** One lock per relation, in the order in which the relations first appear: the strongest mode, the longest work. */
export function strongestLocks(locks: readonly RelationLock[]): readonly RelationLock[] {
  const strongest = new Map<string, RelationLock>();
  for (const lock of locks) {
    const key = relationKey(lock.relation);
    const known = strongest.get(key);
    strongest.set(
      key,
      known === undefined
        ? lock
        : {
            relation: known.relation,
            mode: strongerMode(known.mode, lock.mode),
            work: longerWork(known.work, lock.work),
          },
    );
  }
  return [...strongest.values()];
}
