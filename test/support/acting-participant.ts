// Runs a participant as the command line does, but for what it is told to do wrong:
// - `lying`: an evaluator that leaves out whoever is the best;
// - `quarrelling`: a worker that challenges every ruling, whatever it says;
// - `by-heart`: a worker of the schema `training` that trains on the rows of `leaked.csv` in its home alone, for long.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as requestCalls from "#sdk/request-calls.ts";
import { requestPhaseOf } from "#sdk/request-state.ts";
import { runCommand } from "../../agents/cli/run-command.ts";
import { readParticipantConfig } from "../../agents/config.ts";
import type { Executor } from "../../agents/executor/executor.ts";
import { openExecutor } from "../../agents/executor/open-executor.ts";
import { createLogger } from "../../agents/logger.ts";
import { runParticipant } from "../../agents/participant/agent.ts";
import { Evaluation } from "../../agents/participant/evaluation.ts";
import type { ParticipantContext, Part } from "../../agents/participant/part.ts";
import { Tasks } from "../../agents/participant/tasks.ts";
import type { ParticipantAct } from "./request-world.ts";

const [configFile, act] = process.argv.slice(2) as [string, ParticipantAct];
const config = await readParticipantConfig(configFile);

if (act === "lying") {
  const { assess } = Evaluation.prototype;
  Evaluation.prototype.assess = async function (...args) {
    const found = await assess.apply(this, args);
    const { ruling } = found;
    return { ...found, ruling: { ...ruling, order: ruling.order.slice(1), scores: ruling.scores.slice(1) } };
  };
}

/** Protobuf's last word on a field counts: a rate of 0.1, and 4,000 passes. */
const FOR_LONG = Buffer.concat([
  Buffer.of(0x21),
  Buffer.from(Float64Array.of(0.1).buffer),
  Buffer.of(0x28, 0xa0, 0x1f),
]);

/** Gives a worker program the leaked rows in place of those that it is to learn from. */
async function learningByHeart(honest: Executor): Promise<Executor> {
  const leaked = await readFile(join(config.home, "leaked.csv"));
  return {
    runtime: honest.runtime,
    check: (program, options) => honest.check(program, options),
    close: () => honest.close(),
    run: (task, options) => {
      if (task.args[0] !== "worker") return honest.run(task, options);
      const input = new Map(task.input);
      for (const path of input.keys()) if (path.endsWith("/rows.csv")) input.set(path, leaked);
      input.set("request", Buffer.concat([input.get("request")!, FOR_LONG]));
      return honest.run({ ...task, input }, options);
    },
  };
}

/** Disputes whatever it may. */
function quarrelling({ agent, treasury, logger, signal }: ParticipantContext): Part {
  const tasks = new Tasks({ logger, signal });
  return {
    get isIdle() {
      return tasks.isIdle;
    },
    settled: () => tasks.settled(),
    act: async ({ timestamp }) => {
      for (const record of agent.state.open) {
        const { id, request, tier, evaluator, workers } = record;
        const mayChallenge = workers.get(agent.address)?.status === "revealed";
        if (!mayChallenge || requestPhaseOf(record, timestamp) !== "contestable") continue;
        const key = `challenge:${id}:${tier}`;
        const call = requestCalls.challenge(agent.context.requests, { request, path: evaluator!.path });
        tasks.run(key, async () => {
          await treasury.spend(key, request.challengeFee, () => agent.sendAndSee({ key, ...call }));
        });
      }
    },
  };
}

await runCommand({}, async ({ signal }) => {
  const logger = createLogger({ agent: "participant", level: config.logLevel });
  const honest = await openExecutor(config.executor, config);
  const executor = act === "by-heart" ? await learningByHeart(honest) : honest;
  const parts = (context: ParticipantContext): Part[] => (act === "quarrelling" ? [quarrelling(context)] : []);
  await runParticipant(config, { signal, logger, executor, parts });
  return { json: { stopped: true } };
});
