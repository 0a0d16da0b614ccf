import { CarWriter } from "@ipld/car/writer";
import { asyncIterableReader, readBlockHead, readHeader } from "@ipld/car/decoder";
import * as dagPb from "@ipld/dag-pb";
import type { CID } from "multiformats/cid";
import * as raw from "multiformats/codecs/raw";
import { sha256 } from "multiformats/hashes/sha2";
import { StorageError } from "./storage.ts";

/** A piece of a content-addressed graph: bytes and the id they hash to. */
export interface Block {
  cid: CID;
  bytes: Uint8Array;
}

/**
 * Gives the bytes of a block, verified, or throws a `StorageError`.
 * Callers rely on the verification and do not repeat it.
 */
export type BlockSource = (cid: CID, options: { signal?: AbortSignal }) => Promise<Uint8Array>;

/** The largest block anybody takes, in bytes: what every IPFS implementation can move. */
export const maxBlockBytes = 2 * 1024 * 1024;

/**
 * Refuses ids of blocks that no directory of plain files has: other codecs, other hashes, inlined bytes.
 *
 * @throws StorageError `CONTENT_INVALID`
 */
export function assertReadableBlock(cid: CID): void {
  const readable =
    (cid.code === raw.code || cid.code === dagPb.code) &&
    cid.multihash.code === sha256.code &&
    cid.multihash.size === 32;
  if (!readable) {
    throw new StorageError("CONTENT_INVALID", `block ${cid} is neither raw bytes nor a UnixFS node under SHA2-256`, {
      details: { cid: cid.toString(), codec: cid.code, hash: cid.multihash.code },
    });
  }
}

/**
 * Checks bytes against the id they were asked for by.
 *
 * @throws StorageError `CONTENT_CORRUPT` when they do not belong to it, `CONTENT_INVALID` on an id no directory has
 */
export async function verifyBlock(cid: CID, bytes: Uint8Array): Promise<void> {
  assertReadableBlock(cid);
  if (bytes.length > maxBlockBytes) {
    throw new StorageError(
      "CONTENT_CORRUPT",
      `block ${cid} came with ${bytes.length} bytes, at most ${maxBlockBytes} are taken`,
      {
        details: { cid: cid.toString(), bytes: bytes.length, maxBlockBytes },
      },
    );
  }
  const actual = await sha256.digest(bytes);
  if (!sameBytes(actual.digest, cid.multihash.digest)) {
    throw new StorageError("CONTENT_CORRUPT", `the bytes served as block ${cid} hash to something else`, {
      details: { cid: cid.toString(), bytes: bytes.length },
    });
  }
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

/**
 * Decodes a UnixFS node; the bytes must be verified.
 *
 * @throws StorageError `CONTENT_INVALID`
 */
export function decodeNode(cid: CID, bytes: Uint8Array): dagPb.PBNode {
  try {
    return dagPb.decode(bytes);
  } catch (cause) {
    throw new StorageError("CONTENT_INVALID", `block ${cid} is not well-formed dag-pb`, {
      details: { cid: cid.toString() },
      cause,
    });
  }
}

/** What a block points at, in order; raw blocks point at nothing. The bytes must be verified. */
export function blockLinks({ cid, bytes }: Block): CID[] {
  return cid.code === dagPb.code ? decodeNode(cid, bytes).Links.map((link) => link.Hash) : [];
}

/** Two ids of the same bytes and codec have the same key, whatever their version. */
export function blockKey(cid: CID): string {
  return cid.toV1().toString();
}

/**
 * Every block of a graph once, depth first, parents before children: the order of a CAR.
 *
 * @throws whatever `source` throws
 */
export async function* walkBlocks(
  root: CID,
  source: BlockSource,
  options: { signal?: AbortSignal } = {},
): AsyncGenerator<Block> {
  const seen = new Set<string>();
  const due = [root];
  for (let cid = due.pop(); cid; cid = due.pop()) {
    if (seen.has(blockKey(cid))) continue;
    seen.add(blockKey(cid));
    options.signal?.throwIfAborted();
    assertReadableBlock(cid);
    const block = { cid, bytes: await source(cid, options) };
    yield block;
    due.push(...blockLinks(block).reverse());
  }
}

/** Writes a CAR (version 1) with one root, as it is read. */
export async function* writeCar(root: CID, blocks: AsyncIterable<Block>): AsyncGenerator<Uint8Array> {
  const { writer, out } = CarWriter.create([root]);
  const writing = (async () => {
    try {
      for await (const block of blocks) await writer.put(block);
    } finally {
      // Also on failure, or the reader below would wait for ever; the failure itself surfaces at the end.
      await writer.close();
    }
  })();
  // The error is thrown to the reader when it gets there; until then it must not count as unhandled.
  writing.catch(() => {});
  yield* out;
  await writing;
}

/** How much of a CAR is taken. */
export interface CarCaps {
  /** The root it must have; only blocks reachable from it are taken. */
  root: CID;
  /** Cap on the whole stream, in bytes, so that repeated blocks do not come for ever. */
  maxStreamBytes: number;
}

/** Bytes of a CAR header nobody with one root exceeds. */
const maxCarHeaderBytes = 4096;

/**
 * Reads a CAR from somebody who is not trusted. Each block is yielded once, verified, and only if the root or a
 * block before it points at it: whoever sends blocks nobody asked for is cut off at the first.
 *
 * A stream that ends early is not an error; the caller sees what is missing.
 *
 * @throws StorageError `CONTENT_CORRUPT` on wrong bytes, foreign blocks, a broken format or an overlong stream;
 * `CONTENT_INVALID` when verified content cannot be a directory
 */
export async function* readCar(
  stream: AsyncIterable<Uint8Array>,
  { root, maxStreamBytes }: CarCaps,
): AsyncGenerator<Block> {
  const wanted = new Map([[blockKey(root), root]]);
  const seen = new Set<string>();
  const source = capped(stream, maxStreamBytes);
  const reader = asyncIterableReader(source);
  try {
    await wellFormed(async () => {
      const start = await reader.upTo(8);
      // The length is looked at before the library buffers that much.
      if (varint(start) > maxCarHeaderBytes) throw new RangeError("CAR header too long");
      return readHeader(reader, 1);
    });
    while ((await reader.upTo(8)).length > 0) {
      const { cid, bytes } = await wellFormed(async () => {
        const head = await readBlockHead(reader);
        if (!(head.blockLength >= 0 && head.blockLength <= maxBlockBytes)) throw new RangeError("CAR section too long");
        // A copy: the reader hands out views of a buffer that holds more than this block.
        return { cid: head.cid, bytes: (await reader.exactly(head.blockLength, true)).slice() };
      });
      const key = blockKey(cid);
      if (seen.has(key)) continue;
      if (!wanted.delete(key)) {
        throw new StorageError("CONTENT_CORRUPT", `block ${cid} was sent but is not part of ${root}`, {
          details: { cid: cid.toString(), root: root.toString() },
        });
      }
      await verifyBlock(cid, bytes);
      seen.add(key);
      const block = { cid: cid.toV1(), bytes };
      for (const link of blockLinks(block)) {
        assertReadableBlock(link);
        if (!seen.has(blockKey(link))) wanted.set(blockKey(link), link);
      }
      yield block;
    }
  } finally {
    // The reader never ends its source; a download must not go on behind a reader that gave up.
    await source.return(undefined);
  }
}

/** Little-endian base-128; anything unfinished counts as too long. */
function varint(bytes: Uint8Array): number {
  let value = 0;
  for (const [index, byte] of bytes.entries()) {
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return value;
  }
  return Number.POSITIVE_INFINITY;
}

async function wellFormed<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    // What the stream itself throws (timeouts, aborts, caps) is not about the format.
    if (!(cause instanceof Error) || cause instanceof StorageError || streamFailures.has(cause)) throw cause;
    throw new StorageError("CONTENT_CORRUPT", "the stream is not a well-formed CAR", { cause });
  }
}

const streamFailures = new WeakSet<Error>();

async function* capped(stream: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let total = 0;
  try {
    for await (const chunk of stream) {
      total += chunk.length;
      if (total > maxBytes) {
        throw new StorageError("CONTENT_CORRUPT", `the stream is longer than ${maxBytes} bytes`, {
          details: { maxBytes },
        });
      }
      yield chunk;
    }
  } catch (error) {
    if (error instanceof Error) streamFailures.add(error);
    throw error;
  }
}
