import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { FileRefused, type Problem } from '../syntax/problem.ts';
import { decodeSource, reasonOf } from '../syntax/source-file.ts';
import type { SourceText } from '../syntax/source-text.ts';

/** A folder of migrations as the layouts see it: names and contents, each read once, and what is wrong with it. */
export class Folder {
  /** As it was given. */
  readonly directory: string;
  readonly problems: Problem[] = [];
  readonly #home: string;
  /** Where one file was given in place of a folder. */
  readonly #only: string | undefined;
  readonly #bytes = new Map<string, Buffer>();
  readonly #sources = new Map<string, SourceText>();

  constructor(directory: string) {
    this.directory = directory;
    this.#only = isScript(directory) ? basename(directory) : undefined;
    this.#home = this.#only === undefined ? directory : dirname(directory);
  }

  /** Whether one file was given, as for the script of a tool that writes all migrations into one. */
  get isScript(): boolean {
    return this.#only !== undefined;
  }

  /** Absolute, for layouts that are known by their location. */
  get path(): string {
    return resolve(this.#home);
  }

  /** Names in the folder, or in one below it, by code point, so that problems come in one order on every machine. */
  entries(below = '.'): readonly string[] {
    if (this.#only !== undefined) return below === '.' ? [this.#only] : [];
    try {
      return readdirSync(join(this.#home, below)).sort();
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      const sentence = missing
        ? 'The migrations folder does not exist.'
        : `The migrations folder can't be read: ${reasonOf(error)}.`;
      if (below === '.') this.problem({ file: this.directory, sentence });
      return [];
    }
  }

  /** Names of files that end in `.sql`, hidden ones left out. */
  sqlFiles(below = '.'): readonly string[] {
    return this.entries(below).filter((entry) => /\.sql$/i.test(entry) && !entry.startsWith('.'));
  }

  has(file: string): boolean {
    return existsSync(join(this.#home, file));
  }

  /** @throws FileRefused for a link that leads nowhere, or in a circle */
  isFolder(entry: string): boolean {
    try {
      return statSync(join(this.#home, entry)).isDirectory();
    } catch (cause) {
      throw new FileRefused({ file: entry, sentence: `It can't be read: ${reasonOf(cause)}.` }, { cause });
    }
  }

  /** @throws FileRefused */
  bytes(file: string): Buffer {
    const known = this.#bytes.get(file);
    if (known !== undefined) return known;
    try {
      const bytes = readFileSync(join(this.#home, file));
      this.#bytes.set(file, bytes);
      return bytes;
    } catch (cause) {
      throw new FileRefused(
        { file, sentence: `The file can't be read: ${(cause as Error).message}.` },
        { cause },
      );
    }
  }

  /** @throws FileRefused naming the first byte that is no UTF-8 text */
  source(file: string): SourceText {
    const known = this.#sources.get(file);
    if (known !== undefined) return known;
    const source = decodeSource(this.bytes(file), file);
    this.#sources.set(file, source);
    return source;
  }

  /** The text for looking for a tool's signs, whatever its bytes, without BOM and with LF; empty where it can't be read. */
  text(file: string): string {
    try {
      return this.bytes(file)
        .toString('utf8')
        .replace(/^\uFEFF/, '')
        .replaceAll('\r\n', '\n');
    } catch {
      return '';
    }
  }

  /** @throws FileRefused where it is no JSON */
  json(file: string): unknown {
    try {
      return JSON.parse(this.source(file).text);
    } catch (cause) {
      if (cause instanceof FileRefused) throw cause;
      throw new FileRefused({ file, sentence: `It is no JSON: ${(cause as Error).message}.` }, { cause });
    }
  }

  problem(problem: Problem): void {
    this.problems.push(problem);
  }

  /** Others continue when one is refused, so that all mistakes are shown at once. */
  attempt<Result>(read: () => Result): Result | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof FileRefused)) throw error;
      this.problem(error.problem);
      return undefined;
    }
  }
}

function isScript(path: string): boolean {
  return /\.sql$/i.test(path) && statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
