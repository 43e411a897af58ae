import { inflateRawSync } from 'node:zlib';

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const STORED = 0;
const DEFLATED = 8;

/**
 * One file of a zip archive; undefined where the archive has none of that name. Sizes and places are read from the
 * directory at the end, since the headers before files may omit them. None of our assets needs ZIP64.
 *
 * @throws RangeError where it is no whole archive
 */
export function zipEntry(archive: Buffer, name: string): Buffer | undefined {
  const end = archive.lastIndexOf(signature(END_OF_DIRECTORY));
  if (end === -1) throw new RangeError('this is no zip archive');
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    if (archive.readUInt32LE(at) !== DIRECTORY_ENTRY)
      throw new RangeError('the directory of the archive is damaged');
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) =>
      archive.readUInt16LE(at + offset),
    );
    const first = at + 46;
    if (archive.toString('utf8', first, first + (nameBytes ?? 0)) === name) return contentOf(archive, at);
    at = first + (nameBytes ?? 0) + (extraBytes ?? 0) + (commentBytes ?? 0);
  }
  return undefined;
}

function contentOf(archive: Buffer, entry: number): Buffer {
  const method = archive.readUInt16LE(entry + 10);
  const bytes = archive.readUInt32LE(entry + 20);
  const local = archive.readUInt32LE(entry + 42);
  const begin = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
  const content = archive.subarray(begin, begin + bytes);
  if (method === STORED) return content;
  if (method === DEFLATED) return inflateRawSync(content);
  throw new RangeError(`compression method ${method} is not known`);
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
