import { beforeAll, describe, expect, inject, it } from 'vitest';
import { conninfo, startupOptions } from '../../../../lambda/postgres/session/conninfo.ts';
import { quoteIdentifier, quoteLiteral, quoteRelation } from '../../../../lambda/postgres/session/quote.ts';
import { createDatabase, type FreshDatabase } from '../../../support/fresh-database.ts';

const HARD = [
  'simple',
  'With Capitals',
  'select',
  `it's`,
  `''`,
  '"quoted"',
  'back\\slash',
  `\\'; drop table users; --`,
  'E\\x41',
  'line\nfeed\ttab\r',
  '$$ $1 $tag$',
  'ünïcödé 😀',
  '%s %I %%',
  ';',
  ' ',
];

let database: FreshDatabase;
beforeAll(async () => {
  database = await createDatabase();
  await database.adminQuery('create extension dblink');
  return () => database.drop();
});

describe('what is quoted comes back from Postgres as it was', () => {
  it.each(HARD)('as a text: %j', async (value) => {
    for (const conforming of ['on', 'off']) {
      const [row] = await database.query(
        `set standard_conforming_strings = ${conforming}; select ${quoteLiteral(value)} as value`,
      );
      expect(row).toEqual({ value });
    }
  });

  it.each(HARD)('as an identifier: %j', async (name) => {
    expect(await database.query(`select 1 as ${quoteIdentifier(name)}`)).toEqual([{ [name]: 1 }]);
  });

  it.each(HARD)('in a connection string, as the password and as the database: %j', async (value) => {
    const { host, port } = database;
    const { user, password } = inject('sharedPostgres');
    const connect = (parts: Record<string, string>) =>
      database.adminQuery(`select dblink_connect($1)`, [
        conninfo({ host, port: String(port), connect_timeout: '5', ...parts }),
      ]);
    await expect(connect({ user, password, dbname: value })).rejects.toMatchObject({
      detail: expect.stringContaining(`database "${value}" does not exist`),
    });
    await database.adminQuery(`alter role ${database.owner} password ${quoteLiteral(value)}`);
    await connect({ user: database.owner, password: value, dbname: database.name });
  });
});

it('names are quoted with their schema where they have one', () => {
  expect(quoteRelation({ schema: 'a.b', name: 'c"d' })).toBe('"a.b"."c""d"');
  expect(quoteRelation({ schema: undefined, name: 'Users' })).toBe('"Users"');
});

it('NUL, which Postgres knows in no text, is refused', () => {
  expect(() => quoteLiteral('a\0b')).toThrow('a text cannot contain the NUL character');
  expect(() => quoteIdentifier('a\0b')).toThrow('an identifier cannot contain the NUL character');
});

it('settings of a connection keep their spaces and backslashes', () => {
  expect(startupOptions({ statement_timeout: '0', 'my.value': 'a b\\c' })).toBe(
    '-c statement_timeout=0 -c my.value=a\\ b\\\\c',
  );
});
