import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from '@swc/core';

/** A string of our sources that is SQL, or a part of it. */
export interface SqlInSource {
  /** `lambda/run/earlier-code.ts:55` */
  readonly place: string;
  readonly file: string;
  /** The innermost named function or constant that it stands in. */
  readonly within: string;
  /** The callee whose argument it is: `session.query`. */
  readonly argumentOf: string | undefined;
  /** In a list, it comes after OWN_PATH. */
  readonly afterOwnPath: boolean;
  /** Its text between the holes, one more than there are holes. */
  readonly texts: readonly string[];
  /** What is put into each hole, as far as its expression tells. */
  readonly holes: readonly Hole[];
}

export type Hole = 'identifier' | 'literal' | 'unknown';

/** Beginnings of statements and of their parts, and what no text for people contains. */
const SQL =
  /^\s*(?:select|insert into|update|delete from|with [a-z_]+ as|create|alter|drop|set|reset|do '|do \$|call|copy|begin|commit|rollback|comment on|reindex|not? exists \(|case when)\b|\bpg_catalog\.|\boperator\(|\bwhere [a-z_.]+ (?:=|in|is)|\breturning\b|^\s*(?:and )?[a-z_.]+ (?:(?:=|<>|<|>|<=|>=|~) |(?:not )?in \()/;
/** Properties and callees whose text is for people. */
const FOR_PEOPLE =
  /^(?:what|next|applied|because|hint|message|detail|title|description|meaning|advice|help|WHAT|NEXT|.*HELP|.*Error|refused|addHelpText|description|option|.*_HINT|TOO_LONG)$/;

const EXPRESSIONS: ReadonlySet<string> = new Set([
  'TsAsExpression',
  'TsSatisfiesExpression',
  'TsNonNullExpression',
  'TsConstAssertion',
]);

/** Everything that is SQL in the sources below these folders. */
export function sqlInSources(folders: readonly string[]): SqlInSource[] {
  const root = join(import.meta.dirname, '../..');
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
      .sort()
      .flatMap((name) => sqlIn(`${folder}/${name}`, readFileSync(join(root, folder, name), 'utf8'))),
  );
}

/** One word is a state or a kind, if it is no name of ours. */
function isSql(text: string): boolean {
  return /[\s(:]/.test(text.trim()) && SQL.test(text);
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

type Context = Pick<SqlInSource, 'within' | 'argumentOf' | 'afterOwnPath'>;

export function sqlIn(file: string, source: string): SqlInSource[] {
  const found: SqlInSource[] = [];
  const visit = (value: unknown, context: Context): void => {
    if (Array.isArray(value)) {
      for (const each of value) visit(each, context);
      return;
    }
    if (!isNode(value)) {
      // Wrappers without a type: arguments of a call.
      if (typeof value === 'object' && value !== null)
        for (const each of Object.values(value)) visit(each, context);
      return;
    }
    if (value.type === 'ImportDeclaration' || value.type.startsWith('Ts')) {
      if (!EXPRESSIONS.has(value.type)) return;
    }
    const literal = asLiteral(value);
    if (literal !== undefined && isSql(literal.texts.join(' '))) {
      const [first = ''] = literal.texts;
      const line = source.slice(0, Math.max(0, source.indexOf(first))).split('\n').length;
      found.push({ place: `${file}:${line}`, file, ...context, ...literal });
    }
    const name = nameOf(value);
    if (name !== undefined && FOR_PEOPLE.test(name.replace(/^.*\./, ''))) return;
    const inner =
      value.type === 'CallExpression' || value.type === 'NewExpression'
        ? // The parts of a list that is joined are arguments of whatever takes the whole.
          { ...context, argumentOf: name?.startsWith('.') === true ? context.argumentOf : name }
        : name === undefined || value.type === 'KeyValueProperty'
          ? context
          : { within: name, argumentOf: undefined, afterOwnPath: false };
    if (value.type === 'ArrayExpression') {
      let list = inner;
      for (const element of value.elements as readonly unknown[]) {
        visit(element, list);
        if (
          text(isNode(element) ? element : (element as { expression?: unknown } | null)?.expression) ===
          'OWN_PATH'
        ) {
          list = { ...list, afterOwnPath: true };
        }
      }
      return;
    }
    for (const [key, child] of Object.entries(value)) if (key !== 'span') visit(child, inner);
  };
  visit(parseSync(source, { syntax: 'typescript', target: 'esnext' }).body, {
    within: '',
    argumentOf: undefined,
    afterOwnPath: false,
  });
  return found;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** Of a function, a constant, a property, or whatever is called. */
function nameOf(node: Node): string | undefined {
  switch (node.type) {
    case 'FunctionDeclaration':
    case 'ClassMethod':
    case 'PrivateMethod':
    case 'VariableDeclarator':
    case 'KeyValueProperty':
    case 'CallExpression':
    case 'NewExpression':
      return text(node.identifier ?? node.id ?? node.key ?? node.callee);
    default:
      return undefined;
  }
}

/** `session.query`, `quoteLiteral` */
function text(value: unknown): string | undefined {
  if (!isNode(value)) return undefined;
  if (value.type === 'Identifier' || value.type === 'StringLiteral') return String(value.value);
  if (value.type === 'PrivateName') return String(value.value ?? text(value.id));
  if (value.type === 'MemberExpression') return `${text(value.object) ?? ''}.${text(value.property) ?? ''}`;
  if (value.type === 'ThisExpression') return 'this';
  return undefined;
}

function asLiteral(node: Node): Pick<SqlInSource, 'texts' | 'holes'> | undefined {
  if (node.type === 'StringLiteral') return { texts: [String(node.value)], holes: [] };
  if (node.type !== 'TemplateLiteral') return undefined;
  const quasis = node.quasis as readonly { readonly cooked?: string }[];
  const expressions = node.expressions as readonly Node[];
  return { texts: quasis.map(({ cooked }) => cooked ?? ''), holes: expressions.map(holeOf) };
}

function holeOf(expression: Node): Hole {
  const name = nameOf(expression) ?? text(expression) ?? '';
  if (/^(?:quoteIdentifier|quoteRelation)$|^[sd]$/.test(name)) return 'identifier';
  return name === 'quoteLiteral' ? 'literal' : 'unknown';
}
