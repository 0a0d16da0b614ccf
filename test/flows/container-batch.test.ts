import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { sampledCountOf } from "#sdk/market-state.ts";
import { Books } from "../support/books.ts";
import { lastJson, surety } from "../support/command-line.ts";
import { busyboxImage, engineSocket, needEngine, ownedBy, shell } from "../support/docker-engine.ts";
import { MarketWorld, PRICE_OF_ALL, type ActingRequester } from "../support/market-world.ts";

const TASKS = 8;

describe("a batch of containers", function () {
  this.timeout(600_000);
  let world: MarketWorld | undefined;
  const executor = { kind: "docker", socket: engineSocket };

  before(async function () {
    await needEngine(this);
    world = await MarketWorld.start({ nodes: 6, hostClass: "container", settingsOf: () => ({ executor }) });
  });

  after(() => world?.stop());

  /** Counts the lines of an input, and leaves them in another order. */
  async function writeJob(requester: ActingRequester): Promise<string> {
    const folder = join(requester.home, "job");
    await mkdir(join(folder, "inputs"), { recursive: true });
    for (let task = 0; task < TASKS; task += 1) {
      const lines = Array.from({ length: task + 1 }, (_, line) => `${(line * 7) % 10} of ${task}`);
      await writeFile(join(folder, "inputs", `${task}.txt`), `${lines.join("\n")}\n`);
    }
    await writeFile(join(folder, "image.tar"), (await busyboxImage()).tar);
    const windows = Object.entries(world!.windows).map(([name, seconds]) => [name, `${seconds}s`]);
    const job = {
      executor: "container",
      image: "./image.tar",
      entrypoint: shell('wc -l < "/in/$0.txt"; sort "/in/$0.txt" > /out/sorted; echo "$GREETING" >&2'),
      args: ["{index}"],
      environment: { GREETING: "hello" },
      inputs: "./inputs",
      rate: "25%",
      prices: { task: PRICE_OF_ALL },
      limits: { cpus: 1, memory: "64MiB", processes: 16, seconds: "120s", disk: "1MiB", output: "1MiB", files: 4 },
      windows: Object.fromEntries(windows) as Record<string, string>,
      maxShare: "25%",
    };
    const path = join(folder, "job.json");
    await writeFile(path, JSON.stringify(job, null, 2));
    return path;
  }

  it("is run by several nodes, checked, paid and brought home, and leaves nothing in the engine", async () => {
    const requester = await world!.newRequester("requester");
    const books = await Books.open(world!);
    await requester.start();
    const out = join(requester.home, "results-of-job");
    const ended = await surety([
      ...["submit", await writeJob(requester), "--config", requester.config],
      ...["--wait", "--out", out, "--json"],
    ]);
    expect(ended.exit, ended.stderr).to.equal(0);
    expect(lastJson(ended)).to.include({ state: "settled" });
    for (let task = 0; task < TASKS; task += 1) {
      const text = async (name: string): Promise<string> => readFile(join(out, String(task), name), "utf8");
      expect(await text("stdout")).to.equal(`${task + 1}\n`);
      expect(await text("stderr")).to.equal("hello\n");
      const sorted = (await text("out/sorted")).trimEnd().split("\n");
      expect(sorted).to.have.lengthOf(task + 1);
      expect(sorted).to.deep.equal(sorted.toSorted());
    }

    await books.close();
    const [record] = requester.batches;
    const { assignments } = record!;
    expect(assignments.map(({ outcome }) => outcome?.outcome)).to.deep.equal(Array(4).fill("paid"));
    expect(assignments.reduce((sum, assignment) => sum + sampledCountOf(record!, assignment), 0)).to.be.above(0);
    for (const { home } of world!.nodes) {
      expect(await ownedBy((await readFile(join(home, "engine-owner"), "utf8")).trim())).to.deep.equal([]);
    }
  });
});
