import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openEmbeddedStorage } from "#sdk/node/index.ts";
import { SuretyError } from "#sdk/errors.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { readPackage } from "../../agents/schema/package-folder.ts";
import { askHere, type Ask } from "./ask.ts";
import { playLeague } from "./league.ts";
import { trainInParallel } from "./parameter-server.ts";
import { asContent, deal, readPenguins } from "./penguins.ts";
import { asNumbers, sortInParts } from "./sorting.ts";

/*
 * Runs a pattern on this computer, with three workers:
 *
 *   node agents/launch.mjs examples/patterns/run.ts data-parallelism
 */

const WORKERS = 3;
const home = await mkdtemp(join(tmpdir(), "surety-patterns-"));
const storage = await openEmbeddedStorage({ folder: home });
const executor = new WasmExecutor({ workers: 2 });

async function schema(name: string): Promise<Ask> {
  const { file, proto, programs } = await readPackage(fileURLToPath(new URL(`../schemas/${name}`, import.meta.url)));
  const runnable = { name: file.name, verification: file.verification, proto, programs };
  return askHere({ schema: runnable, executor, storage }, { workers: WORKERS });
}

const patterns: Record<string, () => Promise<void>> = {
  "self-play": async () => {
    const terms = { games: 800, rate: 0.05, curiosity: 0.3, openings: 4 };
    const seasons = await playLeague({ ask: await schema("self-play"), seasons: 3, terms });
    for (const [index, { score, players, record }] of seasons.entries()) {
      console.log(
        `season ${index + 1}: ${players} played ${record.length} games, the best scores ${score?.toFixed(3)}`,
      );
    }
  },
  "data-parallelism": async () => {
    const rows = await readPenguins(["billLength", "billDepth", "flipperLength", "isMale", "bodyMass"]);
    const ask = await schema("data-parallelism");
    const terms = { rounds: 4, rate: 0.005, passes: 10, reach: 0.5 };
    for (const { round, loss, answered } of await trainInParallel({ ask, storage, shards: deal(rows, 3), ...terms })) {
      console.log(`round ${round}: loss ${loss.toFixed(4)}, ${answered} shards`);
    }
  },
  "split-merge": async () => {
    const [sort, merge] = [await schema("split-sort"), await schema("split-merge")];
    const numbers = Uint32Array.from({ length: 100_000 }, (_, i) => (i * i * 7919) % 65_521);
    const merged = await sortInParts({ sort, merge, storage, numbers, parts: 4 });
    console.log(`in parts: ${merged}\nat once:  ${await storage.add(asNumbers(numbers.toSorted()))}`);
  },
  training: async () => {
    const [known, kept] = deal(
      await readPenguins(["billLength", "billDepth", "flipperLength", "bodyMass", "isMale"]),
      2,
    );
    const trainingCid = await storage.add(asContent(known!));
    const request = { trainingCid, inputs: 4, hidden: 6, rate: 0.03, passes: 30 };
    const ask = await schema("training");
    const { ranked, report } = await ask(request, { testData: asContent(kept!) });
    for (const { node, score } of ranked) console.log(`${node} ${score?.toFixed(4)}`);
    console.log(report);
  },
};

try {
  const [name = ""] = process.argv.slice(2);
  const pattern = patterns[name];
  if (pattern === undefined) {
    throw new SuretyError("PATTERN_UNKNOWN", `there is no pattern ${JSON.stringify(name)}`, {
      fix: `Take one of ${Object.keys(patterns).join(", ")}.`,
    });
  }
  await pattern();
} catch (error) {
  if (!(error instanceof SuretyError)) throw error;
  console.error(`error ${error.code}: ${error.message}\nfix: ${error.fix ?? ""}`);
  process.exitCode = error.exit;
} finally {
  await executor.close();
  await storage.close();
  await rm(home, { recursive: true, force: true });
}
