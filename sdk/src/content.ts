import * as dagPb from "@ipld/dag-pb";
import { UnixFS } from "ipfs-unixfs";
import { importer } from "ipfs-unixfs-importer";
import type { ImporterOptions } from "ipfs-unixfs-importer";
import { fixedSize } from "ipfs-unixfs-importer/chunker";
import { balanced } from "ipfs-unixfs-importer/layout";
import { CID } from "multiformats/cid";
import * as raw from "multiformats/codecs/raw";
import { create as createDigest } from "multiformats/hashes/digest";
import { sha256 } from "multiformats/hashes/sha2";
import { assertReadableBlock, decodeNode } from "./block.ts";
import type { Block, BlockSource } from "./block.ts";
import { StorageError, defaultMaxFiles } from "./storage.ts";
import type { GetOptions } from "./storage.ts";

/**
 * Files by relative path with `/` between folders, such as `out/image.png`. Folders exist through their files; an
 * empty map is the empty directory. What a path may be: {@link checkPath}.
 */
export type Directory = ReadonlyMap<string, Uint8Array>;

/** A directory to be stored: files that need not fit in memory are streams, each read once. */
export type DirectorySource = ReadonlyMap<string, Uint8Array | AsyncIterable<Uint8Array>>;

/**
 * How a directory becomes blocks, and so which content id it has. The one place where this is decided: digests
 * that nodes are paid and slashed by are made of these ids, so changing anything here is a new protocol version.
 *
 * It is the profile `unixfs-v1-2025` of IPIP-499. Kubo imports alike with the profile `test-cid-v1` and
 * `Import.UnixFSFileMaxLinks` set to 1024.
 */
export const importProfile = Object.freeze({
  /** CIDv1, SHA2-256; written in base32. */
  cidVersion: 1,
  /** File data in raw blocks; a file of one chunk is that raw block. */
  rawLeaves: true,
  /** Fixed-size chunks, in bytes. */
  chunkBytes: 1024 * 1024,
  /** Links of one inner node of a file; the tree is balanced. */
  maxChildren: 1024,
  /** A folder whose node would be larger becomes a HAMT, in bytes of the encoded node. */
  shardThresholdBytes: 256 * 1024,
  /** Bits of a name's hash that each HAMT level takes: 256 buckets. */
  shardFanoutBits: 8,
  /** Roots are folders, even around a single file; so a root is always dag-pb. */
  wrapWithDirectory: true,
});

/** Longest path, in bytes of UTF-8. */
export const maxPathBytes = 1024;
/** Longest name within a path, in bytes of UTF-8: what common file systems take. */
export const maxNameBytes = 255;
/** Most folders and file on one path. */
export const maxPathDepth = 64;

/** A folder without anything in it: dag-pb around a UnixFS directory. */
const emptyFolder = Uint8Array.of(0x0a, 0x02, 0x08, 0x01);

const utf8 = new TextEncoder();

/** Everything a content id can be written as, read as a canonical CID. */
function parse(cid: string): CID {
  let parsed: CID;
  try {
    parsed = CID.parse(cid).toV1();
  } catch (cause) {
    throw new StorageError("CONTENT_ID_INVALID", `${JSON.stringify(cid)} is not an IPFS content id`, {
      fix: "Give the CID of a directory, such as bafybei….",
      cause,
    });
  }
  if (parsed.code !== dagPb.code || parsed.multihash.code !== sha256.code || parsed.multihash.digest.length !== 32) {
    throw new StorageError("CONTENT_ID_INVALID", `${cid} is not the id of a directory under SHA2-256`, {
      details: { cid, codec: parsed.code, hash: parsed.multihash.code },
      fix: "Wrap the file in a directory and give the directory's CID.",
    });
  }
  return parsed;
}

/**
 * The CID of a directory, from any of its spellings (base32, base58, base36, and the old `Qm…`, which names the
 * same block).
 *
 * @throws StorageError `CONTENT_ID_INVALID`
 */
export function parseContentId(cid: string): CID {
  return parse(cid);
}

/**
 * A content id as the contracts keep it: the 32 bytes of its SHA2-256 digest. All else about a root is fixed.
 *
 * @returns `0x` and 64 hex digits
 * @throws StorageError `CONTENT_ID_INVALID`
 *
 * @example
 * ```ts
 * contentIdToBytes32("bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"); // 0x59948439…
 * ```
 */
export function contentIdToBytes32(cid: string): string {
  const digest = parse(cid).multihash.digest;
  return `0x${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * The content id behind 32 bytes from the chain, as canonical text. The reverse of {@link contentIdToBytes32}.
 *
 * @throws StorageError `CONTENT_ID_INVALID` unless it is `0x` and 64 hex digits
 */
export function contentIdFromBytes32(hex: string): string {
  if (!/^0x[0-9a-fA-F]{64}$/.test(hex)) {
    throw new StorageError("CONTENT_ID_INVALID", `${JSON.stringify(hex)} is not 0x and 64 hex digits`);
  }
  const digest = Uint8Array.from({ length: 32 }, (_, index) =>
    Number.parseInt(hex.slice(2 + 2 * index, 4 + 2 * index), 16),
  );
  return CID.createV1(dagPb.code, createDigest(sha256.code, digest)).toString();
}

/**
 * A content id in binary, as messages of programs may carry it.
 *
 * @returns 36 bytes
 * @throws StorageError `CONTENT_ID_INVALID`
 */
export function contentIdToBinary(cid: string): Uint8Array {
  return parse(cid).bytes;
}

/**
 * The content id behind its binary form, as canonical text. The reverse of {@link contentIdToBinary}.
 *
 * @throws StorageError `CONTENT_ID_INVALID`
 */
export function contentIdFromBinary(bytes: Uint8Array): string {
  let cid: CID;
  try {
    cid = CID.decode(bytes);
  } catch (cause) {
    throw new StorageError("CONTENT_ID_INVALID", `${bytes.length} bytes are no IPFS content id`, { cause });
  }
  return parse(cid.toString()).toString();
}

/**
 * Refuses paths that could mean something else on another system, or escape the folder they are written to:
 * empty ones, absolute ones, segments that are empty, `.` or `..`, NUL, backslashes, broken Unicode, and what
 * exceeds {@link maxPathBytes}, {@link maxNameBytes} or {@link maxPathDepth}.
 *
 * @throws StorageError `DIRECTORY_INVALID`
 */
export function checkPath(path: string): void {
  const problem = pathProblem(path);
  if (problem) {
    throw new StorageError("DIRECTORY_INVALID", `the path ${JSON.stringify(path.slice(0, 200))} ${problem}`, {
      details: { path: path.slice(0, 200) },
      fix: "Use relative paths with / between names.",
    });
  }
}

function pathProblem(path: string): string | undefined {
  if (path === "") return "is empty";
  if (path.length > maxPathBytes || utf8.encode(path).length > maxPathBytes)
    return `is longer than ${maxPathBytes} bytes`;
  const names = path.split("/");
  if (names.length > maxPathDepth) return `is deeper than ${maxPathDepth}`;
  for (const name of names) {
    const problem = nameProblem(name);
    if (problem) return problem;
  }
  return undefined;
}

function nameProblem(name: string): string | undefined {
  if (name === "") return "has an empty name in it";
  if (name === "." || name === "..") return `has ${JSON.stringify(name)} in it`;
  if (/[\0\\/]/.test(name)) return "has a NUL, slash or backslash in a name";
  if (/\p{Surrogate}/u.test(name)) return "is not well-formed Unicode";
  if (utf8.encode(name).length > maxNameBytes) return `has a name longer than ${maxNameBytes} bytes`;
  return undefined;
}

/**
 * Refuses directories that have no single meaning: bad paths, and files that are also folders (`a` and `a/b`).
 *
 * @throws StorageError `DIRECTORY_INVALID`
 */
export function checkDirectory(directory: DirectorySource): void {
  for (const path of directory.keys()) {
    checkPath(path);
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
      const folder = path.slice(0, slash);
      if (directory.has(folder)) {
        throw new StorageError(
          "DIRECTORY_INVALID",
          `${JSON.stringify(folder)} is both a file and the folder of ${JSON.stringify(path)}`,
          {
            details: { path, folder },
          },
        );
      }
    }
  }
}

/**
 * Turns a directory into blocks by the {@link importProfile}.
 *
 * @param put - takes each block; called concurrently, possibly more than once with the same block
 * @returns the root; its block has been put like any other
 * @throws StorageError `DIRECTORY_INVALID`, and whatever `put` throws
 */
export async function importDirectory(
  directory: DirectorySource,
  put: (block: Block) => Promise<void>,
  options: { signal?: AbortSignal } = {},
): Promise<CID> {
  checkDirectory(directory);
  const store = {
    async put(cid: CID, bytes: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<CID> {
      options.signal?.throwIfAborted();
      if (!(bytes instanceof Uint8Array)) throw new TypeError("the importer gave a stream for a block");
      await put({ cid, bytes });
      return cid;
    },
  };
  options.signal?.throwIfAborted();
  if (directory.size === 0) {
    const cid = CID.createV1(dagPb.code, await sha256.digest(emptyFolder));
    return store.put(cid, emptyFolder);
  }
  // Sorted, so that nothing about the result can hang on the order of the map.
  const candidates = [...directory.keys()].sort().map((path) => ({ path, content: directory.get(path)! }));
  const profile: ImporterOptions = {
    cidVersion: importProfile.cidVersion,
    rawLeaves: importProfile.rawLeaves,
    reduceSingleLeafToSelf: true,
    chunker: fixedSize({ chunkSize: importProfile.chunkBytes }),
    layout: balanced({ maxChildrenPerNode: importProfile.maxChildren }),
    shardSplitStrategy: "block-bytes",
    shardSplitThresholdBytes: importProfile.shardThresholdBytes,
    shardFanoutBits: importProfile.shardFanoutBits,
    fieldOrder: "links-first",
    wrapWithDirectory: importProfile.wrapWithDirectory,
  };
  let root: CID | undefined;
  for await (const entry of importer(candidates, store, profile)) root = entry.cid;
  return root!;
}

/**
 * The content id a directory has, without storing it.
 *
 * @returns canonical text
 * @throws StorageError `DIRECTORY_INVALID`
 *
 * @example
 * ```ts
 * await computeContentId(new Map()); // bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354
 * ```
 */
export async function computeContentId(
  directory: DirectorySource,
  options: { signal?: AbortSignal } = {},
): Promise<string> {
  return (await importDirectory(directory, async () => {}, options)).toString();
}

/**
 * What reading may cost in blocks, from the caps on content: without it, a graph of empty or repeated blocks could
 * keep a reader busy for ever without a byte of content.
 *
 * @returns `blocks`, how many may be visited, repeats counted; `bytes`, how many they may have together
 */
export function blockBudget({ maxBytes, maxFiles = defaultMaxFiles }: { maxBytes: number; maxFiles?: number }): {
  blocks: number;
  bytes: number;
} {
  return {
    // Chunks of 4 KiB are the smallest taken at length; ours have 1 MiB.
    blocks: 1024 + 4 * maxFiles + Math.ceil(maxBytes / 4096),
    // An entry is a name and some sixty bytes; a chunk costs its parent as much.
    bytes: 64 * 1024 + maxFiles * 1024 + Math.ceil((maxBytes * 17) / 16),
  };
}

function tooLarge(what: string, details: Record<string, number | string>): StorageError {
  return new StorageError("CONTENT_TOO_LARGE", what, { details, fix: "Raise the cap if the content is wanted." });
}

function invalid(what: string, cid: CID, details: Record<string, string | number> = {}): StorageError {
  return new StorageError("CONTENT_INVALID", what, { details: { cid: cid.toString(), ...details } });
}

/** One walk over untrusted content: everything it reads goes through here and is counted. */
class Reading {
  readonly #source: BlockSource;
  readonly #signal: AbortSignal | undefined;
  readonly #budget: { blocks: number; bytes: number };
  readonly #maxBytes: number;
  #contentBytes = 0;

  constructor(
    source: BlockSource,
    options: { maxBytes: number; budget: { blocks: number; bytes: number }; signal?: AbortSignal },
  ) {
    this.#source = source;
    this.#signal = options.signal;
    this.#maxBytes = options.maxBytes;
    this.#budget = { ...options.budget };
  }

  get contentBytes(): number {
    return this.#contentBytes;
  }

  async block(cid: CID): Promise<Uint8Array> {
    this.#signal?.throwIfAborted();
    assertReadableBlock(cid);
    if (--this.#budget.blocks < 0)
      throw tooLarge("the content has too many blocks for its size", { cid: cid.toString() });
    const bytes = await this.#source(cid, { signal: this.#signal });
    this.#budget.bytes -= bytes.length;
    if (this.#budget.bytes < 0)
      throw tooLarge("the content's blocks are too large for what is in them", { cid: cid.toString() });
    return bytes;
  }

  async node(cid: CID): Promise<Node> {
    const bytes = await this.block(cid);
    if (cid.code === raw.code) return { type: "file", data: bytes, links: [], sizes: [] };
    const { Data, Links } = decodeNode(cid, bytes);
    if (!Data) throw invalid(`block ${cid} is no UnixFS node`, cid);
    let unixfs: UnixFS;
    try {
      unixfs = UnixFS.unmarshal(Data);
    } catch (cause) {
      throw new StorageError("CONTENT_INVALID", `block ${cid} is no UnixFS node`, {
        details: { cid: cid.toString() },
        cause,
      });
    }
    const links = Links.map((link) => ({ cid: link.Hash, name: link.Name ?? "" }));
    switch (unixfs.type) {
      case "file":
      case "raw":
        return { type: "file", data: unixfs.data ?? new Uint8Array(), links, sizes: unixfs.blockSizes };
      case "directory":
        return { type: "folder", sharded: false, entries: links, shards: [] };
      case "hamt-sharded-directory":
        return shardedFolder(cid, unixfs, links);
      default:
        // Symbolic links above all: nothing that is written to disk may point out of its folder.
        throw invalid(`block ${cid} is a ${unixfs.type}; only plain files and folders are taken`, cid, {
          type: unixfs.type,
        });
    }
  }

  /** A part of a sharded folder. */
  async shard(cid: CID): Promise<FolderNode> {
    const node = await this.node(cid);
    if (node.type !== "folder" || !node.sharded)
      throw invalid(`block ${cid} is used as a shard of a folder but is none`, cid);
    return node;
  }

  /** The content of a file, checked against the sizes its nodes declare. */
  async file(cid: CID, node: FileNode): Promise<Uint8Array> {
    const length = this.#declared(cid, node);
    // Most files are one block: no copy of it then.
    if (node.links.length === 0 && node.sizes.length === 0) {
      this.#contentBytes += length;
      return node.data;
    }
    const content = new Uint8Array(length);
    let position = 0;
    for await (const piece of this.pieces(cid, node)) {
      content.set(piece, position);
      position += piece.length;
    }
    return content;
  }

  #declared(cid: CID, node: FileNode): number {
    const declared = node.sizes.reduce((sum, size) => sum + size, BigInt(node.data.length));
    if (declared > BigInt(this.#maxBytes - this.#contentBytes)) {
      throw tooLarge(`the content has more than ${this.#maxBytes} bytes`, {
        maxBytes: this.#maxBytes,
        cid: cid.toString(),
      });
    }
    return Number(declared);
  }

  /** The content of a file, block by block. */
  async *pieces(cid: CID, node: FileNode): AsyncGenerator<Uint8Array, void, undefined> {
    const length = this.#declared(cid, node);
    let position = 0;
    // Each piece says where it must start, so a piece that is longer or shorter than declared shows at the next.
    const due: { cid: CID; start: bigint; node?: FileNode }[] = [{ cid, start: 0n, node }];
    for (let piece = due.pop(); piece; piece = due.pop()) {
      if (piece.start !== BigInt(position)) throw invalid(`a part of file ${cid} has another size than declared`, cid);
      const part = piece.node ?? (await this.node(piece.cid));
      if (part.type !== "file") throw invalid(`a folder is used as a part of file ${cid}`, cid);
      if (part.links.length !== part.sizes.length)
        throw invalid(`file ${cid} does not declare the sizes of its parts`, cid);
      if (position + part.data.length > length) throw invalid(`file ${cid} is longer than declared`, cid);
      position += part.data.length;
      if (part.data.length > 0) yield part.data;
      let start = BigInt(position);
      const parts = part.links.map((link, index) => {
        const from = start;
        start += part.sizes[index]!;
        return { cid: link.cid, start: from };
      });
      due.push(...parts.reverse());
    }
    if (position !== length) throw invalid(`file ${cid} is shorter than declared`, cid);
    this.#contentBytes += length;
  }
}

interface Entry {
  cid: CID;
  name: string;
}
interface FileNode {
  type: "file";
  data: Uint8Array;
  links: readonly Entry[];
  sizes: readonly bigint[];
}
interface FolderNode {
  type: "folder";
  /** Whether it is a HAMT; only a HAMT's own kind can be a part of it. */
  sharded: boolean;
  entries: readonly Entry[];
  /** Parts of the same folder that are nodes of their own. */
  shards: readonly CID[];
}
type Node = FileNode | FolderNode;

/** Names in a HAMT start with the bucket's number in hex; a name of nothing else is a deeper shard. */
function shardedFolder(cid: CID, unixfs: UnixFS, links: readonly Entry[]): FolderNode {
  const fanout = unixfs.fanout ?? 0n;
  if (fanout < 2n || fanout > 1024n) throw invalid(`folder ${cid} is sharded by ${fanout}`, cid);
  const prefix = (fanout - 1n).toString(16).length;
  if (links.some(({ name }) => name.length < prefix)) throw invalid(`folder ${cid} has an entry without a bucket`, cid);
  return {
    type: "folder",
    sharded: true,
    entries: links
      .filter(({ name }) => name.length > prefix)
      .map((link) => ({ cid: link.cid, name: link.name.slice(prefix) })),
    shards: links.filter(({ name }) => name.length === prefix).map((link) => link.cid),
  };
}

function checkEntryName(name: string, folder: CID): void {
  const problem = nameProblem(name);
  if (problem) throw invalid(`a path ${problem}: ${JSON.stringify(name.slice(0, 200))}`, folder);
}

/**
 * Reads a directory out of verified blocks that somebody made who is not trusted.
 *
 * Our own walk instead of a UnixFS library's: it must end on every input, count what it visits and not only what
 * it yields, and refuse what does not fit what it declares.
 *
 * @throws StorageError `CONTENT_INVALID`, `CONTENT_TOO_LARGE`, and whatever `source` throws
 */
export async function readDirectory(root: CID, source: BlockSource, options: GetOptions): Promise<Directory> {
  const maxFiles = options.maxFiles ?? defaultMaxFiles;
  const reading = new Reading(source, { ...options, budget: blockBudget(options) });
  const directory = new Map<string, Uint8Array>();
  const paths = new Set<string>();
  const due: { cid: CID; path: string; part: "root" | "entry" | "shard" }[] = [{ cid: root, path: "", part: "root" }];
  for (let item = due.pop(); item; item = due.pop()) {
    const { cid, path, part } = item;
    const node = part === "shard" ? await reading.shard(cid) : await reading.node(cid);
    if (node.type === "file") {
      if (part !== "entry") throw invalid(`${cid} is a file, not a directory`, cid);
      directory.set(path, await reading.file(cid, node));
      options.onProgress?.({ bytes: reading.contentBytes, files: directory.size });
      continue;
    }
    if (paths.size + node.entries.length > maxFiles) {
      throw tooLarge(`the directory has more than ${maxFiles} entries`, { maxFiles, cid: root.toString() });
    }
    const inside: typeof due = node.shards.map((shardCid) => ({ cid: shardCid, path, part: "shard" }));
    for (const entry of node.entries) {
      checkEntryName(entry.name, cid);
      const entryPath = path === "" ? entry.name : `${path}/${entry.name}`;
      const problem = pathProblem(entryPath);
      if (problem) throw invalid(`a path ${problem}`, cid);
      if (paths.has(entryPath)) throw invalid(`the path ${JSON.stringify(entryPath)} is there twice`, cid);
      paths.add(entryPath);
      inside.push({ cid: entry.cid, path: entryPath, part: "entry" });
    }
    due.push(...inside.reverse());
  }
  return directory;
}

/** What {@link readFile} may read of folders on its way, which the caller's cap on the file says nothing about. */
const maxFolderBytes = 64 * 1024 * 1024;

/**
 * Reads one file of a directory; of the rest only the folders on the way.
 *
 * @throws StorageError `DIRECTORY_INVALID` on a bad path, `CONTENT_PATH_NOT_FOUND`, `CONTENT_INVALID`,
 * `CONTENT_TOO_LARGE`, and whatever `source` throws
 */
export async function readFile(
  root: CID,
  path: string,
  source: BlockSource,
  options: { maxBytes: number; signal?: AbortSignal },
): Promise<Uint8Array> {
  const { reading, cid, node } = await openFile(root, path, source, options);
  return reading.file(cid, node);
}

/**
 * As {@link readFile}, block by block, for files larger than memory.
 *
 * @throws as {@link readFile}, at the block it is about
 */
export async function* streamFile(
  root: CID,
  path: string,
  source: BlockSource,
  options: { maxBytes: number; signal?: AbortSignal },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { reading, cid, node } = await openFile(root, path, source, options);
  yield* reading.pieces(cid, node);
}

async function openFile(
  root: CID,
  path: string,
  source: BlockSource,
  options: { maxBytes: number; signal?: AbortSignal },
): Promise<{ reading: Reading; cid: CID; node: FileNode }> {
  checkPath(path);
  const budget = blockBudget(options);
  const reading = new Reading(source, {
    ...options,
    budget: { blocks: budget.blocks + maxFolderBytes / 1024, bytes: budget.bytes + maxFolderBytes },
  });
  const missing = new StorageError("CONTENT_PATH_NOT_FOUND", `${root} has no file ${JSON.stringify(path)}`, {
    details: { cid: root.toString(), path },
  });
  let cid = root;
  let node = await reading.node(cid);
  if (node.type === "file") throw invalid(`${cid} is a file, not a directory`, cid);
  for (const name of path.split("/")) {
    if (node.type === "file") throw missing;
    const entry = await findEntry(reading, cid, node, name);
    if (!entry) throw missing;
    cid = entry.cid;
    node = await reading.node(cid);
  }
  if (node.type !== "file") throw missing;
  return { reading, cid, node };
}

async function findEntry(reading: Reading, folder: CID, node: FolderNode, name: string): Promise<Entry | undefined> {
  const due = [node];
  for (let part = due.shift(); part; part = due.shift()) {
    const found = part.entries.filter((entry) => entry.name === name);
    if (found.length > 1) throw invalid(`the name ${JSON.stringify(name)} is there twice`, folder);
    if (found[0]) return found[0];
    for (const shardCid of part.shards) {
      const deeper = await reading.shard(shardCid);
      const match = deeper.entries.find((entry) => entry.name === name);
      if (match) return match;
      due.push({ ...deeper, entries: [] });
    }
  }
  return undefined;
}
