import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { probeEngine } from "../../agents/executor/docker/engine.ts";
import { busyboxImage, engineSocket, testExecutor, testTask } from "../../test/support/docker-engine.ts";
import { timed } from "../timed.ts";
import type { MeasureOptions } from "../section.ts";

const run = promisify(execFile);

/** What a container costs around a program that does nothing. Seconds of each run. */
export interface ContainerRuns {
  engine: string;
  /** A task as an agent runs it: confined, its inputs brought in, its outputs taken and measured. */
  task: number[];
  /** `docker run --rm` of the same image, empty if there is no such command. */
  command: number[];
  /** The program as a process of this machine. */
  process: number[];
}

/** Why containers were not measured. */
export interface NoContainers {
  missing: string;
}

export async function runContainers({
  size,
  repetitions,
  signal,
  say,
}: MeasureOptions): Promise<ContainerRuns | NoContainers> {
  let engine: string;
  try {
    const facts = await probeEngine({ socket: engineSocket });
    engine = `Docker ${facts.version}, ${facts.storageDriver}, cgroup v${facts.cgroup ?? "?"}`;
  } catch (error) {
    return { missing: `no Docker engine at ${engineSocket}: ${(error as Error).message}` };
  }
  const count = (size === "quick" ? 1 : 3) * repetitions;
  say(`${count} × a container around a program that does nothing`);
  const image = await busyboxImage();
  const executor = testExecutor();
  const runs: ContainerRuns = { engine, task: [], command: [], process: [] };
  try {
    const task = testTask(image.program(["/bin/true"]));
    // Loads the image, and a process that keeps volumes.
    await executor.run(task, { signal });
    for (let place = 0; place < count; place += 1) {
      runs.task.push(
        await timed(async () => {
          const outcome = await executor.run(task, { signal });
          if (!("code" in outcome.exit) || outcome.exit.code !== 0) throw new Error("the task failed");
        }),
      );
      const plain = ["-H", `unix://${engineSocket}`, "run", "--rm", "--network", "none", image.id, "/bin/true"];
      const seconds = await timed(() => run("docker", plain, { signal })).catch((error: unknown) => {
        signal.throwIfAborted();
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      });
      if (seconds !== undefined) runs.command.push(seconds);
      runs.process.push(await timed(() => run("/bin/true", [], { signal })));
    }
    return runs;
  } finally {
    await executor.close();
  }
}
