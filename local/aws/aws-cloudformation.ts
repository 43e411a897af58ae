import { AwsError } from './aws-error.ts';
import { localArn } from './local-account.ts';

export interface DescribedStack {
  /** Values by key. */
  readonly outputs: Readonly<Record<string, string>>;
  readonly resources: readonly {
    readonly logicalId: string;
    readonly type: string;
    readonly physicalId: string;
  }[];
}

/** Resources in a page: fewer than CloudFormation's hundred, so that there is a second page. */
const PAGE = 10;

/** CloudFormation's calls that describe stacks; it speaks the query protocol, and answers in XML. */
export class AwsCloudFormation {
  readonly #stacks = new Map<string, DescribedStack>();

  put(name: string, stack: DescribedStack): void {
    this.#stacks.set(name, stack);
  }

  handle(query: URLSearchParams): string {
    const action = query.get('Action');
    const name = query.get('StackName') ?? '';
    const stack = this.#stacks.get(name);
    if (stack === undefined) throw new AwsError('ValidationError', `Stack with id ${name} does not exist`);
    switch (action) {
      case 'DescribeStacks':
        return answer(action, [xml('Stacks', [xml('member', described(name, stack))])]);
      case 'ListStackResources': {
        const from = Number(query.get('NextToken') ?? 0);
        const page = stack.resources
          .slice(from, from + PAGE)
          .map(({ logicalId, type, physicalId }) =>
            xml('member', [
              xml('LogicalResourceId', logicalId),
              xml('PhysicalResourceId', physicalId),
              xml('ResourceType', type),
              xml('ResourceStatus', 'CREATE_COMPLETE'),
              xml('LastUpdatedTimestamp', new Date().toISOString()),
            ]),
          );
        const more = from + PAGE < stack.resources.length ? [xml('NextToken', String(from + PAGE))] : [];
        return answer(action, [xml('StackResourceSummaries', page), ...more]);
      }
      default:
        throw new AwsError('InvalidAction', `${action} is not supported here.`);
    }
  }
}

function described(name: string, { outputs }: DescribedStack): string[] {
  return [
    xml('StackName', name),
    xml('StackId', localArn('cloudformation', `stack/${name}/1`)),
    xml('CreationTime', new Date().toISOString()),
    xml('StackStatus', 'CREATE_COMPLETE'),
    xml(
      'Outputs',
      Object.entries(outputs).map(([key, value]) =>
        xml('member', [xml('OutputKey', key), xml('OutputValue', value)]),
      ),
    ),
  ];
}

function answer(action: string, result: readonly string[]): string {
  return xml(`${action}Response`, [xml(`${action}Result`, result)]);
}

/** An element: text is escaped, elements within it are not. */
export function xml(name: string, content: string | readonly string[]): string {
  const inner = typeof content === 'string' ? escapeText(content) : content.join('');
  return `<${name}>${inner}</${name}>`;
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
