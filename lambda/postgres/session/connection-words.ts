/** Parameters of a connection URL, by every name that libpq, other drivers and common tools have for them. */
type Word =
  /** Read by parseConnectionUrl(). */
  | { readonly kind: 'read' }
  /** A server setting that the session starts with. */
  | { readonly kind: 'setting'; readonly setting: string; readonly value?: (text: string) => string }
  /** Has no meaning for a short-lived connection, or is our behaviour anyway, `except` for these values. */
  | { readonly kind: 'without-effect'; readonly only?: RegExp; readonly except?: string }
  | { readonly kind: 'refused'; readonly because: string };

const read: Word = { kind: 'read' };
const withoutEffect: Word = { kind: 'without-effect' };
const setting = (name: string, value?: (text: string) => string): Word => ({
  kind: 'setting',
  setting: name,
  ...(value && { value }),
});
const refused = (because: string): Word => ({ kind: 'refused', because });
const only = (values: RegExp, except: string): Word => ({ kind: 'without-effect', only: values, except });

/** A single schema's name, as it is written, into a search path. */
const oneSchema = (name: string): string =>
  /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;

const OURS = 'the migrator decides this limit itself: lockTimeout and lockBudget, or a SET in the file';
const NO_FILE_OF_LIBPQ = 'write what it leads to into the URL itself';
const WRITES = 'a migrator writes: connect to the primary';
const NO_KERBEROS = 'Kerberos is not supported: use a password over TLS';

/** By the name in lower case: JDBC writes `currentSchema`, others `application_name`. */
const WORDS: Readonly<Record<string, Word>> = {
  // Where, and as whom.
  host: read,
  port: read,
  user: read,
  password: read,
  dbname: read,
  database: read,
  hostaddr: refused('write the address as the host'),
  passfile: refused(NO_FILE_OF_LIBPQ),
  service: refused(NO_FILE_OF_LIBPQ),
  servicefile: refused(NO_FILE_OF_LIBPQ),
  load_balance_hosts: only(/^disable$/, 'name the primary alone'),
  target_session_attrs: only(/^(?:any|read-write|primary|prefer-primary)$/, WRITES),
  targetservertype: only(/^(?:any|primary|master|preferprimary)$/i, WRITES),
  readonly: only(/^(?:false|0|no)$/i, WRITES),
  replication: only(/^(?:false|off|no|0)$/, 'it asks for a replication connection'),

  // TLS.
  sslmode: read,
  ssl: read,
  sslaccept: read,
  sslrootcert: read,
  sslcert: read,
  sslkey: read,
  sslpassword: read,
  ssl_min_protocol_version: read,
  ssl_max_protocol_version: only(/^TLSv1\.3$/, 'older versions of TLS are not asked for'),
  sslnegotiation: read,
  channel_binding: read,
  sslsni: only(/^1$/, "the server's name is always sent"),
  sslcompression: only(/^0$/, 'compression in TLS is unsafe'),
  sslcertmode: only(/^(?:allow|disable)$/, 'give sslcert and sslkey'),
  sslcrl: refused('revocation lists are not supported'),
  sslcrldir: refused('revocation lists are not supported'),
  sslidentity: refused('PKCS#12 is not supported: give sslcert and sslkey in PEM'),
  sslfactory: refused('it is a class of Java: use sslmode and sslrootcert'),
  requiressl: only(/^[01]$/, 'use sslmode'),
  requirepeer: refused('the peer of a Unix socket is not looked at'),
  require_auth: only(
    /^(?:scram-sha-256|password|md5)(?:,(?:scram-sha-256|password|md5))*$/,
    'it asks for what we do not speak',
  ),
  gssencmode: only(/^(?:disable|prefer|allow)$/, NO_KERBEROS),
  krbsrvname: refused(NO_KERBEROS),
  gsslib: refused(NO_KERBEROS),
  gssdelegation: only(/^0$/, NO_KERBEROS),
  scram_client_key: refused('give the password'),
  scram_server_key: refused('give the password'),
  min_protocol_version: only(/^(?:3\.0|)$/, 'version 3.0 of the protocol is spoken'),
  max_protocol_version: withoutEffect,

  // What the session begins with.
  options: read,
  application_name: read,
  applicationname: read,
  fallback_application_name: read,
  connect_timeout: read,
  connecttimeout: read,
  logintimeout: read,
  search_path: setting('search_path'),
  schema_search_path: setting('search_path'),
  currentschema: setting('search_path'),
  schema: setting('search_path', oneSchema),
  client_encoding: only(/^(?:utf-?8|auto|unicode)$/i, 'files are UTF-8, and are sent as such'),
  encoding: only(/^(?:utf-?8|auto|unicode)$/i, 'files are UTF-8, and are sent as such'),
  ...Object.fromEntries(
    [
      'client_min_messages',
      'datestyle',
      'default_table_access_method',
      'default_tablespace',
      'default_transaction_isolation',
      'default_transaction_read_only',
      'extra_float_digits',
      'intervalstyle',
      'maintenance_work_mem',
      'role',
      'row_security',
      'temp_tablespaces',
      'timezone',
      'work_mem',
      'xmloption',
    ].map((name) => [name, setting(name)]),
  ),
  ...Object.fromEntries(
    [
      'lock_timeout',
      'statement_timeout',
      'idle_in_transaction_session_timeout',
      'idle_session_timeout',
      'transaction_timeout',
      'client_connection_check_interval',
    ].map((name) => [name, refused(OURS)]),
  ),

  // The network; we probe after 30 s anyway.
  ...Object.fromEntries(
    [
      'keepalives',
      'keepalives_idle',
      'keepalives_interval',
      'keepalives_count',
      'tcp_user_timeout',
      'tcpkeepalive',
      'keepalive',
    ].map((name) => [name, withoutEffect]),
  ),
  // Of pools, prepared statements and applications: Prisma, Rails, JDBC, pgx, asyncpg, node-postgres, Supabase.
  ...Object.fromEntries(
    `pgbouncer connection_limit pool_timeout socket_timeout statement_cache_size max_connection_lifetime max_idle_connection_lifetime single_use_connections
     pool checkout_timeout reaping_frequency idle_timeout prepared_statements advisory_locks min_messages conn_max_age conn_health_checks
     preparethreshold preparedstatementcachequeries preparedstatementcachesizemib binarytransfer rewritebatchedinserts stringtype sockettimeout cancelsignaltimeout defaultrowfetchsize autosave loggerlevel assumeminserverversion prepare_threshold
     pool_max_conns pool_min_conns pool_max_conn_lifetime pool_max_conn_idle_time pool_health_check_period pool_max_conn_lifetime_jitter default_query_exec_mode statement_cache_capacity description_cache_capacity statement_cache_mode binary_parameters
     prepared_statement_cache_size command_timeout max max_connections uselibpqcompat supa workaround`
      .split(/\s+/)
      .map((name) => [name, withoutEffect]),
  ),
};

/** The effect of a URL's query, beyond what its reader looks at. */
export interface ConnectionWords {
  readonly settings: Readonly<Record<string, string>>;
  /** Parts of `options` that Neon's proxy consumes: `endpoint=ep-…`. */
  readonly proxyOptions: readonly string[];
}

/**
 * Throws the error of `refuse` for a parameter that is not supported. Never repeats a value, which may be a password.
 */
export function readConnectionWords(
  parameters: URLSearchParams,
  refuse: (problem: string) => Error,
): ConnectionWords {
  const settings: Record<string, string> = {};
  const proxyOptions: string[] = [];
  const refuseWord = (name: string, because: string) => refuse(`its ${name} is not obeyed: ${because}`);
  const begin = (name: string, value: string, setting = name.toLowerCase()) => {
    const known = WORDS[name.toLowerCase()];
    if (known?.kind === 'refused') throw refuseWord(name, known.because);
    if (known?.kind === 'without-effect' && known.only?.test(value) === false)
      throw refuseWord(name, known.except ?? '');
    if (settings[setting] !== undefined && settings[setting] !== value)
      throw refuseWord(name, `${setting} is set to something else beside it`);
    settings[setting] = value;
  };
  for (const [name, value] of parameters) {
    const word = wordOf(name);
    switch (word?.kind) {
      case undefined:
        throw refuse(
          /^x-/.test(name)
            ? `its ${printable(name)} is golang-migrate's own: take it out`
            : `its ${printable(name)} is unknown: settings of the server are written as options=-c%20NAME%3DVALUE`,
        );
      case 'refused':
        throw refuseWord(name, word.because);
      case 'without-effect':
        if (word.only !== undefined && !word.only.test(value)) throw refuseWord(name, word.except ?? '');
        break;
      case 'setting':
        if (value === '' && word.setting === 'search_path') throw refuseWord(name, 'it is empty');
        begin(name, word.value === undefined ? value : word.value(value), word.setting);
        break;
      default:
        if (!AS_READ.test(name))
          throw refuseWord(name, `write it as ${name.toLowerCase().replace('nname', 'n_name')}`);
        if (name !== 'options') break;
        for (const option of switchesOf(value)) {
          if (option.kind === 'setting') begin(option.name, option.value);
          else if (option.kind === 'proxy') proxyOptions.push(option.text);
          else throw refuse("its options has a switch other than '-c NAME=VALUE' and '--NAME=VALUE'");
        }
    }
  }
  return { settings, proxyOptions };
}

/** The spelling by which it is looked for. */
const AS_READ = /^(?:[a-z_]+|ApplicationName|connectTimeout|loginTimeout)$/;

/** A name with a dot is a setting of an extension, or of the author's own: `app.tenant`. */
function wordOf(name: string): Word | undefined {
  if (/^[a-z_]\w*(?:\.\w+)+$/i.test(name)) return setting(name);
  const lower = name.toLowerCase();
  return Object.hasOwn(WORDS, lower) ? WORDS[lower] : undefined;
}

/** An impossible name may be the end of a password that contains a `?`. */
export function printable(name: string): string {
  return /^[\w.-]{1,40}$/.test(name) ? `parameter ${name}` : 'query';
}

type Switch =
  | { readonly kind: 'setting'; readonly name: string; readonly value: string }
  | { readonly kind: 'proxy'; readonly text: string }
  | { readonly kind: 'unknown' };

/** Splits `options` as the server does: at spaces, where a backslash escapes one that belongs to a value. */
function switchesOf(options: string): Switch[] {
  const words = [...options.matchAll(/(?:\\.|[^\s\\])+/gs)].map(([word]) => word.replace(/\\(.)/gs, '$1'));
  const switches: Switch[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    if (word === '-c') index += 1;
    const assignment = word === '-c' ? words[index] : (/^(?:-c|--)(.*)$/s.exec(word)?.[1] ?? undefined);
    const [, name, value] = /^([\w.-]+)=(.*)$/s.exec(assignment ?? '') ?? [];
    if (name !== undefined && value !== undefined) {
      switches.push({ kind: 'setting', name: name.replaceAll('-', '_'), value });
    } else if (/^(?:endpoint|project|neon_\w+)[=:]/.test(word)) switches.push({ kind: 'proxy', text: word });
    else switches.push({ kind: 'unknown' });
  }
  return switches;
}
