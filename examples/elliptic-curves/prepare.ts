import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { BUILD_FOLDER } from "./build-image.ts";
import { unpackPackages } from "./debian.ts";

/** Conductors in one file of the package. */
const CONDUCTORS_PER_FILE = 1000;

/** Which curves, and in how many tasks. */
export interface TableCut {
  /** Conductors from 1 to below this, at most 500,000. */
  below: number;
  tasks: number;
}

/**
 * Cuts John Cremona's table of elliptic curves, as Debian ships it, into tasks: each gets the curves of equally many
 * conductors, in one file `curves`.
 *
 * @param options.outFolder Gets a folder a task: `000`, `001`, …
 * @returns how many isogeny classes there are in each task
 * @throws Error with apt's messages
 */
export async function prepareCurves({
  below,
  tasks,
  outFolder,
  signal,
}: TableCut & { outFolder: string; signal?: AbortSignal }): Promise<number[]> {
  const root = join(BUILD_FOLDER, "table");
  await unpackPackages(["pari-elldata"], { packages: join(BUILD_FOLDER, "packages"), root, signal });
  const parts = Array.from({ length: tasks }, (): string[] => []);
  for (let file = 0; file * CONDUCTORS_PER_FILE < below; file += 1) {
    const table = await readFile(join(root, `usr/share/pari/elldata/ell${file}.gz`));
    for (const [conductor, entry] of entriesOf(gunzipSync(table).toString("latin1")))
      if (conductor < below) parts[Math.floor((conductor * tasks) / below)]!.push(entry);
  }
  await rm(outFolder, { recursive: true, force: true });
  const digits = String(tasks - 1).length;
  for (const [task, entries] of parts.entries()) {
    const folder = join(outFolder, String(task).padStart(digits, "0"));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "curves"), `[${entries.join(",")}]\n`);
  }
  return parts.map((entries) => entries.reduce((sum, entry) => sum + classesIn(entry), 0));
}

/** The entries of a file of the table, `[11,["11a1",[0,-1,1,-10,-20],[]],…]`, by their conductors. */
function entriesOf(table: string): [conductor: number, entry: string][] {
  const starts = [...table.matchAll(/\[(\d+),\["\1[a-z]+1",/g)];
  return starts.map((start, place) => {
    const next = starts[place + 1];
    // Without the comma between two, or the bracket at the end.
    const end = next ? next.index - 1 : table.lastIndexOf("]");
    return [Number(start[1]), table.slice(start.index, end)];
  });
}

function classesIn(entry: string): number {
  return [...entry.matchAll(/"\d+[a-z]+1"/g)].length;
}
