import { execFile, execFileSync } from "node:child_process";
import { open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Room for what an agent writes in a world's life. */
const SIZE = 64 * 1024 * 1024;
const CHUNK = Buffer.alloc(1024 * 1024);

/** What is mounted; nothing else would take it away from a process that ends early. */
const mounted = new Set<string>();
process.once("exit", () => mounted.forEach((folder) => execFileSync("umount", ["--lazy", folder])));

/** A disk of an agent's own, so small that it can be filled. */
export class SmallDisk {
  readonly #folder: string;
  readonly #filler: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#filler = join(folder, "filler");
  }

  /** Puts one in the place of a folder that holds a configuration only; undefined where this is not allowed. */
  static async mount(folder: string): Promise<SmallDisk | undefined> {
    const config = join(folder, "config.json");
    const content = await readFile(config);
    try {
      await run("mount", ["-t", "tmpfs", "-o", `size=${SIZE},mode=700`, "surety-soak", folder]);
    } catch {
      return undefined;
    }
    mounted.add(folder);
    await writeFile(config, content);
    return new SmallDisk(folder);
  }

  /** Leaves not a byte. */
  async fill(): Promise<void> {
    const file = await open(this.#filler, "a");
    try {
      for (let size = CHUNK.length; size >= 1; size = Math.floor(size / 2)) {
        while (await this.#wrote(file, size));
      }
    } finally {
      await file.close();
    }
  }

  async empty(): Promise<void> {
    await rm(this.#filler, { force: true });
  }

  async unmount(): Promise<void> {
    if (mounted.delete(this.#folder)) await run("umount", ["--lazy", this.#folder]);
  }

  async #wrote(file: Awaited<ReturnType<typeof open>>, size: number): Promise<boolean> {
    try {
      return (await file.write(CHUNK, 0, size)).bytesWritten === size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      return false;
    }
  }
}
