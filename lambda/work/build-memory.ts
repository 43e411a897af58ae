/** What the server says of itself, from pg_settings. */
export interface ServerCapacity {
  readonly sharedBuffersMegabytes: number;
  readonly maintenanceWorkMemMegabytes: number;
  readonly maxParallelWorkers: number;
  readonly maxParallelMaintenanceWorkers: number;
}

/** Overrides of the construct's props; undefined lets the server's own size decide. */
export interface BuildMemoryOptions {
  readonly maintenanceWorkMemMegabytes: number | undefined;
  readonly parallelWorkers: number | undefined;
}

export interface BuildMemory {
  readonly maintenanceWorkMemMegabytes: number;
  readonly parallelWorkers: number;
}

/** Postgres gives a build no more workers than have so much each. */
const MEGABYTES_PER_PROCESS = 32;
const MOST_MEGABYTES = 2_048;
const MOST_WORKERS = 4;

/**
 * Memory and workers for one build while `sideBySide` builds run. Shared buffers are the one measure of a server's
 * memory that SQL can see, commonly a quarter of it: all builds together get a quarter of that again, a sixteenth of
 * the machine. Never less than the server gives anybody, and never more workers than it has to give.
 */
export function buildMemory(
  server: ServerCapacity,
  sideBySide: number,
  options: BuildMemoryOptions,
): BuildMemory {
  const builds = Math.max(1, sideBySide);
  const share = Math.floor(server.sharedBuffersMegabytes / 4 / builds);
  const maintenanceWorkMemMegabytes =
    options.maintenanceWorkMemMegabytes ??
    Math.max(server.maintenanceWorkMemMegabytes, Math.min(MOST_MEGABYTES, share));
  const byMemory = Math.floor(maintenanceWorkMemMegabytes / MEGABYTES_PER_PROCESS) - 1;
  const byServer = Math.floor(server.maxParallelWorkers / 2 / builds);
  const parallelWorkers =
    options.parallelWorkers ??
    Math.max(server.maxParallelMaintenanceWorkers, Math.min(MOST_WORKERS, byMemory, byServer));
  return { maintenanceWorkMemMegabytes, parallelWorkers };
}
