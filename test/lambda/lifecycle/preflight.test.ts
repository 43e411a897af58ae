import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { zipEntry } from '../../../lambda/aws/zip-entry.ts';
import { isInTheWay, preflight } from '../../../lambda/foresight/preflight.ts';
import { defaultOptions, type MigrationOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { closeServer, listen } from '../../../local/aws/listen.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { freshOperator, type Operator } from '../actions/operator.ts';
import { compile, type Files, largeTable, SMALL_TABLE_ROWS } from '../run/scenario.ts';
import { assemblyOf, everythingIn, type LifeCycle, newLifeCycle } from './life-cycle.ts';

const table = { '1_large.sql': largeTable('large') };

describe('what preflight finds', () => {
  let operator: Operator;
  beforeEach(async () => {
    operator = await freshOperator();
  });
  const find = async (files: Files, more: Partial<MigrationOptions> = {}): Promise<readonly string[]> => {
    const { findings, unseen } = await preflight({
      target: parseConnectionUrl(operator.database.url, 'The URL'),
      options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS, ...more },
      migrations: await compile(files),
    });
    expect(unseen).toEqual([]);
    return findings;
  };

  exhaustive.it('is nothing where nothing stands in the way, and nothing is written', async () => {
    await operator.deploy(table);
    const before = [await everythingIn(operator.database), await operator.runs()];
    expect(await find({ ...table, '2_index.sql': 'create index concurrently i on large (x);' })).toEqual([]);
    expect([await everythingIn(operator.database), await operator.runs()]).toEqual(before);
  });

  it('is every changed file, and every plain CREATE INDEX on a large table', async () => {
    const files = { ...table, '2_a.sql': 'create table a ();', '3_b.sql': 'create table b ();' };
    await operator.deploy(files);
    const changed = {
      ...table,
      '2_a.sql': 'create table a (x int);',
      '3_b.sql': 'create table b (x int);',
      '4_index.sql': 'create index i on large (x);',
      '5_index.sql': 'create index j on large (x);',
    };
    expect((await find(changed)).map((finding) => finding.split('\n')[0])).toEqual([
      expect.stringMatching(/^2_a\.sql: this migration was applied with other statements/),
      expect.stringMatching(/^3_b\.sql: this migration was applied with other statements/),
      expect.stringMatching(
        /^4_index\.sql:1:1: CREATE INDEX on public\.large, which holds more than 100 rows/,
      ),
      expect.stringMatching(
        /^5_index\.sql:1:1: CREATE INDEX on public\.large, which holds more than 100 rows/,
      ),
    ]);
  });

  exhaustive.it('is a build that a step would wait for, unless the deploy waits for nothing', async () => {
    const files = { ...table, '2_index.sql': 'create index concurrently i on large (x);' };
    await operator.deploy(table);
    await operator.run(files);
    await operator.act({ action: 'cancel', index: 'i' }, files);
    const waiting = { ...files, '3_waits.sql': 'alter table large add column y int;' };
    expect(await find(waiting)).toEqual([
      `3_waits.sql would wait for the build of i on large, which is cancelled: it changes the table large.
Next: build it: {"action": "retry", "index": "i"}.`,
    ]);
    expect(await find(waiting, { waitFor: 'nothing' })).toEqual([]);
  });

  exhaustive.it(
    'is an old transaction that holds what a step needs, and no young or harmless one',
    async () => {
      await operator.deploy(table);
      const altering = { ...table, '2_alter.sql': 'alter table large add column y int;' };
      const session = await operator.session();
      await session.query('begin; select from large limit 1');
      expect(await find(altering)).toEqual([]);
      const old = (application: string) => ({
        pid: 1,
        user: 'app',
        application,
        state: 'idle in transaction',
        seconds: 61,
        lock: 'AccessShareLock',
        relation: 'large',
      });
      expect(isInTheWay(old('web'), 'access exclusive')).toBe(true);
      expect(isInTheWay({ ...old('web'), seconds: 59 }, 'access exclusive')).toBe(false);
      expect(isInTheWay(old('web'), 'row exclusive')).toBe(false);
      expect(isInTheWay({ ...old('web'), lock: 'RowShareLock, ShareUpdateExclusiveLock' }, 'share')).toBe(
        true,
      );
      expect(isInTheWay({ ...old('migrations build 7'), lock: 'ShareUpdateExclusiveLock' }, 'share')).toBe(
        false,
      );
    },
  );

  it('is not that a database does not answer: nothing was seen', async () => {
    const target = parseConnectionUrl('postgres://app:secret@127.0.0.1:1/app', 'The URL');
    const { findings, unseen } = await preflight({
      target,
      options: defaultOptions,
      migrations: await compile(table),
      patienceSeconds: 1,
    });
    expect(findings).toEqual([]);
    expect(unseen).toEqual([expect.stringMatching(/^Can't connect to Postgres at 127\.0\.0\.1:1/)]);
  });
});

describe('the hook', () => {
  let life: LifeCycle;
  beforeEach(async () => {
    life = await newLifeCycle();
  });

  /** S3, with the template as CloudFormation offers it and the assets as the CDK uploads them. */
  async function bucketWith(assembly: string): Promise<string> {
    const template = readFileSync(join(assembly, 'Stack.template.json'), 'utf8');
    const server = createServer((request, response) => {
      if (request.url?.startsWith('/payload'))
        return response.end(JSON.stringify({ template, previousTemplate: template }));
      const hash = /\/([0-9a-f]{64})\.zip/.exec(request.url ?? '')?.[1];
      const file = join(assembly, `asset.${hash}`, 'migrations.json');
      return response.end(zipOf('migrations.json', readFileSync(file)));
    });
    const port = await listen(server);
    onTestFinished(async () => {
      server.closeAllConnections();
      await closeServer(server);
    });
    return `http://127.0.0.1:${port}`;
  }

  const props = { preflightHook: {} };
  /** With every field that CloudFormation's guide to hooks has in its example of a stack's event. */
  const ask = async (s3: string | undefined, actionInvocationPoint = 'UPDATE_PRE_PROVISION') =>
    life.cloudFormation.stack?.sandbox('Preflight').invoke({
      clientRequestToken: 'f8da6d11-b23f-48f4-814c-0fb6a667f50e',
      awsAccountId: '123456789012',
      stackId:
        'arn:aws:cloudformation:us-west-2:123456789012:stack/MyStack/1a2345b6-0000-00a0-a123-00abc0abc000',
      changeSetId: null,
      hookTypeName: 'Postgres::Migrations::Preflight',
      hookTypeVersion: '00000008',
      hookModel: { LambdaFunction: 'arn:aws:lambda:us-west-2:123456789012:function:MyFunction' },
      actionInvocationPoint,
      requestData: {
        targetName: 'STACK',
        targetType: 'STACK',
        targetLogicalId: 'MyStack',
        payload: s3 && `${s3}/payload?signed`,
      },
      requestContext: { invocation: 1, callbackContext: null },
    });

  it('judges the migrations that the deploy brings, not those of the deploy before', async () => {
    await life.deploy(table, { props });
    const good = await bucketWith(assemblyOf({ ...table, '2_t.sql': 'create table t ();' }, props));
    const bad = await bucketWith(assemblyOf({ ...table, '2_i.sql': 'create index i on large (x);' }, props));
    const asked = async (s3: string) => {
      await life.deploy(table, { props, environment: { AWS_ENDPOINT_URL_S3: s3 } });
      return ask(s3);
    };
    expect(await asked(good)).toEqual({
      hookStatus: 'SUCCESS',
      message: 'Nothing blocks the migrations.',
      clientRequestToken: 'f8da6d11-b23f-48f4-814c-0fb6a667f50e',
    });
    expect(await asked(bad)).toEqual({
      hookStatus: 'FAILED',
      errorCode: 'NonCompliant',
      message: expect.stringMatching(
        /^One thing would make the migrations of this deploy fail\.\n\n2_i\.sql:1:1: CREATE INDEX on public\.large, /,
      ),
      clientRequestToken: 'f8da6d11-b23f-48f4-814c-0fb6a667f50e',
    });
  });

  exhaustive.it(
    'answers within its 30 seconds where the database takes a connection and says nothing',
    async () => {
      await life.deploy(table, { props });
      let asked = 0;
      const silent = createTcpServer().on('connection', (socket) => {
        asked += 1;
        socket.on('error', () => {});
      });
      const port = await listen(silent);
      onTestFinished(() => void silent.close());
      life.aws.secrets.put('database', `postgres://app:secret@127.0.0.1:${port}/app`);
      expect(await ask(undefined)).toMatchObject({
        hookStatus: 'SUCCESS',
        message: expect.stringContaining(`Can't connect to Postgres at 127.0.0.1:${port}`),
      });
      // Ten seconds each: a third attempt would come too late.
      expect(asked).toBeLessThan(3);
    },
  );

  exhaustive.it('says so where it can only judge the deploy before, and lets a delete pass', async () => {
    await life.deploy(table, { props });
    expect(await ask(undefined)).toEqual({
      hookStatus: 'SUCCESS',
      message:
        'Nothing blocks the migrations. (Only the migrations of the deploy before could be checked, not the new ones: the event carries no template.)',
      clientRequestToken: 'f8da6d11-b23f-48f4-814c-0fb6a667f50e',
    });
    life.aws.secrets.remove('database');
    expect(await ask(undefined, 'DELETE_PRE_PROVISION')).toMatchObject({ hookStatus: 'SUCCESS' });
    expect(await ask(undefined)).toMatchObject({
      hookStatus: 'SUCCESS',
      message: expect.stringMatching(/^The migrations could not be checked: The secret .* can't be read/),
    });
  });
});

/** An archive with one deflated file, and another before it. */
function zipOf(name: string, content: Buffer): Buffer {
  const files = [
    { name: 'first.mjs', content: Buffer.from('//') },
    { name, content },
  ];
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const file of files) {
    const data = deflateRawSync(file.content);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(8, 8);
    local.writeUInt16LE(file.name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(data.length, 20);
    entry.writeUInt32LE(file.content.length, 24);
    entry.writeUInt16LE(file.name.length, 28);
    entry.writeUInt32LE(offset, 42);
    parts.push(local, Buffer.from(file.name), data);
    directory.push(entry, Buffer.from(file.name));
    offset += 30 + file.name.length + data.length;
  }
  const end = Buffer.alloc(22);
  const listed = Buffer.concat(directory);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(listed.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, listed, end]);
}

describe('a zip archive', () => {
  it('gives its files by name, stored or deflated', () => {
    const archive = zipOf('migrations.json', Buffer.from('{"format":1}'));
    expect(zipEntry(archive, 'migrations.json')?.toString()).toBe('{"format":1}');
    expect(zipEntry(archive, 'other')).toBeUndefined();
    expect(() => zipEntry(Buffer.from('no archive'), 'x')).toThrow('this is no zip archive');
  });
});
