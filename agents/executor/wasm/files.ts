import { Fd, wasi } from "@bjorn3/browser_wasi_shim";
import type { LimitName } from "../executor.ts";
import { deepestFolder, isPermittedPath } from "../task.ts";

/** Thrown through the program to end it: a limit was reached. */
export class LimitReached extends Error {
  readonly limit: LimitName;

  constructor(limit: LimitName) {
    super(`limit reached: ${limit}`);
    this.limit = limit;
  }
}

/** Longest path a program may name, in bytes. */
export const longestPath = 4096;

/** Counts what a task holds in `/out` and has written to its streams, and ends it when that is too much. */
export class OutputBudget {
  private readonly bytes: number;
  private bytesLeft: number;
  private filesLeft: number;

  constructor(bytes: number, files: number) {
    this.bytes = bytes;
    this.bytesLeft = bytes;
    this.filesLeft = files;
  }

  /** Bytes held. */
  get bytesTaken(): number {
    return this.bytes - this.bytesLeft;
  }

  takeBytes(count: number): void {
    if (count > this.bytesLeft) throw new LimitReached("output");
    this.bytesLeft -= count;
  }

  returnBytes(count: number): void {
    this.bytesLeft += count;
  }

  takeFile(): void {
    if (this.filesLeft === 0) throw new LimitReached("files");
    this.filesLeft--;
  }

  returnFile(): void {
    this.filesLeft++;
  }
}

/** What files need to know of the task they belong to. */
export interface FileSystem {
  budget: OutputBudget;
  /** Charges the program for work the host does on its behalf. */
  charge(units: number): void;
  /** Numbers files in the order in which they appear, so that they are the same in every run. */
  nextInode: bigint;
}

/** Bytes that grow without being copied at each write. */
class GrowingBytes {
  private buffer: Uint8Array;
  length: number;

  constructor(initial: Uint8Array) {
    this.buffer = initial;
    this.length = initial.length;
  }

  view(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  resize(length: number): void {
    if (length > this.buffer.length) {
      const larger = new Uint8Array(Math.max(length, this.buffer.length * 2, 256));
      larger.set(this.view());
      this.buffer = larger;
    } else if (length < this.length) this.buffer.fill(0, length, this.length);
    this.length = length;
  }

  write(at: number, data: Uint8Array): void {
    if (at + data.length > this.length) this.resize(at + data.length);
    this.buffer.set(data, at);
  }
}

/** A regular file in memory. */
export class RegularFile {
  readonly inode: bigint;
  readonly writable: boolean;
  private readonly system: FileSystem;
  private readonly content: GrowingBytes;
  private handles = 0;
  private linked = true;

  constructor(system: FileSystem, content: Uint8Array, writable: boolean) {
    this.system = system;
    this.inode = system.nextInode++;
    this.writable = writable;
    this.content = new GrowingBytes(content);
  }

  get size(): number {
    return this.content.length;
  }

  get bytes(): Uint8Array {
    return this.content.view();
  }

  resize(size: number): void {
    const more = size - this.size;
    if (more > 0) this.system.budget.takeBytes(more);
    this.system.charge(Math.floor(Math.abs(more) / 8));
    this.content.resize(size);
    if (more < 0) this.system.budget.returnBytes(-more);
  }

  write(at: number, data: Uint8Array): void {
    if (at + data.length > this.size) this.resize(at + data.length);
    this.content.write(at, data);
  }

  opened(): void {
    this.handles++;
  }

  closed(): void {
    this.handles--;
    this.release();
  }

  unlink(): void {
    this.linked = false;
    this.release();
  }

  /** An unlinked file holds memory for as long as somebody has it open, and counts for as long. */
  private release(): void {
    if (this.linked || this.handles > 0) return;
    this.system.budget.returnBytes(this.size);
    this.content.resize(0);
  }

  stat(): wasi.Filestat {
    return new wasi.Filestat(this.inode, wasi.FILETYPE_REGULAR_FILE, BigInt(this.size));
  }
}

/** A folder in memory. */
export class Folder {
  readonly inode: bigint;
  readonly writable: boolean;
  readonly entries = new Map<string, RegularFile | Folder>();
  parent: Folder | undefined;

  constructor(system: FileSystem, parent: Folder | undefined, writable: boolean) {
    this.inode = system.nextInode++;
    this.parent = parent;
    this.writable = writable;
  }

  get depth(): number {
    return this.parent === undefined ? 0 : this.parent.depth + 1;
  }

  stat(): wasi.Filestat {
    return new wasi.Filestat(this.inode, wasi.FILETYPE_DIRECTORY, 0n);
  }

  /** Regular files below, by relative path, in the order of their paths. */
  collect(): Map<string, Uint8Array> {
    const found: [string, Uint8Array][] = [];
    const visit = (folder: Folder, prefix: string): void => {
      for (const [name, entry] of folder.entries) {
        if (entry instanceof Folder) visit(entry, `${prefix}${name}/`);
        else found.push([prefix + name, entry.bytes.slice()]);
      }
    };
    visit(this, "");
    return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** The read-only folder with a task's input, its entries in the order of their paths. */
export function inputFolder(system: FileSystem, input: ReadonlyMap<string, Uint8Array>): Folder {
  const root = new Folder(system, undefined, false);
  for (const path of [...input.keys()].sort()) {
    const names = path.split("/");
    const name = names.pop()!;
    let folder = root;
    for (const part of names) {
      let next = folder.entries.get(part);
      if (next === undefined) folder.entries.set(part, (next = new Folder(system, folder, false)));
      folder = next as Folder;
    }
    folder.entries.set(name, new RegularFile(system, input.get(path)!, false));
  }
  return root;
}

const allRights = (1n << 30n) - 1n;

function descriptorStatus(type: number, flags: number, rights: bigint): { ret: number; fdstat: wasi.Fdstat } {
  const status = new wasi.Fdstat(type, flags);
  status.fs_rights_base = rights;
  status.fs_rights_inherited = rights;
  return { ret: wasi.ERRNO_SUCCESS, fdstat: status };
}

const noData = new Uint8Array(0);

/** Standard input: empty. */
export class EmptyInput extends Fd {
  override fd_read(): { ret: number; data: Uint8Array } {
    return { ret: wasi.ERRNO_SUCCESS, data: noData };
  }

  override fd_fdstat_get(): { ret: number; fdstat: wasi.Fdstat } {
    return descriptorStatus(wasi.FILETYPE_CHARACTER_DEVICE, 0, BigInt(wasi.RIGHTS_FD_READ));
  }

  override fd_filestat_get(): { ret: number; filestat: wasi.Filestat } {
    return { ret: wasi.ERRNO_SUCCESS, filestat: new wasi.Filestat(0n, wasi.FILETYPE_CHARACTER_DEVICE, 0n) };
  }

  override fd_fdstat_set_flags(): number {
    return wasi.ERRNO_SUCCESS;
  }
}

/** Standard output or standard error. */
export class OutputStream extends Fd {
  private readonly system: FileSystem;
  private readonly content = new GrowingBytes(noData);

  constructor(system: FileSystem) {
    super();
    this.system = system;
  }

  get bytes(): Uint8Array {
    return this.content.view();
  }

  override fd_write(data: Uint8Array): { ret: number; nwritten: number } {
    this.system.budget.takeBytes(data.length);
    this.content.write(this.content.length, data);
    return { ret: wasi.ERRNO_SUCCESS, nwritten: data.length };
  }

  override fd_fdstat_get(): { ret: number; fdstat: wasi.Fdstat } {
    return descriptorStatus(wasi.FILETYPE_CHARACTER_DEVICE, wasi.FDFLAGS_APPEND, BigInt(wasi.RIGHTS_FD_WRITE));
  }

  override fd_filestat_get(): { ret: number; filestat: wasi.Filestat } {
    return { ret: wasi.ERRNO_SUCCESS, filestat: new wasi.Filestat(0n, wasi.FILETYPE_CHARACTER_DEVICE, 0n) };
  }

  override fd_fdstat_set_flags(): number {
    return wasi.ERRNO_SUCCESS;
  }
}

const mostOffset = BigInt(Number.MAX_SAFE_INTEGER);

/** A regular file that the program has open. */
export class OpenRegularFile extends Fd {
  readonly file: RegularFile;
  private position = 0n;
  private flags: number;

  constructor(file: RegularFile, flags: number) {
    super();
    this.file = file;
    this.flags = flags;
    file.opened();
  }

  override fd_close(): number {
    this.file.closed();
    return wasi.ERRNO_SUCCESS;
  }

  override fd_fdstat_get(): { ret: number; fdstat: wasi.Fdstat } {
    const rights = this.file.writable ? allRights : allRights & ~BigInt(wasi.RIGHTS_FD_WRITE);
    return descriptorStatus(wasi.FILETYPE_REGULAR_FILE, this.flags, rights);
  }

  override fd_fdstat_set_flags(flags: number): number {
    this.flags = flags;
    return wasi.ERRNO_SUCCESS;
  }

  override fd_filestat_get(): { ret: number; filestat: wasi.Filestat } {
    return { ret: wasi.ERRNO_SUCCESS, filestat: this.file.stat() };
  }

  override fd_filestat_set_size(size: bigint): number {
    if (!this.file.writable) return wasi.ERRNO_BADF;
    if (size < 0n) return wasi.ERRNO_INVAL;
    if (size > mostOffset) throw new LimitReached("output");
    this.file.resize(Number(size));
    return wasi.ERRNO_SUCCESS;
  }

  override fd_filestat_set_times(): number {
    return this.file.writable ? wasi.ERRNO_SUCCESS : wasi.ERRNO_ROFS;
  }

  override fd_allocate(offset: bigint, length: bigint): number {
    const size = BigInt.asUintN(64, offset) + BigInt.asUintN(64, length);
    return size > BigInt(this.file.size) ? this.fd_filestat_set_size(size) : wasi.ERRNO_SUCCESS;
  }

  override fd_read(size: number): { ret: number; data: Uint8Array } {
    const read = this.fd_pread(size, this.position);
    this.position += BigInt(read.data.length);
    return read;
  }

  override fd_pread(size: number, offset: bigint): { ret: number; data: Uint8Array } {
    const from = BigInt.asUintN(64, offset);
    if (from >= BigInt(this.file.size)) return { ret: wasi.ERRNO_SUCCESS, data: noData };
    return { ret: wasi.ERRNO_SUCCESS, data: this.file.bytes.subarray(Number(from), Number(from) + size) };
  }

  override fd_write(data: Uint8Array): { ret: number; nwritten: number } {
    if (this.flags & wasi.FDFLAGS_APPEND) this.position = BigInt(this.file.size);
    const written = this.fd_pwrite(data, this.position);
    this.position += BigInt(written.nwritten);
    return written;
  }

  override fd_pwrite(data: Uint8Array, offset: bigint): { ret: number; nwritten: number } {
    if (!this.file.writable) return { ret: wasi.ERRNO_BADF, nwritten: 0 };
    const at = BigInt.asUintN(64, offset);
    if (data.length === 0) return { ret: wasi.ERRNO_SUCCESS, nwritten: 0 };
    if (at > mostOffset) throw new LimitReached("output");
    this.file.write(Number(at), data);
    return { ret: wasi.ERRNO_SUCCESS, nwritten: data.length };
  }

  override fd_seek(offset: bigint, whence: number): { ret: number; offset: bigint } {
    const base =
      whence === wasi.WHENCE_SET
        ? 0n
        : whence === wasi.WHENCE_CUR
          ? this.position
          : whence === wasi.WHENCE_END
            ? BigInt(this.file.size)
            : undefined;
    if (base === undefined || base + offset < 0n || base + offset >= 1n << 63n) {
      return { ret: wasi.ERRNO_INVAL, offset: 0n };
    }
    this.position = base + offset;
    return { ret: wasi.ERRNO_SUCCESS, offset: this.position };
  }

  override fd_tell(): { ret: number; offset: bigint } {
    return { ret: wasi.ERRNO_SUCCESS, offset: this.position };
  }
}

type Found =
  | { error: number }
  | { error: 0; folder: Folder; name: string; entry: RegularFile | Folder | undefined; mustBeFolder: boolean };

/** A folder that the program has open; `name` is set on the two it starts with. */
export class OpenFolder extends Fd {
  readonly folder: Folder;
  private readonly system: FileSystem;
  private readonly root: Folder;
  private readonly name: string | undefined;
  /** Taken when a listing begins, so that changes meanwhile cannot make it skip or repeat. */
  private listing: [string, RegularFile | Folder][] = [];

  constructor(system: FileSystem, folder: Folder, root: Folder, name?: string) {
    super();
    this.system = system;
    this.folder = folder;
    this.root = root;
    this.name = name;
  }

  override fd_prestat_get(): { ret: number; prestat: wasi.Prestat | null } {
    if (this.name === undefined) return { ret: wasi.ERRNO_BADF, prestat: null };
    return { ret: wasi.ERRNO_SUCCESS, prestat: wasi.Prestat.dir(this.name) };
  }

  override fd_fdstat_get(): { ret: number; fdstat: wasi.Fdstat } {
    return descriptorStatus(wasi.FILETYPE_DIRECTORY, 0, allRights);
  }

  override fd_fdstat_set_flags(): number {
    return wasi.ERRNO_SUCCESS;
  }

  override fd_filestat_get(): { ret: number; filestat: wasi.Filestat } {
    return { ret: wasi.ERRNO_SUCCESS, filestat: this.folder.stat() };
  }

  override fd_read(): { ret: number; data: Uint8Array } {
    return { ret: wasi.ERRNO_ISDIR, data: noData };
  }

  override fd_write(): { ret: number; nwritten: number } {
    return { ret: wasi.ERRNO_ISDIR, nwritten: 0 };
  }

  override fd_readdir_single(cookie: bigint): { ret: number; dirent: wasi.Dirent | null } {
    this.system.charge(64);
    const entry = (name: string, inode: bigint, type: number): { ret: number; dirent: wasi.Dirent } => ({
      ret: wasi.ERRNO_SUCCESS,
      dirent: new wasi.Dirent(cookie + 1n, inode, name, type),
    });
    if (cookie === 0n) {
      this.system.charge(this.folder.entries.size * 8);
      this.listing = [...this.folder.entries];
      return entry(".", this.folder.inode, wasi.FILETYPE_DIRECTORY);
    }
    if (cookie === 1n) return entry("..", (this.folder.parent ?? this.folder).inode, wasi.FILETYPE_DIRECTORY);
    const listed = this.listing[Number(BigInt.asUintN(64, cookie)) - 2];
    if (listed === undefined) return { ret: wasi.ERRNO_SUCCESS, dirent: null };
    return entry(listed[0], listed[1].inode, listed[1].stat().filetype);
  }

  /** Follows `path` to the folder that holds its last name. `..` leads up to the mount at most. */
  find(path: string): Found {
    if (path.startsWith("/")) return { error: wasi.ERRNO_NOTCAPABLE };
    const parts = path.split("/");
    this.system.charge(16 * parts.length);
    const mustBeFolder = path.endsWith("/");
    let folder = this.folder;
    let name = ".";
    let entry: RegularFile | Folder | undefined = folder;
    for (const part of parts) {
      if (part === "" || part === ".") continue;
      if (entry === undefined) return { error: wasi.ERRNO_NOENT };
      if (!(entry instanceof Folder)) return { error: wasi.ERRNO_NOTDIR };
      folder = entry;
      if (part === "..") {
        if (folder === this.root || folder.parent === undefined) return { error: wasi.ERRNO_NOTCAPABLE };
        entry = folder.parent;
        name = ".";
        continue;
      }
      name = part;
      entry = folder.entries.get(part);
    }
    return { error: 0, folder, name, entry, mustBeFolder };
  }

  private create(found: Extract<Found, { error: 0 }>, make: (parent: Folder) => RegularFile | Folder): number {
    if (!found.folder.writable) return wasi.ERRNO_ROFS;
    if (!isPermittedPath(found.name)) return wasi.ERRNO_INVAL;
    if (found.folder.depth >= deepestFolder) return wasi.ERRNO_NAMETOOLONG;
    this.system.budget.takeFile();
    found.folder.entries.set(found.name, make(found.folder));
    return wasi.ERRNO_SUCCESS;
  }

  override path_open(
    _lookup: number,
    path: string,
    openFlags: number,
    rights: bigint,
    _inheriting: bigint,
    flags: number,
  ): { ret: number; fd_obj: Fd | null } {
    const fail = (ret: number): { ret: number; fd_obj: null } => ({ ret, fd_obj: null });
    const found = this.find(path);
    if (!("folder" in found)) return fail(found.error);
    let { entry } = found;
    if (entry !== undefined && openFlags & wasi.OFLAGS_CREAT && openFlags & wasi.OFLAGS_EXCL) {
      return fail(wasi.ERRNO_EXIST);
    }
    if (entry === undefined) {
      if (!(openFlags & wasi.OFLAGS_CREAT)) return fail(wasi.ERRNO_NOENT);
      if (found.mustBeFolder || openFlags & wasi.OFLAGS_DIRECTORY) return fail(wasi.ERRNO_INVAL);
      const error = this.create(found, () => (entry = new RegularFile(this.system, noData, true)));
      if (error !== 0) return fail(error);
    }
    if (entry instanceof Folder) {
      if (openFlags & wasi.OFLAGS_TRUNC) return fail(wasi.ERRNO_ISDIR);
      return { ret: wasi.ERRNO_SUCCESS, fd_obj: new OpenFolder(this.system, entry, this.root) };
    }
    const file = entry!;
    if (found.mustBeFolder || openFlags & wasi.OFLAGS_DIRECTORY) return fail(wasi.ERRNO_NOTDIR);
    const writes = (rights & BigInt(wasi.RIGHTS_FD_WRITE)) !== 0n || (openFlags & wasi.OFLAGS_TRUNC) !== 0;
    if (writes && !file.writable) return fail(wasi.ERRNO_ROFS);
    if (openFlags & wasi.OFLAGS_TRUNC) file.resize(0);
    return { ret: wasi.ERRNO_SUCCESS, fd_obj: new OpenRegularFile(file, flags) };
  }

  override path_create_directory(path: string): number {
    const found = this.find(path);
    if (!("folder" in found)) return found.error;
    if (found.entry !== undefined) return wasi.ERRNO_EXIST;
    return this.create(found, (parent) => new Folder(this.system, parent, true));
  }

  override path_filestat_get(_flags: number, path: string): { ret: number; filestat: wasi.Filestat | null } {
    const found = this.find(path);
    if (!("folder" in found)) return { ret: found.error, filestat: null };
    if (found.entry === undefined) return { ret: wasi.ERRNO_NOENT, filestat: null };
    if (found.mustBeFolder && !(found.entry instanceof Folder)) return { ret: wasi.ERRNO_NOTDIR, filestat: null };
    return { ret: wasi.ERRNO_SUCCESS, filestat: found.entry.stat() };
  }

  override path_filestat_set_times(_flags: number, path: string): number {
    const found = this.find(path);
    if (!("folder" in found)) return found.error;
    if (found.entry === undefined) return wasi.ERRNO_NOENT;
    return found.entry.writable ? wasi.ERRNO_SUCCESS : wasi.ERRNO_ROFS;
  }

  override path_unlink_file(path: string): number {
    const found = this.find(path);
    if (!("folder" in found)) return found.error;
    if (found.entry === undefined) return wasi.ERRNO_NOENT;
    if (found.entry instanceof Folder) return wasi.ERRNO_ISDIR;
    if (found.mustBeFolder) return wasi.ERRNO_NOTDIR;
    if (!found.folder.writable) return wasi.ERRNO_ROFS;
    found.folder.entries.delete(found.name);
    found.entry.unlink();
    this.system.budget.returnFile();
    return wasi.ERRNO_SUCCESS;
  }

  override path_remove_directory(path: string): number {
    const found = this.find(path);
    if (!("folder" in found)) return found.error;
    if (found.entry === undefined) return wasi.ERRNO_NOENT;
    if (!(found.entry instanceof Folder)) return wasi.ERRNO_NOTDIR;
    if (found.name === ".") return wasi.ERRNO_INVAL;
    if (!found.folder.writable) return wasi.ERRNO_ROFS;
    if (found.entry.entries.size > 0) return wasi.ERRNO_NOTEMPTY;
    found.folder.entries.delete(found.name);
    this.system.budget.returnFile();
    return wasi.ERRNO_SUCCESS;
  }

  /** `path_rename`, with both folders at hand. */
  rename(oldPath: string, target: OpenFolder, newPath: string): number {
    const from = this.find(oldPath);
    if (!("folder" in from)) return from.error;
    const to = target.find(newPath);
    if (!("folder" in to)) return to.error;
    const moved = from.entry;
    if (moved === undefined) return wasi.ERRNO_NOENT;
    if (from.name === "." || to.name === ".") return wasi.ERRNO_INVAL;
    if (!from.folder.writable || !to.folder.writable) return wasi.ERRNO_ROFS;
    if (!isPermittedPath(to.name)) return wasi.ERRNO_INVAL;
    if (moved === to.entry) return wasi.ERRNO_SUCCESS;
    const movesFolder = moved instanceof Folder;
    if ((from.mustBeFolder || to.mustBeFolder) && !movesFolder) return wasi.ERRNO_NOTDIR;
    if (movesFolder) {
      for (let above: Folder | undefined = to.folder; above !== undefined; above = above.parent) {
        if (above === moved) return wasi.ERRNO_INVAL;
      }
      if (to.folder.depth + this.height(moved) > deepestFolder) return wasi.ERRNO_NAMETOOLONG;
    }
    if (to.entry !== undefined) {
      if (to.entry instanceof Folder) {
        if (!movesFolder) return wasi.ERRNO_ISDIR;
        if (to.entry.entries.size > 0) return wasi.ERRNO_NOTEMPTY;
      } else {
        if (movesFolder) return wasi.ERRNO_NOTDIR;
        to.entry.unlink();
      }
      this.system.budget.returnFile();
    }
    from.folder.entries.delete(from.name);
    to.folder.entries.set(to.name, moved);
    if (movesFolder) moved.parent = to.folder;
    return wasi.ERRNO_SUCCESS;
  }

  /** Levels of folders from `folder` down. */
  private height(folder: Folder): number {
    let highest = 0;
    this.system.charge(folder.entries.size);
    for (const entry of folder.entries.values()) {
      if (entry instanceof Folder) highest = Math.max(highest, this.height(entry));
    }
    return highest + 1;
  }
}
