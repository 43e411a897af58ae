import { compareDotted } from '../../lambda/migration/version.ts';
import { FileRefused } from '../syntax/problem.ts';
import type { Folder } from './folder.ts';
import type { FoundMigration, Layout } from './layout.ts';
import { section, setting, settingsBeside, tableNamed } from './settings-beside.ts';
import { byText, refuseCode } from './version-files.ts';

const NAME = /^(?:([VUB])(\d[\d._]*)|(R))__(.*)\.sql$/;
/** Folders below that are searched for a sign. */
const SEARCHED = 20;
const SIGN = /^(?:[VUB]\d[\d._]*|R)__.*\.sql$/;

/** The last is Spring Boot's. */
const SETTINGS = [
  'flyway.toml',
  'flyway.conf',
  'conf/flyway.toml',
  'conf/flyway.conf',
  'application.properties',
];

/** Events of commands that have no counterpart here. */
const ELSEWHERE = /^(?:before|after)(?:Clean|Info|Repair|Baseline)/;

/** Events at which Flyway runs a file of that name each time. */
const CALLBACK =
  /^(?:before|after)(?:Each)?(?:Migrate|Versioned|Repeatables|Validate|Baseline|Repair|Info|Undo|Clean|Connect|CreateSchema)\w*(?:__.*)?\.sql$/;

/** Versioned, undo, baseline and repeatable files, with what `.conf` says beside them; ResourceNameParser. */
export const flyway: Layout = {
  name: 'flyway',
  title: 'Flyway',
  order: 'dotted',
  sign(folder) {
    const files = folder.sqlFiles();
    // Flyway reads folders below too.
    const below = files.length > 0 ? [] : folder.entries().slice(0, SEARCHED);
    const found = [
      ...files,
      ...below.flatMap((entry) => folder.sqlFiles(entry).map((file) => `${entry}/${file}`)),
    ];
    return found.find((file) => SIGN.test(file.slice(file.lastIndexOf('/') + 1)));
  },
  find(folder) {
    const files = filesBelow(folder, '.');
    const named = files.flatMap((file) => folder.attempt(() => nameOf(file)) ?? []);
    const undos = new Map(
      named.filter(({ kind }) => kind === 'U').map((each) => [dotted(each.version), each]),
    );
    const found = named
      .filter(({ kind }) => kind !== 'U')
      .flatMap(
        (each) => folder.attempt(() => toMigration(folder, each, undos.get(dotted(each.version)))) ?? [],
      );
    const ordered = found.sort((a, b) =>
      a.kind === 'repeatable' || b.kind === 'repeatable'
        ? Number(a.kind === 'repeatable') - Number(b.kind === 'repeatable') || byText(a.name, b.name)
        : // A baseline stands for the migrations up to its version, this one included.
          compareDotted(a.id, b.id) || Number(a.kind === 'checkpoint') - Number(b.kind === 'checkpoint'),
    );
    refuseTwice(folder, ordered);
    for (const below of new Set(files.map(folderOf))) refuseCode(folder, 'Flyway', below);
    return ordered;
  },
  historyTable(folder) {
    const text = settingsBeside(folder, SETTINGS) ?? '';
    const read = (key: string) =>
      setting(text, `(?:spring\\.)?flyway\\.${key}`) ?? setting(section(text, 'flyway'), key);
    const schema = read('default-?schema') ?? read('schemas');
    return tableNamed({ table: read('table'), schema }, 'flyway_schema_history');
  },
  undoNoTransaction: (_, { undo }, folder) =>
    readSettings(folder, `${undo}.conf`).get('executeintransaction') === 'false',
  placeholders: (_, { literal }) => (literal ? 'none' : 'dollar'),
  record({ file, name, kind, id }, folder, up) {
    return {
      // A repeatable one is another with other values of its placeholders.
      checksum: String(checksum((kind === 'repeatable' ? up : folder.source(file)).text)),
      description: name.replace(/^.*?__/, '').replaceAll('_', ' '),
      script: file,
      ...(kind === 'repeatable' ? {} : { previous: [id] }),
    };
  },
};

interface Named {
  readonly kind: string;
  readonly version: string;
  readonly name: string;
  readonly file: string;
}

function nameOf(file: string): readonly Named[] {
  const base = file.slice(file.lastIndexOf('/') + 1);
  if (ELSEWHERE.test(base)) return [];
  if (CALLBACK.test(base)) {
    throw new FileRefused({
      file,
      sentence: `Flyway runs this file each time, at ${base.replace(/(?:__.*)?\.sql$/, '')}, which no migration does.`,
      advice:
        'Make it a repeatable migration (R__name.sql), which runs when its text changes; what it grants on tables to come, ALTER DEFAULT PRIVILEGES grants for good. Or move it to another folder.',
    });
  }
  const [, versioned, version = '', repeatable] = NAME.exec(base) ?? [];
  const kind = versioned ?? repeatable;
  if (kind === undefined) {
    throw new FileRefused({
      file,
      sentence: "It is not named as Flyway's migrations are.",
      advice: 'Expected V<version>__<description>.sql, U…, B… or R__<description>.sql.',
    });
  }
  return [{ kind, version: version.replaceAll('_', '.'), name: base.slice(0, -'.sql'.length), file }];
}

function toMigration(
  folder: Folder,
  { kind, version, name, file }: Named,
  undo: Named | undefined,
): readonly FoundMigration[] {
  const settings = readSettings(folder, `${file}.conf`);
  if (settings.get('shouldexecute') === 'false') return [];
  return [
    {
      id: kind === 'R' ? name : kind === 'B' ? `B${version}` : version,
      name,
      file,
      undo: kind === 'V' ? undo?.file : undefined,
      noTransaction: settings.get('executeintransaction') === 'false',
      literal: settings.get('placeholderreplacement') === 'false',
      ...(kind === 'R'
        ? { kind: 'repeatable' as const }
        : kind === 'B'
          ? { kind: 'checkpoint' as const }
          : {}),
    },
  ];
}

const READ = ['executeintransaction', 'encoding', 'placeholderreplacement', 'shouldexecute'];

/** `key=value` lines of the file beside a migration. */
function readSettings(folder: Folder, file: string): ReadonlyMap<string, string> {
  const settings = new Map<string, string>();
  if (!folder.has(file)) return settings;
  for (const line of folder.source(file).text.split('\n')) {
    const [, key = '', value = ''] = /^\s*([^#=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (key === '') continue;
    const name = key.toLowerCase();
    const refuse = (sentence: string) => new FileRefused({ file, sentence });
    if (!READ.includes(name)) throw refuse(`The setting ${key} is not known here.`);
    if (name === 'encoding' && !/^utf-?8$/i.test(value)) throw refuse(`Only UTF-8 is read, not ${value}.`);
    if (name !== 'encoding' && !/^(?:true|false)$/i.test(value)) {
      throw refuse(`${key} has to be true or false here, not ${value}.`);
    }
    settings.set(name, value.toLowerCase());
  }
  return settings;
}

function refuseTwice(folder: Folder, found: readonly FoundMigration[]): void {
  for (const [at, { id, file }] of found.entries()) {
    const before = found[at - 1];
    if (before === undefined || dotted(before.id) !== dotted(id)) continue;
    folder.problem({
      file,
      sentence: `Version ${id} is taken by ${before.file} already.`,
      advice: 'Give one of the two another version.',
    });
  }
}

/** 1.0 is 1, and 01 too. */
function dotted(version: string): string {
  return version.replace(/(^|\.)0+(?=\d)/g, '$1').replace(/(?:\.0)+$/, '');
}

/** Also those in folders below, as Flyway reads its locations. */
function filesBelow(folder: Folder, below: string): readonly string[] {
  return folder.entries(below).flatMap((entry) => {
    if (entry.startsWith('.')) return [];
    const path = below === '.' ? entry : `${below}/${entry}`;
    if (folder.attempt(() => folder.isFolder(path)) === true) return filesBelow(folder, path);
    return /\.sql$/.test(entry) ? [path] : [];
  });
}

function folderOf(file: string): string {
  const slash = file.lastIndexOf('/');
  return slash === -1 ? '.' : file.slice(0, slash);
}

/** CRC-32 over the lines without their ends, as a signed number; ChecksumCalculator. Node has it only since 20.15. */
function checksum(text: string): number {
  const lines = text.split('\n');
  let crc = -1;
  for (const byte of Buffer.from(lines.join(''))) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}
