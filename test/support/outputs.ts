import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { ActingRequester } from "./market-world.ts";

/** That the outputs of a job's tasks lie in the requester's home and are what the program makes. */
export async function expectOutputs(requester: ActingRequester, ticket: string, tasks: number): Promise<void> {
  for (let task = 0; task < tasks; task += 1) {
    const output = await readFile(join(requester.home, "results", ticket, String(task), "stdout"), "utf8");
    expect(output, `output of task ${task}`).to.equal(`task-${task}\0`);
  }
}
