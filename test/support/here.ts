/** The database asked in, among rows of the whole server (`pg_locks.database`, `datid`): tests share one. */
export const HERE = '(select oid from pg_database where datname = current_database())';
