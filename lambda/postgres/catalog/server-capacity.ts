import * as v from 'valibot';
import type { BuildMemory, ServerCapacity } from '../../work/build-memory.ts';
import type { Session } from '../session/session.ts';

const capacityRow = v.object({
  shared_buffers: v.number(),
  maintenance_work_mem: v.number(),
  max_parallel_workers: v.number(),
  max_parallel_maintenance_workers: v.number(),
});

export async function serverCapacity(session: Session): Promise<ServerCapacity> {
  const [row] = await session.query(
    `select pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers'))::float8 as shared_buffers,
            pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem'))::float8 as maintenance_work_mem,
            pg_catalog.current_setting('max_parallel_workers')::int as max_parallel_workers,
            pg_catalog.current_setting('max_parallel_maintenance_workers')::int as max_parallel_maintenance_workers`,
  );
  const read = v.parse(capacityRow, row);
  const megabyte = 1024 * 1024;
  return {
    sharedBuffersMegabytes: Math.floor(read.shared_buffers / megabyte),
    maintenanceWorkMemMegabytes: Math.floor(read.maintenance_work_mem / megabyte),
    maxParallelWorkers: read.max_parallel_workers,
    maxParallelMaintenanceWorkers: read.max_parallel_maintenance_workers,
  };
}

/** Settings that the build session starts with; a file's own settings follow. */
export function memorySettings({
  maintenanceWorkMemMegabytes,
  parallelWorkers,
}: BuildMemory): Readonly<Record<string, string>> {
  return {
    maintenance_work_mem: `${maintenanceWorkMemMegabytes}MB`,
    max_parallel_maintenance_workers: String(parallelWorkers),
  };
}
