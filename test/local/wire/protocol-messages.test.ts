import { describe, expect, it } from 'vitest';
import { type Direction, fatalError, ProtocolReader } from '../../../local/wire/protocol-messages.ts';
import { RoundTripCounter } from '../../../local/wire/traffic.ts';

function int32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeInt32BE(value, i * 4);
  return bytes;
}

function message(type: string, body: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(type), int32(4 + bytes.length), bytes]);
}

const sslRequest = int32(8, 80_877_103);
const startup = Buffer.concat([int32(8 + 10, 196_608), Buffer.from('user\0ann\0\0')]);

function types(reader: ProtocolReader, direction: Direction, chunk: Buffer): string[] {
  return reader.read(direction, chunk).map(({ type }) => type);
}

describe('the messages of a connection', () => {
  it('are the same however the bytes are cut', () => {
    const bytes = Buffer.concat([
      startup,
      message('p', 'secret\0'),
      message('Q', `select 1\0`),
      message('X'),
    ]);
    const whole = new ProtocolReader().read('to-server', bytes);
    expect(whole.map(({ type }) => type)).toEqual(['startup', 'p', 'Q', 'X']);
    for (let size = 1; size < bytes.length; size++) {
      const reader = new ProtocolReader();
      const cut = [];
      for (let at = 0; at < bytes.length; at += size) {
        cut.push(...reader.read('to-server', bytes.subarray(at, at + size)));
      }
      expect(cut).toEqual(whole);
      expect(reader.isMidMessage('to-server')).toBe(false);
    }
  });

  it('begin with one byte where the server answers a request for encryption', () => {
    const reader = new ProtocolReader();
    expect(types(reader, 'to-server', sslRequest)).toEqual(['encryption-request']);
    expect(types(reader, 'to-client', Buffer.from('N'))).toEqual(['encryption-answer']);
    expect(types(reader, 'to-server', startup)).toEqual(['startup']);
    expect(types(reader, 'to-client', fatalError('53300', 'full'))).toEqual(['E']);
  });

  it('can’t be read once they are encrypted', () => {
    const reader = new ProtocolReader();
    types(reader, 'to-server', sslRequest);
    types(reader, 'to-client', Buffer.from('S'));
    expect(types(reader, 'to-server', Buffer.from([0x16, 3, 1]))).toEqual(['opaque']);
    expect(types(reader, 'to-client', Buffer.from([0x16]))).toEqual(['opaque']);
    expect(types(new ProtocolReader(), 'to-server', Buffer.from([0x16, 3, 1, 0, 1, 0, 1, 0]))).toEqual([
      'opaque',
    ]);
  });

  it('tell the key for a CancelRequest, also a long one', () => {
    const reader = new ProtocolReader();
    types(reader, 'to-server', startup);
    const key = Buffer.concat([int32(4711), Buffer.alloc(256, 7)]);
    types(reader, 'to-client', message('K', key));
    expect(reader.cancelKey).toEqual(key);
  });
});

describe('round trips', () => {
  const of = (...chunks: [Direction, string, continues?: boolean][]): number => {
    const counter = new RoundTripCounter();
    let count = 0;
    for (const [direction, letters, continues = false] of chunks) {
      const messages = [...letters].map((type) => ({ type, bytes: message(type, int32(3)) }));
      if (direction === 'to-client') counter.serverSpoke(messages);
      else if (counter.clientSpoke(messages, continues)) count++;
    }
    return count;
  };

  it('begin where a client speaks after it has heard what it waited for', () => {
    expect(of(['to-server', 'Q'], ['to-client', 'TDCZ'], ['to-server', 'Q'], ['to-client', 'Z'])).toBe(2);
  });

  it('are one for a pipeline, whenever its answers come', () => {
    expect(of(['to-server', 'PBE'], ['to-client', '12'], ['to-server', 'PBES'], ['to-client', 'Z'])).toBe(1);
  });

  it('are one for a message in many pieces', () => {
    expect(of(['to-server', ''], ['to-server', '', true], ['to-server', 'Q', true], ['to-client', 'Z'])).toBe(
      1,
    );
  });

  it('are one more where a client flushes and waits, and where it copies in', () => {
    expect(of(['to-server', 'PDH'], ['to-client', '1T'], ['to-server', 'BES'], ['to-client', 'Z'])).toBe(2);
    expect(
      of(
        ['to-server', 'Q'],
        ['to-client', 'G'],
        ['to-server', 'ddd'],
        ['to-server', 'dc'],
        ['to-client', 'CZ'],
      ),
    ).toBe(2);
  });

  it('are none for a farewell', () => {
    expect(of(['to-server', 'Q'], ['to-client', 'Z'], ['to-server', 'X'])).toBe(1);
  });
});
