/**
 * Whole files of `/in` and `/out`, over bare WASI calls.
 *
 * A WASI program names a file relative to a folder that its host opened for it. Which descriptor stands for which folder
 * is the host's choice, so it is looked up.
 */
import {
  errno,
  errnoToString,
  fd_close,
  fd_filestat_get,
  fd_prestat_dir_name,
  fd_prestat_get,
  fd_read,
  fd_write,
  filestat,
  oflags,
  path_create_directory,
  path_open,
  prestat,
  rights,
} from "bindings/wasi_snapshot_preview1";

/** Folders of the host come right after standard input, output and error. */
const FIRST_FOLDER: u32 = 3;

/** Scratch memory for results, and one pair of address and length for transfers. */
const result = memory.data(8);
const transfer = memory.data(8);

/** The file, or null if there is none. */
export function tryReadFile(path: string): Uint8Array | null {
  const outcome = open(path, 0, rights.FD_READ | rights.FD_SEEK | rights.FD_FILESTAT_GET);
  if (outcome == errno.NOENT || outcome == errno.NOTDIR) return null;
  check(outcome, path);
  const file = load<u32>(result);
  const status = new StaticArray<u8>(<i32>offsetof<filestat>());
  check(fd_filestat_get(file, changetype<filestat>(status)), path);
  const size = <i32>changetype<filestat>(status).size;
  const content = new Uint8Array(size);
  let done = 0;
  while (done < size) {
    store<usize>(transfer, content.dataStart + done);
    store<usize>(transfer, size - done, 4);
    check(fd_read(file, transfer, 1, result), path);
    const moved = load<i32>(result);
    if (moved == 0) throw new Error(path + " ended early");
    done += moved;
  }
  check(fd_close(file), path);
  return content;
}

/** The file; the program ends if there is none. */
export function readFile(path: string): Uint8Array {
  const content = tryReadFile(path);
  if (content == null) throw new Error(path + ": there is no such file");
  return content;
}

/** Creates or replaces a file. */
export function writeFile(path: string, content: Uint8Array): void {
  check(open(path, oflags.CREAT | oflags.TRUNC, rights.FD_WRITE), path);
  const file = load<u32>(result);
  let done = 0;
  while (done < content.length) {
    store<usize>(transfer, content.dataStart + done);
    store<usize>(transfer, content.length - done, 4);
    check(fd_write(file, transfer, 1, result), path);
    done += load<i32>(result);
  }
  check(fd_close(file), path);
}

/** Makes a folder, unless it is there. */
export function makeFolder(path: string): void {
  const slash = path.indexOf("/", 1);
  const name = String.UTF8.encode(path.substring(slash + 1));
  const folder = folderDescriptor(path.substring(0, slash));
  const outcome = path_create_directory(folder, changetype<usize>(name), name.byteLength);
  if (outcome != errno.EXIST) check(outcome, path);
}

/** Leaves the descriptor in `result`. */
function open(path: string, flags: u16, wanted: u64): u16 {
  const slash = path.indexOf("/", 1);
  const folder = folderDescriptor(path.substring(0, slash));
  const name = String.UTF8.encode(path.substring(slash + 1));
  return path_open(folder, 0, changetype<usize>(name), name.byteLength, flags, wanted, 0, 0, result);
}

function folderDescriptor(folder: string): u32 {
  let descriptor = FIRST_FOLDER;
  while (true) {
    // The answer is a tag word, then the length of the folder's name.
    const outcome = fd_prestat_get(descriptor, changetype<prestat>(result));
    if (outcome != errno.SUCCESS) throw new Error("the host opened no folder " + folder);
    const length = load<usize>(result, 4);
    const name = new ArrayBuffer(<i32>length);
    check(fd_prestat_dir_name(descriptor, changetype<usize>(name), length), folder);
    if (String.UTF8.decode(name, true) == folder) return descriptor;
    descriptor++;
  }
}

function check(outcome: u16, path: string): void {
  if (outcome != errno.SUCCESS) throw new Error(path + ": " + errnoToString(outcome));
}
