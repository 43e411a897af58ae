import type { LayoutName, LayoutOrder, ToolRecord } from '../../lambda/migration/layout.ts';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import type { PlaceholderStyle } from '../syntax/placeholders.ts';
import type { SourceText } from '../syntax/source-text.ts';
import type { Folder } from './folder.ts';

/** Where a migration is to be read from; paths are relative to the folder, with `/`. */
export interface FoundMigration {
  /** As the tool writes it in its own table; what a person calls the migration by. */
  readonly id: string;
  readonly name: string;
  readonly file: string;
  /** The file that undoes it, where that is another one. */
  readonly undo: string | undefined;
  /** From where to where in the file, where it holds several. */
  readonly range?: readonly [from: number, to: number];
  /** The same of the file that undoes it. */
  readonly undoRange?: readonly [from: number, to: number];
  /**
   * `repeatable`: runs again with every change, after all others. `checkpoint`: stands for all before it in a database
   * that has none of them, and is passed over in any other.
   */
  readonly kind?: 'repeatable' | 'checkpoint';
  /** What the tool was told beside the file. */
  readonly noTransaction?: boolean;
  /** It has no placeholders: what looks like one stays as it is. */
  readonly literal?: boolean;
}

/** What of a file goes up, and what down. */
export interface Parts {
  readonly up: SourceText;
  readonly down?: SourceText | undefined;
  /** The tool's own directive: each statement runs by itself. */
  readonly noTransaction?: boolean;
  readonly downNoTransaction?: boolean;
}

/** One tool's way with a folder. */
export interface Layout {
  readonly name: LayoutName;
  /** As the tool calls itself. */
  readonly title: string;
  readonly order: LayoutOrder;
  /** What in the folder says that it is this tool's; undefined where nothing does. */
  readonly sign: (folder: Folder) => string | undefined;
  /** All migrations, in order. What is wrong with one goes to the folder's problems. */
  readonly find: (folder: Folder) => readonly FoundMigration[];
  /** Absent: the whole file goes up. Throws FileRefused. */
  readonly divide?: (source: SourceText, found: FoundMigration) => Parts;
  /** What of the file that undoes it goes down. Absent: all of it. */
  readonly undo?: (source: SourceText, found: FoundMigration) => SourceText;
  /** Whether a file that undoes it runs without a transaction. Absent: no. */
  readonly undoNoTransaction?: (source: SourceText, found: FoundMigration, folder: Folder) => boolean;
  /** Whose placeholders its files have. @default psql's, where values are given */
  readonly placeholders?: (source: SourceText, found: FoundMigration) => PlaceholderStyle | 'none';
  /** Whether what looks like one at an index of the file is one. Absent: always. */
  readonly isPlaceholder?: (source: SourceText, index: number) => boolean;
  /** The tool's table, where its own settings or files give it another name. */
  readonly historyTable?: (folder: Folder) => RelationName | undefined;
  /** `up` is what goes up, its placeholders filled. Absent: its table holds nothing that the text tells. */
  readonly record?: (found: FoundMigration, folder: Folder, up: SourceText) => ToolRecord;
}
