// A compute node like any other, but for what a file in its home says it does: with each task that it begins, with the
// envelopes it seals, and with what it publishes. See acting-executor.ts.
import { randomBytes } from "node:crypto";
import { runCommand } from "../../agents/cli/run-command.ts";
import { runComputeAgent } from "../../agents/compute/agent.ts";
import { Workbench } from "../../agents/compute/workbench.ts";
import { readComputeConfig } from "../../agents/config.ts";
import { createLogger } from "../../agents/logger.ts";
import { ENVELOPE_LENGTH } from "#sdk/envelope.ts";
import { SEALED_OUTPUT_FILE } from "#sdk/results.ts";
import { actingExecutor, actOf } from "./acting-executor.ts";

const [configFile] = process.argv.slice(2) as [string];
await runCommand({}, async ({ signal }) => {
  const config = await readComputeConfig(configFile);
  garbleEnvelopes(config.home);
  withholdOutputs(config.home);
  const logger = createLogger({ agent: "compute", level: config.logLevel });
  await runComputeAgent(config, { signal, logger, executor: await actingExecutor(config) });
  return { json: { stopped: true } };
});

/** What a garbling node submits is not what it remembers to have sealed. */
function garbleEnvelopes(home: string): void {
  const { prototype } = Workbench;
  const commit = Reflect.get(prototype, "commit") as Workbench["commit"];
  prototype.commit = async function (this: Workbench, ...args) {
    const commitment = await commit.apply(this, args);
    if ((await actOf(home)) !== "garbling") return commitment;
    return { ...commitment, envelope: `0x${randomBytes(ENVELOPE_LENGTH).toString("hex")}` };
  };
}

/** A withholding node keeps the outputs that it says it published. */
function withholdOutputs(home: string): void {
  const { fetch } = globalThis;
  globalThis.fetch = async (input, init) => {
    if (init?.method !== "PUT" || (await actOf(home)) !== "withholding") return fetch(input, init);
    const body = Buffer.from(await new Response(init.body).arrayBuffer());
    // The directory that an output is published in names its one file; what is sealed does not.
    if (body.includes(SEALED_OUTPUT_FILE)) return new Response(null, { status: 200 });
    return fetch(input, { ...init, body });
  };
}
