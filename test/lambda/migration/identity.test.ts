import { describe, expect, it } from 'vitest';
import {
  compareIdentities,
  FolderOrder,
  identityOf,
  withToolNames,
} from '../../../lambda/migration/identity.ts';
import { emptyLedger, type Ledger } from '../../../lambda/migration/ledger.ts';
import type { Migration } from '../../../lambda/migration/migration.ts';
import { plan } from '../../../lambda/migration/plan.ts';
import type { Version } from '../../../lambda/migration/version.ts';
import { compileFiles } from '../../compiler/compile-text.ts';

const id = (text: string) => text as Version;

function recorded(migrations: readonly Migration[], version?: (migration: Migration) => string): Ledger {
  return {
    ...emptyLedger,
    steps: migrations.flatMap((migration) =>
      migration.steps.map(({ number, fingerprint }) => ({
        version: id(version?.(migration) ?? migration.version),
        step: number,
        steps: migration.steps.length,
        name: migration.name,
        checksum: migration.checksum,
        fingerprint,
        state: 'applied' as const,
      })),
    ),
  };
}

describe('identities', () => {
  it.each([
    ['9', '10', 'number', -1],
    ['10', '9', 'text', -1],
    ['1.10', '1.9', 'dotted', 1],
    ['B1.5', '1.10', 'dotted', -1],
    ['1.0', '1', 'dotted', 0],
    ['a', '9', 'number', undefined],
    ['a', 'b', 'listed', undefined],
  ] as const)('%s and %s as %s', (a, b, order, expected) => {
    const compared = compareIdentities(id(a), id(b), order);
    expect(compared === undefined ? undefined : Math.sign(compared)).toBe(expected);
  });

  it('of one folder compare by their places, whatever they are called', () => {
    const { migrations } = compileFiles({
      'meta/_journal.json': JSON.stringify({
        entries: [
          { tag: '0001_b', when: 1 },
          { tag: '0001_a', when: 2 },
        ],
      }),
      '0001_a.sql': '',
      '0001_b.sql': '',
    });
    expect(new FolderOrder(migrations, 'listed').compare(id('0001_b'), id('0001_a'))).toBeLessThan(0);
  });
});

const prisma = () =>
  compileFiles({
    'migration_lock.toml': 'provider = "postgresql"',
    '20240101000000_a/migration.sql': 'select 1;',
    '20240101000000_b/migration.sql': 'select 2;',
    '20240102000000_c/migration.sql': 'select 3;',
  });

describe('a migration is named', () => {
  it('by what its tool calls it, its name, its file, or the digits that only it has', () => {
    const { migrations } = prisma();
    for (const [text, meant] of [
      ['20240101000000_b', '20240101000000_b'],
      ['20240102000000_c/migration.sql', '20240102000000_c'],
      ['20240102000000', '20240102000000_c'],
      ['20240101000000', '20240101000000'],
      ['0', '0'],
    ] as const) {
      expect(identityOf(text, migrations, emptyLedger)).toBe(meant);
    }
    const plain = compileFiles({ '0007_a.sql': '' }).migrations;
    expect(identityOf('0007', plain, emptyLedger)).toBe('7');
    expect(identityOf('0007_a', plain, emptyLedger)).toBe('7');
  });
});

describe('a ledger from before layouts', () => {
  it('knew migrations by their digits, and is read as if it had the names', () => {
    const { migrations } = prisma();
    const first = migrations.filter(({ version }) => version !== '20240101000000_b');
    const ledger = recorded(first, ({ formerly, version }) => formerly ?? version);
    expect(withToolNames(migrations, ledger).steps.map(({ version }) => version)).toEqual([
      '20240101000000_a',
      '20240102000000_c',
    ]);
    const planned = plan(migrations, ledger, 'text');
    expect(planned.pending.map(({ migration }) => migration.version)).toEqual(['20240101000000_b']);
    expect(planned.unknown).toEqual([]);
    expect(planned.late.map(({ version }) => version)).toEqual(['20240101000000_b']);
  });
});

describe('repeatable migrations', () => {
  const files = (view: string) => compileFiles({ 'V1__a.sql': 'select 1;', 'R__v.sql': view });
  it('run again once they changed, and are never drift nor late', () => {
    const before = files('create view v as select 1;').migrations;
    const after = files('create or replace view v as select 2; select 1;').migrations;
    expect(plan(before, recorded(before), 'dotted').pending).toEqual([]);
    const planned = plan(after, recorded(before), 'dotted');
    expect(planned.pending.map(({ migration, record }) => [migration.version, record])).toEqual([
      ['R__v', 'repeated'],
    ]);
    expect(planned.late).toEqual([]);
  });
});

describe('a checkpoint', () => {
  const ids = (ledger: Ledger, all: readonly Migration[]) =>
    plan(all, ledger, 'dotted').pending.map(({ migration }) => migration.version);

  it('stands for all before it in an empty database, also once it is applied, and for nothing in another', () => {
    const all = compileFiles({
      'V1__a.sql': 'select 1;',
      'V2__b.sql': 'select 2;',
      'B2__base.sql': 'select 12;',
      'V3__c.sql': 'select 3;',
    }).migrations;
    expect(ids(emptyLedger, all)).toEqual(['B2', '3']);
    expect(ids(recorded(all.filter(({ version }) => version === 'B2')), all)).toEqual(['3']);
    expect(ids(recorded(all.filter(({ version }) => version === '1')), all)).toEqual(['2', '3']);
  });
});
