import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync } from '@swc/core';

/** A string of our sources that is SQL, or a part of it. */
export interface SqlInSource {
  /** `lambda/run/earlier-code.ts:55` */
  readonly place: string;
  /** The innermost named function or constant: `lambda/run/earlier-code.ts#deployments/rows` */
  readonly within: string;
  /** Nothing sends it but what sets OWN_PATH before it. */
  readonly underOwnPath: boolean;
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
  /^(?:what|next|applied|because|hint|message|detail|title|description|meaning|advice|help|WHAT|NEXT|.*HELP|.*Error|refused|addHelpText|option|.*_HINT|TOO_LONG)$/;
/** What these are given is sent under OWN_PATH. */
const SENDERS = /^(?:(?:session|client|second)\.(?:query|script)|must|asLoginRole|sendOwn)$/;

/** Everything that is SQL in the sources below these folders; `own` begin the names that are known to be under OWN_PATH. */
export function sqlInSources(folders: readonly string[], own: readonly string[] = []): SqlInSource[] {
  const root = join(import.meta.dirname, '../..');
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
      .sort()
      .map((name) => `${folder}/${name}`),
  );
  const sources = files.map((file) => [file, readFileSync(join(root, file), 'utf8')]);
  return sqlIn(Object.fromEntries(sources), own);
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

interface Context {
  readonly within: string;
  /** The function that this stands in. */
  readonly scope: Scope;
  /** Its value is sent under OWN_PATH where it stands. */
  readonly own: boolean;
  readonly forPeople: boolean;
}

interface Scope {
  /** `file#function/`, or `file#` */
  readonly prefix: string;
  readonly constants: ReadonlySet<string>;
  readonly parameters: ReadonlySet<string>;
}

type Found = Pick<Context, 'own'> & Omit<SqlInSource, 'underOwnPath'>;
/** Where a name is used, and how. */
type Use = Pick<Context, 'within' | 'own'> & { readonly name: string };

/** The same of given sources, by their path. */
export function sqlIn(
  sources: Readonly<Record<string, string>>,
  known: readonly string[] = [],
): SqlInSource[] {
  const found: Found[] = [];
  const uses: Use[] = [];
  for (const [file, source] of Object.entries(sources)) readSource(file, source, { found, uses });
  const isKnown = (name: string) => known.some((beginning) => name.startsWith(beginning));
  const own = sentUnderOwnPath(uses.filter(({ within, name }) => !isKnown(within) && !isKnown(name)));
  return found.map(({ own: here, ...sql }) => ({
    ...sql,
    underOwnPath: here || own.has(sql.within) || isKnown(sql.within),
  }));
}

/**
 * Names whose values nothing sends but what sets OWN_PATH: each of their uses is an argument of a sender, or a part of
 * another such name.
 */
function sentUnderOwnPath(uses: readonly Use[]): Set<string> {
  const own = new Set(uses.map(({ name }) => name));
  for (let before = -1; before !== own.size; ) {
    before = own.size;
    for (const use of uses) if (!use.own && !own.has(use.within)) own.delete(use.name);
  }
  return own;
}

const EXPRESSIONS: ReadonlySet<string> = new Set([
  'TsAsExpression',
  'TsSatisfiesExpression',
  'TsNonNullExpression',
  'TsConstAssertion',
]);

function readSource(file: string, source: string, to: { found: Found[]; uses: Use[] }): void {
  const body = parseSync(source, { syntax: 'typescript', target: 'esnext' }).body as unknown as Node[];
  const imported = new Map(body.flatMap((node) => importsOf(file, node)));
  const visit = (value: unknown, context: Context): void => {
    if (Array.isArray(value)) {
      for (const each of value) visit(each, context);
      return;
    }
    if (!isNode(value)) {
      // Wrappers without a type, such as an argument of a call.
      if (typeof value === 'object' && value !== null)
        for (const each of Object.values(value)) visit(each, context);
      return;
    }
    if (value.type === 'ImportDeclaration') return;
    if (value.type.startsWith('Ts') && !EXPRESSIONS.has(value.type)) return;
    if (value.type === 'Identifier') {
      const name = String(value.value);
      const { within, own, scope } = context;
      if (scope.parameters.has(name)) return;
      const local = `${scope.constants.has(name) ? scope.prefix : `${file}#`}${name}`;
      to.uses.push({ within, own, name: imported.get(name) ?? local });
      return;
    }
    const literal = asLiteral(value);
    if (literal !== undefined && !context.forPeople && isSql(literal.texts.join(' '))) {
      const line = source.slice(0, Math.max(0, source.indexOf(literal.texts[0] ?? ''))).split('\n').length;
      const { within, own } = context;
      to.found.push({ within, own, place: `${file}:${line}`, ...literal });
    }
    const name = nameOf(value);
    const forPeople = context.forPeople || FOR_PEOPLE.test(name?.replace(/^.*\./, '') ?? '');
    switch (value.type) {
      case 'MemberExpression':
        // How many there are says nothing of what they are.
        if (text(value.property) !== 'length' || text(value.object) === undefined)
          visit(value.object, context);
        if (isNode(value.property) && value.property.type === 'Computed') visit(value.property, context);
        return;
      case 'CallExpression':
      case 'NewExpression': {
        visit(value.callee, context);
        visit(value.arguments, { ...context, forPeople, own: context.own || SENDERS.test(name ?? '') });
        return;
      }
      case 'ArrayExpression': {
        let own = context.own;
        for (const element of value.elements as readonly ({ readonly expression: Node } | null)[]) {
          visit(element, { ...context, own });
          own ||= text(element?.expression) === 'OWN_PATH';
        }
        return;
      }
      case 'FunctionDeclaration':
      case 'ClassMethod':
      case 'PrivateMethod': {
        const outer = context.scope.prefix;
        const scope = scopeOf(value, `${outer}${name ?? ''}/`);
        visit(isNode(value.function) ? value.function.body : value.body, {
          within: `${outer}${name ?? ''}`,
          scope,
          own: false,
          forPeople: false,
        });
        return;
      }
      case 'VariableDeclarator':
        visit(value.init, {
          ...context,
          within: `${context.scope.prefix}${name ?? ''}`,
          own: false,
          forPeople,
        });
        return;
      case 'KeyValueProperty':
        visit(value.value, { ...context, forPeople });
        return;
      case 'ArrowFunctionExpression':
        visit(value.body, context);
        return;
      default:
        for (const [key, child] of Object.entries(value)) if (key !== 'span') visit(child, context);
    }
  };
  const top = { prefix: `${file}#`, constants: new Set<string>(), parameters: new Set<string>() };
  visit(body, { within: '', scope: top, own: false, forPeople: false });
}

/** What a function declares, however deep, and what it is given. */
function scopeOf(node: Node, prefix: string): Scope {
  const constants = new Set<string>();
  const collect = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isNode(value) && value.type === 'VariableDeclarator') constants.add(text(value.id) ?? '');
    for (const each of Object.values(value)) collect(each);
  };
  const { params, body } = (isNode(node.function) ? node.function : node) as Node;
  collect(body);
  return { prefix, constants, parameters: new Set(namesIn(params)) };
}

function namesIn(pattern: unknown): string[] {
  if (typeof pattern !== 'object' || pattern === null) return [];
  if (isNode(pattern) && pattern.type === 'Identifier') return [String(pattern.value)];
  if (isNode(pattern) && pattern.type.startsWith('Ts')) return [];
  return Object.entries(pattern).flatMap(([key, value]) => (key === 'typeAnnotation' ? [] : namesIn(value)));
}

/** `[name here, file#name there]` */
function importsOf(file: string, node: Node): [string, string][] {
  if (node.type !== 'ImportDeclaration') return [];
  const from = join(dirname(file), String((node.source as Node).value));
  return (node.specifiers as readonly Node[]).map(({ local, imported }) => {
    const name = text(local) ?? '';
    return [name, `${from}#${text(imported) ?? name}`];
  });
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** One word is a state or a kind, if it is no name of ours. */
function isSql(text: string): boolean {
  return /[\s(:]/.test(text.trim()) && SQL.test(text);
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
  switch (value.type) {
    case 'Identifier':
    case 'StringLiteral':
      return String(value.value);
    case 'PrivateName':
      return String(value.value ?? text(value.id));
    case 'MemberExpression':
      return `${text(value.object) ?? ''}.${text(value.property) ?? ''}`;
    case 'ThisExpression':
      return 'this';
    default:
      return undefined;
  }
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
