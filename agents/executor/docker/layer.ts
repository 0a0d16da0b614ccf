import { createGunzip, type Gunzip } from "node:zlib";
import { extract, type Extract } from "tar-stream";

/** Bytes a file takes beside its content, at least. */
const ENTRY_BYTES = 512;

/**
 * Reads a layer while it passes by, to know what it will be unpacked: an engine writes all of it to disk before it looks.
 * Files count with their full length, for engines fill holes with zeros.
 */
export class LayerMeter {
  /** What is wrong with it as a layer, once that is known. */
  problem: string | undefined;
  readonly #count: (bytes: number) => void;
  /** What takes the pieces: a tar, or what unpacks it. Both have the little that is used of a stream. */
  #first: Gunzip | undefined;
  #done: Promise<void> | undefined;

  /** @param count Is told of bytes on disk as they are found; what it throws ends the reading. */
  constructor(count: (bytes: number) => void) {
    this.#count = count;
  }

  /** Takes the next piece, and waits until there is room for more. */
  async write(piece: Uint8Array): Promise<void> {
    if (this.#first === undefined) this.#begin(piece);
    const first = this.#first!;
    if (first.destroyed || first.write(piece)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        first.off("drain", done);
        first.off("close", done);
        resolve();
      };
      first.on("drain", done);
      first.on("close", done);
    });
  }

  async end(): Promise<void> {
    if (this.#first === undefined) return;
    if (!this.#first.destroyed) this.#first.end();
    await this.#done;
  }

  #begin(piece: Uint8Array): void {
    const entries = extract();
    // Whoever iterates hears of it.
    entries.on("error", () => undefined);
    const isGzip = piece[0] === 0x1f && piece[1] === 0x8b;
    const gunzip = isGzip ? createGunzip() : undefined;
    const first = gunzip ?? (entries as unknown as Gunzip);
    gunzip?.on("error", (error) => entries.destroy(error));
    gunzip?.pipe(entries as unknown as Gunzip);
    this.#first = first;
    this.#done = this.#read(entries).catch((error: unknown) => {
      this.problem ??= (error as Error).message;
      first.destroy();
    });
  }

  async #read(entries: Extract): Promise<void> {
    for await (const entry of entries) {
      const { size = 0, pax, type } = entry.header;
      if (type === null || Object.keys(pax ?? {}).some((key) => key.startsWith("GNU.sparse."))) {
        throw new Error(`it has an entry of a kind that is not taken: ${entry.header.name}`);
      }
      this.#count(size + ENTRY_BYTES);
      entry.resume();
    }
  }
}
