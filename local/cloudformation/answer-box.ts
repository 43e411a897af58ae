import { createServer } from 'node:http';
import * as v from 'valibot';
import { closeServer, listen } from '../aws/listen.ts';

/** What a custom resource PUTs to CloudFormation. */
export interface ResourceAnswer {
  readonly status: 'SUCCESS' | 'FAILED';
  readonly reason: string;
  readonly physicalResourceId: string;
  readonly data: Readonly<Record<string, string>>;
  /** Length of the whole answer; CloudFormation accepts 4,096. */
  readonly bytes: number;
}

const answerSchema = v.object({
  Status: v.picklist(['SUCCESS', 'FAILED']),
  Reason: v.string(),
  RequestId: v.string(),
  PhysicalResourceId: v.string(),
  Data: v.optional(v.record(v.string(), v.string()), {}),
});

/** Receives the answers. As CloudFormation does, it accepts the first for each request and no other. */
export class AnswerBox {
  readonly host = 'cloudformation-custom-resource-response.local';
  readonly port: number;
  readonly #close: () => Promise<void>;
  readonly #answers: Answers;

  static async open(): Promise<AnswerBox> {
    const answers = new Answers();
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        answers.take(Buffer.concat(chunks));
        response.end();
      });
    });
    const port = await listen(server);
    return new AnswerBox(port, answers, () => {
      const closed = closeServer(server);
      server.closeAllConnections();
      return closed;
    });
  }

  private constructor(port: number, answers: Answers, close: () => Promise<void>) {
    this.port = port;
    this.#answers = answers;
    this.#close = close;
  }

  urlFor(requestId: string): string {
    return `https://${this.host}/${requestId}?signed=yes`;
  }

  /** The first answer to the request, when it comes. */
  answerTo(requestId: string): Promise<ResourceAnswer> {
    return this.#answers.of(requestId).promise;
  }

  close(): Promise<void> {
    return this.#close();
  }
}

interface Expected {
  readonly promise: Promise<ResourceAnswer>;
  readonly resolve: (answer: ResourceAnswer) => void;
}

class Answers {
  readonly #expected = new Map<string, Expected>();

  of(requestId: string): Expected {
    let expected = this.#expected.get(requestId);
    if (expected === undefined) {
      let resolve: Expected['resolve'] = () => {};
      const promise = new Promise<ResourceAnswer>((settle) => {
        resolve = settle;
      });
      expected = { promise, resolve };
      this.#expected.set(requestId, expected);
    }
    return expected;
  }

  take(body: Buffer): void {
    const answer = v.parse(answerSchema, JSON.parse(body.toString('utf8')));
    this.of(answer.RequestId).resolve({
      status: answer.Status,
      reason: answer.Reason,
      physicalResourceId: answer.PhysicalResourceId,
      data: answer.Data,
      bytes: body.length,
    });
  }
}
