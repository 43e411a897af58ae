import { describe, expect, it } from 'vitest';
import { MigrationError } from '../../../../lambda/migration/migration-error.ts';
import { textOf } from '../../../../lambda/migration/row-values.ts';
import { connect, withSession } from '../../../../lambda/postgres/session/connect.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { serverCertificate } from '../../../support/certificates.ts';
import { exhaustive, firstOf } from '../../../support/exhaustive.ts';
import { freshDatabase } from '../../../support/fresh-database.ts';
import { startServer } from '../../../support/start-server.ts';
import { freshScenario, largeTable } from '../../run/scenario.ts';

const target = (words: string, host = 'db.example.com') =>
  parseConnectionUrl(`postgres://app:pw@${host}/shop?${words}`, 'The URL');

function problem(words: string, host?: string): string {
  try {
    target(words, host);
  } catch (error) {
    if (error instanceof MigrationError) return textOf(error.details.what, 'shown');
    throw error;
  }
  throw new Error(`${words} was to be refused.`);
}

describe('what a connection says after its question mark', () => {
  it.each<[string, Record<string, string>]>([
    ['options=-c%20search_path%3Dapp', { search_path: 'app' }],
    ['options=-csearch_path%3Dapp', { search_path: 'app' }],
    ['options=--search_path%3Dapp', { search_path: 'app' }],
    ['options=--search-path%3Dapp', { search_path: 'app' }],
    [
      'options=-c%20search_path%3Dapp%5C%20x%2Cpublic%20-c%20work_mem%3D64MB',
      { search_path: 'app x,public', work_mem: '64MB' },
    ],
    ['options=-c+geqo%3Doff+--app.tenant%3D7', { geqo: 'off', 'app.tenant': '7' }],
    ['schema=app', { search_path: 'app' }],
    ['schema=My%20App', { search_path: '"My App"' }],
    ['search_path=app,public', { search_path: 'app,public' }],
    ['currentSchema=app,public', { search_path: 'app,public' }],
    ['schema_search_path=app', { search_path: 'app' }],
    ['TimeZone=UTC&app.tenant=7&role=owner', { timezone: 'UTC', 'app.tenant': '7', role: 'owner' }],
  ])('%s begins sessions with it', (words, settings) => {
    expect(target(words).settings).toEqual(settings);
  });

  it.each([
    'pgbouncer=true&connection_limit=1&pool_timeout=0&statement_cache_size=0',
    'pool=5&prepared_statements=false&prepareThreshold=0&default_query_exec_mode=simple_protocol',
    'target_session_attrs=read-write',
    'targetServerType=primary',
    'target_session_attrs=any&load_balance_hosts=disable',
    'gssencmode=prefer&sslcompression=0&client_encoding=UTF8&fallback_application_name=x',
    'keepalives=1&keepalives_idle=5',
    'channel_binding=prefer',
  ])('%s has no effect on a migrator, or is what it does', (words) => {
    expect(target(words)).toEqual(target(''));
  });

  it.each([
    ['target_session_attrs=standby', 'target_session_attrs is not obeyed: a migrator writes'],
    ['target_session_attrs=read-only', 'target_session_attrs is not obeyed: a migrator writes'],
    ['targetServerType=secondary', 'targetServerType is not obeyed: a migrator writes'],
    ['schema=app&schema=public', 'its parameter schema is given twice, with different values'],
    ['sslmode=require&sslmode=disable', 'its parameter sslmode is given twice, with different values'],
    ['user=other', 'its parameter user is given twice, with different values'],
    ['password=s3cret', 'its parameter password is given twice, with different values'],
    ['dbname=other', 'its parameter dbname is given twice, with different values'],
    ['database=other', 'its parameter database is given twice, with different values'],
    ['host=other', 'its parameter host is given twice, with different values'],
    ['connect_timeout=5#x', "it has a '#' that is not percent-encoded"],
    [
      'options=-c%20search_path%3Dapp&currentSchema=public',
      'currentSchema is not obeyed: search_path is set to something else beside it',
    ],
    ['schema=', 'schema is not obeyed: it is empty'],
    ['service=shop', 'service is not obeyed: write what it leads to into the URL'],
    ['passfile=/x', 'passfile is not obeyed: write what it leads to'],
    ['gssencmode=require', 'gssencmode is not obeyed: Kerberos is not supported'],
    ['sslcert=/c.pem', 'sslcert has no sslkey beside it'],
    ['sslkey=/k.pem', 'sslkey has no sslcert beside it'],
    ['sslcrl=/c', 'sslcrl is not obeyed: revocation lists are not supported'],
    ['client_encoding=LATIN1', 'client_encoding is not obeyed: files are UTF-8'],
    ['statement_timeout=5000', 'statement_timeout is not obeyed: the migrator decides this limit itself'],
    ['options=-c%20lock_timeout%3D5s', 'lock_timeout is not obeyed: the migrator decides this limit itself'],
    ['options=-e', "its options has a switch other than '-c NAME=VALUE'"],
    ['options=search_path%3Dapp', "its options has a switch other than '-c NAME=VALUE'"],
    ['x-migrations-table=m', "its parameter x-migrations-table is golang-migrate's own"],
    ['searchpath=app', 'its parameter searchpath is unknown'],
    ['p@ss:s3cret', 'its query is unknown'],
    ['host=a,b', 'it names no host'],
    ['channel_binding=require&sslmode=disable', 'its channel_binding asks for TLS'],
    ['connect_timeout=soon', 'its connect_timeout is not a number of seconds'],
    ['replication=database', 'replication is not obeyed'],
    ['SSLMODE=disable', 'its SSLMODE is not obeyed: write it as sslmode'],
    ['Options=-c%20search_path%3Dapp', 'its Options is not obeyed: write it as options'],
    ['applicationName=shop', 'its applicationName is not obeyed: write it as application_name'],
    ['options=-c%20geqo', "its options has a switch other than '-c NAME=VALUE'"],
    ['oauth_issuer=https://id.example.com', 'its parameter oauth_issuer is unknown'],
    ['hostaddr=10.0.0.1', 'hostaddr is not obeyed: write the address as the host'],
    ['target_session_attrs=prefer-standby', 'target_session_attrs is not obeyed'],
    ['load_balance_hosts=random', 'load_balance_hosts is not obeyed: name the primary alone'],
    ['sslcompression=1', 'sslcompression is not obeyed: compression in TLS is unsafe'],
    ['ssl_max_protocol_version=TLSv1.2', 'ssl_max_protocol_version is not obeyed'],
    ['require_auth=gss', 'require_auth is not obeyed'],
    ['krbsrvname=postgres', 'krbsrvname is not obeyed: Kerberos is not supported'],
    ['options=-c%20transaction_timeout%3D5s', 'transaction_timeout is not obeyed'],
    ['options=-c%20client_encoding%3DLATIN1', 'client_encoding is not obeyed: files are UTF-8'],
    ['sslidentity=/x.p12', 'sslidentity is not obeyed: PKCS#12 is not supported'],
  ])('%s is refused by name', (words, said) => {
    const what = words.startsWith('host=') ? problem('', 'a,b') : problem(words);
    expect(what).toContain(words.startsWith('host=') ? 'it names several hosts' : said);
    expect(what).not.toContain('s3cret');
  });

  it.each([
    'user=app&dbname=shop&host=db.example.com',
    'port=5432',
    'sslmode=require&sslmode=require',
    'password=pw',
  ])('%s, which is what stands before it, is read', (words) => {
    expect(target(words)).toEqual(target(''));
  });

  it('sslrootcert=system is the certificates that are trusted anyway', () => {
    expect(target('sslmode=verify-full&sslrootcert=system')).toEqual(target('sslmode=verify-full'));
  });

  it.each(['a:5432,b:5433', 'a,b', '[::1]:1,[::1]:2'])('several hosts (%s) are refused as such', (hosts) => {
    expect(problem('', hosts)).toContain('it names several hosts: name the primary alone');
    // A comma in a password is none between hosts.
    expect(parseConnectionUrl('postgres://app:p,w@db.example.com/shop', 'The URL').password).toBe('p,w');
  });
});

describe('on a real server', () => {
  it('sessions of each kind begin with the settings, and files have them again after one that changed them', async () => {
    const scenario = await freshScenario({ dblink: true });
    await scenario.query('create schema app');
    const url = `${scenario.database.url}?options=-c%20search_path%3Dapp%20-c%20app.tenant%3D7&application_name=shop`;
    const files = {
      '1_t.sql': `set search_path = public; create table elsewhere ();`,
      '2_t.sql': `${largeTable('t')} create table seen as select current_setting('app.tenant') as tenant, current_setting('application_name') as name;`,
    };
    await scenario.run(files, { url });
    const more = { ...files, '3_i.sql': 'create index concurrently t_x on t (x);' };
    await scenario.deploy(more, { url });
    expect(
      await scenario.query(`select relname, relnamespace::regnamespace::text as schema from pg_class
        where relname in ('elsewhere', 't', 'seen', 't_x') order by 1`),
    ).toEqual([
      { relname: 'elsewhere', schema: 'public' },
      { relname: 'seen', schema: 'app' },
      { relname: 't', schema: 'app' },
      { relname: 't_x', schema: 'app' },
    ]);
    expect(await scenario.query('select * from app.seen')).toEqual([{ tenant: '7', name: 'shop' }]);
    expect(await scenario.query('select session, state from migrations.index_build')).toEqual([
      { session: 'loopback', state: 'done' },
    ]);
  });

  it('a build that fails without the settings succeeds in its loopback session with them', async () => {
    const scenario = await freshScenario({ dblink: true });
    await scenario.query(`create schema app; create function needs(x int) returns int immutable language plpgsql
      as $$ begin perform current_setting('app.tenant'); return x; end $$`);
    const files = { '1_t.sql': largeTable('t') };
    await scenario.run(files);
    const url = `${scenario.database.url}?app.tenant=7`;
    const more = { ...files, '2_i.sql': 'create index concurrently t_x on t (needs(x));' };
    expect(await scenario.deploy(more, { url })).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.query('select session from migrations.index_build')).toEqual([
      { session: 'loopback' },
    ]);
  });

  const SETTING =
    'Next: the connection itself asks for this setting, in its options or by a parameter: correct it';
  const ROLE =
    'Next: the connection itself asks for this role, in its options or by a parameter: create it, grant it';
  it.each(
    firstOf(3, [
      ['options=-c%20work_mem%3Dmuch', 'invalid value for parameter "work_mem"', SETTING],
      ['role=nobody', 'role "nobody" does not exist', ROLE],
      ['options=-c%20no_such%3D1', 'unrecognized configuration parameter "no_such"', SETTING],
      ['options=-c%20work_mem%3D1', 'outside the valid range for parameter "work_mem"', SETTING],
      ['options=-crole%3Dpg_read_all_data', 'permission denied to set role "pg_read_all_data"', ROLE],
      ['options=-c%20session_authorization%3Dnobody', 'role "nobody" does not exist', ROLE],
      ['options=-c%20log_statement%3Dall', 'permission denied to set parameter "log_statement"', SETTING],
      ['options=-c%20shared_buffers%3D1', 'cannot be changed without restarting', SETTING],
      ['options=-c%20local_preload_libraries%3Dnope', 'could not access file', SETTING],
      ['TimeZone=Nope', 'invalid value for parameter "TimeZone"', SETTING],
      ['options=-cdefault_tablespace%3Dnope', 'invalid value for parameter "default_tablespace"', SETTING],
      ['options=-c%20transaction_isolation%3Dserializable', '', 'let in'],
    ]),
  )('%s, if the server refuses it, is said to be of the connection', async (words, said, next) => {
    const database = await freshDatabase();
    const target = parseConnectionUrl(`${database.url}?${words}`, 'The URL');
    // It is not asked again, or the test would not end.
    const connected = connect(target, { patienceSeconds: 3_600 });
    if (next === 'let in') return (await connected).close();
    const error: Error = await connected.then(
      () => expect.unreachable(),
      (thrown: Error) => thrown,
    );
    expect(error.message).toContain(said);
    expect(error.message).toContain(next);
  });

  exhaustive.it(
    'a user that does not exist, and an encoding that is not converted, are said to be the cause',
    async () => {
      const server = await startServer({ trusted: ['127.0.0.1'] });
      const refusal = async (place: { user?: string; database?: string }) => {
        const target = parseConnectionUrl(`${server.urlOf(place)}?role=postgres`, 'The URL');
        return connect(target, { patienceSeconds: 3_600 }).then(
          () => expect.unreachable(),
          (thrown: Error) => thrown.message,
        );
      };
      expect(await refusal({ user: 'nobody' })).toMatch(/role "nobody" does not exist[\s\S]*check the user/);
      await withSession(parseConnectionUrl(server.url, 'The URL'), (session) =>
        session.execute("create database mule encoding 'MULE_INTERNAL' locale 'C' template template0"),
      );
      expect(await refusal({ database: 'mule' })).toMatch(
        /conversion between UTF8 and MULE_INTERNAL is not supported[\s\S]*restore it into one with the encoding UTF8/,
      );
    },
  );

  it('channel_binding, client certificates and direct TLS are obeyed', async () => {
    const { settings, rootFile } = await serverCertificate('localhost');
    const server = await startServer({ settings });
    const words = (more: string) =>
      parseConnectionUrl(
        `${server.urlOf({ host: 'localhost' })}?sslmode=verify-full&sslrootcert=${encodeURIComponent(rootFile)}&${more}`,
        'The URL',
      );
    for (const more of ['channel_binding=require', 'ssl_min_protocol_version=TLSv1.3']) {
      expect(await withSession(words(more), (session) => session.query('select 1 as one'))).toEqual([
        { one: 1 },
      ]);
    }
    const clear = await startServer({ settings, authentication: 'password' });
    const port = new URL(clear.url).port;
    const refused = connect({ ...words('channel_binding=require'), port: Number(port) });
    await expect(refused).rejects.toThrow('the server does not offer SCRAM-SHA-256-PLUS');
  });
});
