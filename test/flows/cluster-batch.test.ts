import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { sampledCountOf } from "#sdk/market-state.ts";
import { Books } from "../support/books.ts";
import { needCluster, TestNamespace } from "../support/cluster.ts";
import { lastJson, surety } from "../support/command-line.ts";
import { engineSocket, needEngine, shell } from "../support/docker-engine.ts";
import { MarketWorld, PRICE_OF_ONE, type ActingRequester } from "../support/market-world.ts";

const TASKS = 4;

describe("a batch of containers for clusters and engines", function () {
  this.timeout(900_000);
  let world: MarketWorld | undefined;
  let namespace: TestNamespace | undefined;

  before(async function () {
    await needEngine(this);
    namespace = await TestNamespace.make(await needCluster(this));
    const engine = { kind: "docker", socket: engineSocket };
    const { name, images, kubeconfig } = namespace;
    const cluster = { kind: "kubernetes", kubeconfig, namespace: name, carrier: images.carrier };
    // The only one that works for so little is a cluster; those who check it are not, but for one.
    const settingsOf = (agent: string): object => ({ executor: /-[12]$/.test(agent) ? cluster : engine });
    world = await MarketWorld.start({ nodes: 6, hostClass: "container", settingsOf });
  });

  after(async () => {
    await world?.stop();
    await namespace?.remove();
  });

  async function writeJob(requester: ActingRequester): Promise<string> {
    const folder = join(requester.home, "job");
    await mkdir(join(folder, "inputs"), { recursive: true });
    for (let task = 0; task < TASKS; task += 1)
      await writeFile(join(folder, "inputs", `${task}.txt`), `z\n${task}\na\n`);
    const windows = Object.entries(world!.windows).map(([name, seconds]) => [name, `${seconds}s`]);
    const job = {
      executor: "container",
      image: namespace!.images.busybox,
      entrypoint: shell('env | sort; sort "/in/$0.txt" > /out/sorted; echo "$GREETING" >&2'),
      args: ["{index}"],
      environment: { GREETING: "hello" },
      inputs: "./inputs",
      rate: "100%",
      prices: { task: PRICE_OF_ONE },
      limits: { cpus: 1, memory: "64MiB", processes: 16, seconds: "120s", disk: "1MiB", output: "1MiB", files: 4 },
      windows: Object.fromEntries(windows) as Record<string, string>,
      maxShare: "25%",
    };
    const path = join(folder, "job.json");
    await writeFile(path, JSON.stringify(job, null, 2));
    return path;
  }

  it("is run by a cluster and checked by engines, who agree on every byte, and leaves nothing in the cluster", async () => {
    const requester = await world!.newRequester("requester");
    const books = await Books.open(world!);
    await requester.start();
    const out = join(requester.home, "results-of-job");
    const ended = await surety([
      ...["submit", await writeJob(requester), "--config", requester.config],
      ...["--wait", "--out", out, "--json"],
    ]);
    expect(ended.exit, `${ended.stderr}${ended.stdout}`).to.equal(0);
    expect(lastJson(ended)).to.include({ state: "settled" });
    for (let task = 0; task < TASKS; task += 1) {
      expect(await readFile(join(out, String(task), "out/sorted"), "utf8")).to.equal(`${task}\na\nz\n`);
      const variables = await readFile(join(out, String(task), "stdout"), "utf8");
      expect(variables).to.contain("GREETING=hello\nHOME=/tmp\nHOSTNAME=surety\n").and.not.contain("KUBERNETES");
    }

    await books.close();
    const [record] = requester.batches;
    const { assignments } = record!;
    expect(assignments.map(({ outcome }) => outcome?.outcome)).to.deep.equal(Array(assignments.length).fill("paid"));
    expect(assignments.reduce((sum, assignment) => sum + sampledCountOf(record!, assignment), 0)).to.be.above(0);
    const [first, second] = world!.nodes;
    expect(new Set(assignments.map(({ node }) => node))).to.deep.equal(new Set([first.address]));
    for (const { home } of [first, second]) {
      await namespace!.emptied((await readFile(join(home, "engine-owner"), "utf8")).trim());
    }
  });
});
