/** Names of the functions' environment variables: infra sets them, the entries read them. */
export const environment = {
  /** ARN of the secret that holds the connection. The connection itself is never in an environment variable. */
  secretArn: 'DATABASE_SECRET_ARN',
  /** Where to connect with IAM authentication, instead of a secret: each connection gets a newly signed token. */
  databaseHost: 'DATABASE_HOST',
  databasePort: 'DATABASE_PORT',
  databaseName: 'DATABASE_NAME',
  databaseUser: 'DATABASE_USER',
  /** ARN of the index-build loop; only the migrator has it. */
  stateMachineArn: 'INDEX_BUILD_STATE_MACHINE_ARN',
  /** JSON of Partial<MigrationOptions>. */
  options: 'MIGRATION_OPTIONS',
  /** Seconds that a deploy may wait for builds before isComplete gives up; below CloudFormation's hour. */
  longestWait: 'LONGEST_WAIT_SECONDS',
  /** Name or ARN of the EventBridge bus that is told of runs and builds; without it nothing is sent. */
  eventBus: 'EVENT_BUS_NAME',
  /** `host:port/path` of a WebSocket proxy for the Neon driver; for local work only. */
  neonProxy: 'NEON_WS_PROXY',
} as const;

/** Name of the file with the compiled migrations, beside the bundle's code. */
export const COMPILED_MIGRATIONS_FILE = 'migrations.json';
