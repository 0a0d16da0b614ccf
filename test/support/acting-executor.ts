import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ComputeConfig } from "../../agents/config.ts";
import { dishonestExecutor, type Dishonesty } from "../../agents/devnet/dishonest-executor.ts";
import type { Executor } from "../../agents/executor/executor.ts";
import { openExecutor } from "../../agents/executor/open-executor.ts";

/**
 * How a node treats the next task it begins. `waiting` holds it until the act changes; all that are `colluding` tell the
 * same lie. With the others it runs the program honestly: `garbling`, it seals an envelope that nobody can open;
 * `withholding`, it does not publish its outputs. See acting-node.ts.
 */
export type Act = "honest" | "waiting" | "colluding" | "garbling" | "withholding" | Dishonesty;

const actFile = (home: string): string => join(home, "act");

/** Has the node of that home do so with every task it begins from now on. */
export async function setAct(home: string, act: Act): Promise<void> {
  const temporary = `${actFile(home)}.new`;
  await writeFile(temporary, act);
  await rename(temporary, actFile(home));
}

/** What it was told last. */
export async function actOf(home: string): Promise<Act> {
  return (await readFile(actFile(home), "utf8").catch(() => "honest")) as Act;
}

/** The executor of a node that was told with {@link setAct} how to act; without that it is honest. */
export async function actingExecutor(config: Pick<ComputeConfig, "home" | "workers" | "executor">): Promise<Executor> {
  const { home } = config;
  const honest = await openExecutor(config.executor, config);
  return {
    runtime: honest.runtime,
    check: (program, options) => honest.check(program, options),
    close: () => honest.close(),
    recover: () => honest.recover?.() ?? Promise.resolve(),
    run: async (task, options) => {
      for (;;) {
        const act = await actOf(home);
        if (act === "colluding") return dishonestExecutor(honest, { kind: "lying", seed: "all" }).run(task, options);
        if (act === "lying" || act === "lazy") {
          return dishonestExecutor(honest, { kind: act, seed: home }).run(task, options);
        }
        if (act !== "waiting") return honest.run(task, options);
        await delay(50, undefined, { signal: options?.signal });
      }
    },
  };
}
