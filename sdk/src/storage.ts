import type { Directory, DirectorySource } from "./content.ts";
import { ExitStatus, SuretyError } from "./errors.ts";
import type { ErrorKind, SuretyErrorOptions } from "./errors.ts";

/**
 * What goes wrong with stored content.
 *
 * | code | what it says | about |
 * |---|---|---|
 * | `CONTENT_ID_INVALID` | the text or hex is no content id | the caller's input |
 * | `DIRECTORY_INVALID` | a path cannot be stored | the caller's input |
 * | `CONTENT_NOT_FOUND` | everybody asked answered, nobody has it | now; may pass |
 * | `CONTENT_CORRUPT` | bytes that do not hash to their id were served | whoever served them, not the content |
 * | `CONTENT_INVALID` | the verified content is no directory of plain files | the content itself, for everybody and for ever |
 * | `CONTENT_PATH_NOT_FOUND` | the verified directory has no such file | the content itself |
 * | `CONTENT_TOO_LARGE` | more bytes, files or blocks than the caller allows | the content against the caller's caps |
 * | `STORAGE_UNREACHABLE` | nobody who may have it answered in time | now; may pass |
 * | `STORAGE_REFUSED` | the server refused the request: token, format | configuration |
 * | `STORAGE_FAILED` | the local store could not read or write | this machine; may pass |
 * | `SEALED_FILE_CORRUPT` | wrong key, wrong associated data, or changed bytes | the sealed file |
 */
export type StorageErrorCode =
  | "CONTENT_ID_INVALID"
  | "DIRECTORY_INVALID"
  | "CONTENT_NOT_FOUND"
  | "CONTENT_CORRUPT"
  | "CONTENT_INVALID"
  | "CONTENT_PATH_NOT_FOUND"
  | "CONTENT_TOO_LARGE"
  | "STORAGE_UNREACHABLE"
  | "STORAGE_REFUSED"
  | "STORAGE_FAILED"
  | "SEALED_FILE_CORRUPT";

const treatment: Record<StorageErrorCode, { kind: ErrorKind; exit: number }> = {
  CONTENT_ID_INVALID: { kind: "fatal", exit: ExitStatus.badInput },
  DIRECTORY_INVALID: { kind: "fatal", exit: ExitStatus.badInput },
  CONTENT_NOT_FOUND: { kind: "retryable", exit: ExitStatus.unavailable },
  CONTENT_CORRUPT: { kind: "retryable", exit: ExitStatus.unavailable },
  CONTENT_INVALID: { kind: "fatal", exit: ExitStatus.failure },
  CONTENT_PATH_NOT_FOUND: { kind: "fatal", exit: ExitStatus.failure },
  CONTENT_TOO_LARGE: { kind: "fatal", exit: ExitStatus.failure },
  STORAGE_UNREACHABLE: { kind: "retryable", exit: ExitStatus.unavailable },
  STORAGE_REFUSED: { kind: "fatal", exit: ExitStatus.unavailable },
  STORAGE_FAILED: { kind: "retryable", exit: ExitStatus.unavailable },
  SEALED_FILE_CORRUPT: { kind: "fatal", exit: ExitStatus.failure },
};

/** An error of storage or content; whether it may pass by itself follows from its code. */
export class StorageError extends SuretyError {
  override readonly name: string = "StorageError";
  declare readonly code: StorageErrorCode;

  constructor(code: StorageErrorCode, message: string, options: Omit<SuretyErrorOptions, "kind" | "exit"> = {}) {
    super(code, message, { ...options, ...treatment[code] });
  }
}

/** How far a call that fetches may go, and how to stop it. */
export interface GetOptions {
  /** Cap on the sum of all file sizes, in bytes. Enforced while reading, on verified bytes. */
  maxBytes: number;
  /** Cap on files and folders together. Defaults to 10,000. */
  maxFiles?: number;
  /** Ends the call with the signal's reason. */
  signal?: AbortSignal;
  /** Called with the bytes and files read so far, after each file. */
  onProgress?: (progress: { bytes: number; files: number }) => void;
}

/**
 * Content-addressed storage of directories.
 *
 * An implementation never hands out a byte that it has not verified against the content id, wherever the
 * bytes came from, its own disk included. All ids of one directory are equal, whichever implementation
 * stored it: they share the import profile of `content.ts`.
 *
 * @example
 * ```ts
 * const cid = await storage.add(new Map([["greeting.txt", new TextEncoder().encode("hello")]]));
 * const directory = await storage.get(cid, { maxBytes: 1024 });
 * ```
 */
export interface Storage {
  /**
   * Stores and pins a directory and, where the implementation publishes, returns only once others can fetch it.
   * Adding the same directory again is harmless.
   *
   * A file may be given as a stream: it is read once, and need not fit in memory.
   *
   * @returns its content id, canonical text
   * @throws StorageError `DIRECTORY_INVALID`, `STORAGE_UNREACHABLE`, `STORAGE_REFUSED`, `STORAGE_FAILED`,
   * `CONTENT_TOO_LARGE` (more than the place it is published to takes)
   */
  add(directory: DirectorySource, options?: { signal?: AbortSignal }): Promise<string>;

  /**
   * Reads a whole directory. Links, devices and anything else than plain files and folders are refused; file
   * modes and times are ignored; folders without files do not appear.
   *
   * @throws StorageError `CONTENT_ID_INVALID`, `CONTENT_NOT_FOUND`, `CONTENT_CORRUPT`, `CONTENT_INVALID`,
   * `CONTENT_TOO_LARGE`, `STORAGE_UNREACHABLE`, `STORAGE_FAILED`
   */
  get(cid: string, options: GetOptions): Promise<Directory>;

  /**
   * Reads one file of a directory; of the rest only the folders on the way are fetched.
   *
   * @throws StorageError as {@link Storage.get}, and `CONTENT_PATH_NOT_FOUND`
   */
  getFile(cid: string, path: string, options: { maxBytes: number; signal?: AbortSignal }): Promise<Uint8Array>;

  /**
   * Reads one file of a directory piece by piece, in order, so that files larger than memory can be read. Every piece is
   * verified before it is handed out.
   *
   * @throws StorageError as {@link Storage.getFile}, at the piece it is about
   */
  streamFile(
    cid: string,
    path: string,
    options: { maxBytes: number; signal?: AbortSignal },
  ): AsyncGenerator<Uint8Array, void, undefined>;

  /** Whether all of it is in this store, so that reading it needs nobody else. Never fetches. */
  has(cid: string, options?: { signal?: AbortSignal }): Promise<boolean>;

  /**
   * Keeps content until {@link Storage.unpin}, fetching what is missing first.
   *
   * @param options - `maxBytes` caps what may be fetched, in block bytes; defaults to 256 MiB
   * @throws StorageError as {@link Storage.get}
   */
  pin(cid: string, options?: { maxBytes?: number; signal?: AbortSignal }): Promise<void>;

  /** Lets content go at the next collection. Unpinning what is not pinned is harmless. */
  unpin(cid: string): Promise<void>;

  /** Content ids of everything pinned, in no particular order. */
  pins(): Promise<string[]>;

  /**
   * Deletes what no pin needs; missing where the store does that by itself, as Kubo with its own garbage collection.
   *
   * @returns how many blocks were deleted
   */
  collect?(): Promise<number>;

  /** Waits for writes under way and releases what is held open. */
  close(): Promise<void>;
}

/** Default cap on files and folders of one directory; see {@link GetOptions.maxFiles}. */
export const defaultMaxFiles = 10_000;

/** Default cap on what {@link Storage.pin} may fetch, in bytes. */
export const defaultMaxPinBytes = 256 * 1024 * 1024;
