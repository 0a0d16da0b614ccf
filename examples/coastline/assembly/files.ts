/**
 * Whole-file reading and writing over bare WASI calls.
 *
 * A WASI program names a file relative to a folder that its host opened for it beforehand. Which
 * descriptor stands for `/in` and which for `/out` is the host's choice, so it is looked up.
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
  path_open,
  prestat,
  rights,
} from "bindings/wasi_snapshot_preview1";

/** Host-opened folders come right after standard input, output and error. */
const FIRST_FOLDER: u32 = 3;

/** One word of scratch memory for results and one `{ address, length }` pair for transfers. */
const result = memory.data(8);
const transfer = memory.data(8);

/** Reads the whole file `path`, for example `/in/coast.bin`. Aborts if it cannot. */
export function readFile(path: string): StaticArray<u8> {
  const file = open(path, 0, rights.FD_READ | rights.FD_SEEK | rights.FD_FILESTAT_GET);
  const status = new StaticArray<u8>(<i32>offsetof<filestat>());
  check(fd_filestat_get(file, changetype<filestat>(status)), path);
  const size = <i32>changetype<filestat>(status).size;
  const content = new StaticArray<u8>(size);
  let done = 0;
  while (done < size) {
    store<usize>(transfer, changetype<usize>(content) + done);
    store<usize>(transfer, size - done, 4);
    check(fd_read(file, transfer, 1, result), path);
    const moved = load<i32>(result);
    if (moved == 0) throw new Error(path + " ended early");
    done += moved;
  }
  check(fd_close(file), path);
  return content;
}

/** Creates or replaces the file `path` with `size` bytes from `address`. Aborts if it cannot. */
export function writeFile(path: string, address: usize, size: i32): void {
  const file = open(path, oflags.CREAT | oflags.TRUNC, rights.FD_WRITE);
  let done = 0;
  while (done < size) {
    store<usize>(transfer, address + done);
    store<usize>(transfer, size - done, 4);
    check(fd_write(file, transfer, 1, result), path);
    done += load<i32>(result);
  }
  check(fd_close(file), path);
}

function open(path: string, flags: u16, wanted: u64): u32 {
  const slash = path.indexOf("/", 1);
  const folder = folderDescriptor(path.substring(0, slash));
  const name = String.UTF8.encode(path.substring(slash + 1));
  check(
    path_open(folder, 0, changetype<usize>(name), name.byteLength, flags, wanted, 0, 0, result),
    path,
  );
  return load<u32>(result);
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
