import { writeFile } from "node:fs/promises";
import { join, relative } from "node:path";

/** Share of the tasks that is run again in the demo. */
export const DEMO_RATE = "25%";

/**
 * Writes the demo's job file.
 *
 * The rate is far above the usual 3 %: of so few tasks, three in a hundred would catch a liar only now and then, and the
 * demo is to show what happens when it is caught. The windows are as short as a chain with a block a second allows.
 *
 * @param options.folder Where to put it.
 * @param options.module Path of the program.
 * @param options.inputs Folder with one sub-folder a task.
 * @returns its path
 */
export async function writeJobFile({
  folder,
  module,
  inputs,
  nodes,
}: {
  folder: string;
  module: string;
  inputs: string;
  nodes: number;
}): Promise<string> {
  const path = join(folder, "job.yaml");
  const share = (100 / nodes).toFixed(2);
  await writeFile(
    path,
    `# Distance to the nearest coast, for every pixel of a map of the world. One tile is one task.
name: coastline
module: ./${relative(folder, module)}
inputs: ./${relative(folder, inputs)}
mode: sampled
rate: ${DEMO_RATE}          # usually 3%; with so few tasks that would catch a liar only now and then
quorum: 3
checking: adaptive   # one verifier first, the others where it differs
prices: { task: 1, verifier: 1.2 }
maxShare: ${share}%     # so that every node gets a slice
limits: { fuel: 20G, memory: 128MiB, seconds: 120s, output: 16MiB, files: 4 }
windows: { claim: 40s, submit: 90s, reveal: 60s, check: 60s, judge: 30s, challenge: 5s }
`,
  );
  return path;
}
