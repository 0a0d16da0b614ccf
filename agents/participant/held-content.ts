import { computeContentId, parseContentId, type Directory } from "#sdk/content.ts";
import { StorageError, defaultMaxFiles, type GetOptions, type Storage } from "#sdk/storage.ts";

/**
 * Directories in memory, by content id: what the programs of a request are given and publish, which nobody else may see
 * yet.
 */
export class HeldContent implements Pick<Storage, "add" | "get"> {
  readonly #held = new Map<string, Directory>();

  /** @param content Directories by content id, which were checked. */
  constructor(content: Iterable<readonly [string, Directory]> = []) {
    this.take(content);
  }

  /** Adds directories whose content ids were checked. */
  take(content: Iterable<readonly [string, Directory]>): void {
    for (const [cid, directory] of content) this.#held.set(cid, directory);
  }

  /** Those that are named, as far as they are here. */
  pick(cids: Iterable<string>): Map<string, Directory> {
    const picked = new Map<string, Directory>();
    for (const cid of cids) {
      const directory = this.#held.get(cid);
      if (directory) picked.set(cid, directory);
    }
    return picked;
  }

  async add(directory: Directory, { signal }: { signal?: AbortSignal } = {}): Promise<string> {
    const cid = await computeContentId(directory, { signal });
    this.#held.set(cid, directory);
    return cid;
  }

  get(cid: string, { maxBytes, maxFiles = defaultMaxFiles }: GetOptions): Promise<Directory> {
    const name = parseContentId(cid).toString();
    const directory = this.#held.get(name);
    if (!directory) {
      return Promise.reject(new StorageError("CONTENT_NOT_FOUND", `${name} is not here`, { details: { cid: name } }));
    }
    const bytes = [...directory.values()].reduce((sum, file) => sum + file.length, 0);
    if (bytes > maxBytes || directory.size > maxFiles) {
      return Promise.reject(
        new StorageError("CONTENT_TOO_LARGE", `${name} has ${bytes} bytes in ${directory.size} files`, {
          details: { cid: name, bytes, maxBytes, files: directory.size, maxFiles },
        }),
      );
    }
    return Promise.resolve(directory);
  }
}
