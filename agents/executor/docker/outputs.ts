import { pipeline } from "node:stream/promises";
import type { Readable } from "node:stream";
import { extract } from "tar-stream";
import type { TaskExit } from "../executor.ts";
import { isPermittedPath } from "../task.ts";

/** The files a task left, or what is wrong with them. */
export type Outputs = { files: Map<string, Uint8Array> } | { exit: TaskExit };

/** Ends the reading early. */
class Refused extends Error {
  readonly exit: TaskExit;

  constructor(exit: TaskExit) {
    super("the outputs are refused");
    this.exit = exit;
  }
}

/**
 * Reads the folder `/out` as the engine packs it. Only plain files and folders are taken. A link, symbolic or hard, ends
 * the task in the fault `output-link`; a FIFO or device in `output-special`; a name that {@link isPermittedPath} does not
 * allow, or that is not UTF-8, in `output-name`. Sockets the engine leaves out. Nothing is written anywhere.
 *
 * @param limits.bytes Of all files together; a file counts with its length, however little of it is on disk.
 * @param limits.files Files and folders.
 * @throws Error if the stream breaks
 */
export async function readOutputs(tar: Readable, limits: { bytes: number; files: number }): Promise<Outputs> {
  const entries = extract();
  // Whoever iterates hears of it.
  entries.on("error", () => undefined);
  const files: [string, Uint8Array][] = [];
  let [count, bytes] = [0, 0];
  const reading = (async () => {
    for await (const entry of entries) {
      const { name, type, size = 0 } = entry.header;
      const path = name.replace(/^out(?:\/|$)/, "").replace(/\/$/, "");
      if (path !== "") {
        if (type === "symlink" || type === "link") throw new Refused({ trap: "output-link" });
        if (type !== "file" && type !== "directory") throw new Refused({ trap: "output-special" });
        // What is not UTF-8 was read as this character.
        if (!isPermittedPath(path) || path.includes("\ufffd")) throw new Refused({ trap: "output-name" });
        count += 1;
        bytes += size;
        if (count > limits.files) throw new Refused({ limit: "files" });
        // Before any of it is read: a file may be all hole.
        if (bytes > limits.bytes) throw new Refused({ limit: "output" });
      }
      const pieces: Uint8Array[] = [];
      for await (const piece of entry as AsyncIterable<Uint8Array>) pieces.push(piece);
      if (path !== "" && type === "file") files.push([path, Buffer.concat(pieces)]);
    }
  })();
  try {
    await Promise.all([
      pipeline(tar, entries),
      reading.catch((error: unknown) => {
        tar.destroy();
        throw error;
      }),
    ]);
  } catch (error) {
    const cause = await reading.then(
      () => error,
      (reason: unknown) => (reason instanceof Refused ? reason : error),
    );
    if (cause instanceof Refused) return { exit: cause.exit };
    throw cause;
  }
  return { files: new Map(files.sort(([a], [b]) => (a < b ? -1 : 1))) };
}
