import * as v from 'valibot';
import { FileRefused } from '../syntax/problem.ts';
import { signIn } from './dbmate.ts';
import type { Folder } from './folder.ts';
import type { FoundMigration, Layout } from './layout.ts';
import { findFolders, sha256 } from './prisma.ts';
import { settingsBeside, tableNamed } from './settings-beside.ts';

const JOURNAL = 'meta/_journal.json';

/** Files as the journal lists them; from version 1 on, folders in the order of their names. drizzle-orm, migrator.ts. */
export const drizzle: Layout = {
  name: 'drizzle',
  title: 'Drizzle',
  order: 'listed',
  sign(folder) {
    if (folder.text(JOURNAL).includes('"entries"')) return JOURNAL;
    const divided = signIn(folder, /--> statement-breakpoint/, '--> statement-breakpoint');
    if (divided !== undefined) return divided;
    const snapshot = folder.entries().find((entry) => folder.has(`${entry}/snapshot.json`));
    return snapshot === undefined ? undefined : `${snapshot}/snapshot.json`;
  },
  find(folder) {
    if (!folder.has(JOURNAL)) {
      const [file] = folder.sqlFiles();
      if (file !== undefined) folder.problem(JOURNAL_MISSING);
      return findFolders(folder);
    }
    return folder.attempt(() => readJournal(folder)) ?? [];
  },
  historyTable(folder) {
    const config = settingsBeside(folder, CONFIGS) ?? '';
    const [, migrations = ''] = /\bmigrations["']?\s*:\s*\{([^{}]*)\}/.exec(withoutComments(config)) ?? [];
    const read = (key: string) =>
      new RegExp(`\\b${key}["']?\\s*:\\s*["'\`]([^"'\`$]+)["'\`]`).exec(migrations)?.[1];
    return tableNamed({ table: read('table'), schema: read('schema') }, '__drizzle_migrations');
  },
  record({ id, file }, folder) {
    return { checksum: sha256(folder.bytes(file).toString('utf8')), when: timeOf(id, folder) };
  },
};

const CONFIGS = ['ts', 'mts', 'js', 'mjs', 'cjs', 'json'].map((extension) => `drizzle.config.${extension}`);

function withoutComments(code: string): string {
  return code.replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/[^\n]*/g, '');
}

const JOURNAL_MISSING = {
  file: JOURNAL,
  sentence: "Drizzle's journal, which lists the files that are migrations, is missing.",
  advice: "Bring it back; or, where it is not Drizzle that runs these files, say so: layout: 'plain'.",
};

const journal = v.object({
  dialect: v.optional(v.string()),
  entries: v.array(v.object({ tag: v.string(), when: v.number() })),
});

const journals = new WeakMap<Folder, v.InferOutput<typeof journal>>();

function journalOf(folder: Folder): v.InferOutput<typeof journal> {
  const known = journals.get(folder);
  if (known !== undefined) return known;
  const parsed = v.safeParse(journal, folder.json(JOURNAL));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new FileRefused({
      file: JOURNAL,
      sentence: `It is no journal of Drizzle: ${v.getDotPath(issue) ?? 'the whole'}: ${issue.message}.`,
    });
  }
  journals.set(folder, parsed.output);
  return parsed.output;
}

/** A file that the journal does not list does not exist. */
function readJournal(folder: Folder): readonly FoundMigration[] {
  const { dialect, entries } = journalOf(folder);
  if (dialect !== undefined && !['postgresql', 'pg'].includes(dialect)) {
    throw new FileRefused({
      file: JOURNAL,
      sentence: `These migrations are for ${dialect}, and only PostgreSQL is deployed here.`,
    });
  }
  const tags = new Set<string>();
  return entries.flatMap(({ tag }) => {
    const file = `${tag}.sql`;
    if (!folder.has(file)) {
      folder.problem({
        file: JOURNAL,
        sentence: `The journal lists ${tag}, and there is no ${file}.`,
        advice: 'Bring the file back, or take the entry out of the journal.',
      });
      return [];
    }
    if (tags.has(tag)) {
      folder.problem({ file: JOURNAL, sentence: `The journal lists ${tag} twice.`, advice: 'Take one out.' });
      return [];
    }
    tags.add(tag);
    const undo = folder.has(`${tag}.down.sql`) ? `${tag}.down.sql` : undefined;
    return [{ id: tag, name: tag, file, undo }];
  });
}

/** The journal's time; of a folder, its 14 digits as UTC. */
function timeOf(id: string, folder: Folder): number {
  if (folder.has(JOURNAL)) return journalOf(folder).entries.find(({ tag }) => tag === id)?.when ?? 0;
  const [, ...parts] = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})/.exec(id) ?? [];
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts.map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}
