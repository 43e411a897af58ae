import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type RelationName, readRelationName } from '../../lambda/migration/relation-name.ts';
import type { Folder } from './folder.ts';

/** How many folders above that of the migrations may hold a tool's settings, wherever the command runs. */
const ABOVE = 2;

/**
 * Text of a tool's own settings: the nearest of these files in the folder or one above it, as far up as the directory from
 * which the tool would be called. Undefined where there is none.
 */
export function settingsBeside({ path }: Folder, files: readonly string[]): string | undefined {
  let home = path;
  for (let level = 0; level <= ABOVE || isBelow(home, process.cwd()); level += 1) {
    const file = files.map((each) => join(home, each)).find((each) => existsSync(each));
    if (file !== undefined)
      return readFileSync(file, 'utf8')
        .replace(/^\uFEFF/, '')
        .replaceAll('\r\n', '\n');
    if (dirname(home) === home) return undefined;
    home = dirname(home);
  }
  return undefined;
}

function isBelow(path: string, home: string): boolean {
  return !relative(home, path).startsWith('..');
}

/** Of `key = value`, as .env, .conf, .properties and .toml have it, in any case; of a list the first. */
export function setting(text: string, key: string): string | undefined {
  const line = new RegExp(
    `^[ \\t]*(?:export[ \\t]+)?${key}[ \\t]*[=:][ \\t]*\\[?[ \\t]*(?:"([^"\\n]+)"|'([^'\\n]+)'|([^\\s,#"'\\]]+))`,
    'im',
  );
  const [, double, single, plain] = line.exec(text) ?? [];
  return double ?? single ?? plain;
}

/** A table's name as settings have it; where they say the schema alone, the tool's own name in it. */
export function tableNamed(
  { table, schema }: { readonly table: string | undefined; readonly schema?: string | undefined },
  own: string,
): RelationName | undefined {
  if (table === undefined && schema === undefined) return undefined;
  const named = readRelationName(table ?? own);
  return named === undefined || schema === undefined ? named : { schema, name: named.name };
}

/** The lines of a section of .toml, up to the next one. */
export function section(text: string, name: string): string {
  const [, ...after] = text.split(new RegExp(`^[ \\t]*\\[${name}\\][ \\t]*(?:#.*)?$`, 'm'));
  return (after[0] ?? '').split(/^[ \t]*\[(?![^\n]*=)/m)[0] ?? '';
}
