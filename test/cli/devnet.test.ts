import type { ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { readDevnetFile, type DevnetFile } from "../../agents/devnet/devnet-file.ts";
import { end, errorCode, lastJson, startSurety, surety, type Ended } from "../support/command-line.ts";
import { emptyProgram, endlessProgram } from "../support/programs.ts";

/** Blocks come once a second, so these take their time. */
const WINDOWS = { claim: 10, submit: 60, reveal: 30, check: 60, judge: 30, challenge: 5 };

describe("surety devnet", function () {
  this.timeout(180_000);
  let folder: string;
  let home: string;
  let running: ChildProcess | undefined;
  let ended: Promise<Ended>;
  let file: DevnetFile;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-devnet-"));
    home = join(folder, "devnet");
    await writeFile(join(folder, "empty.wasm"), emptyProgram);
    await writeFile(join(folder, "endless.wasm"), endlessProgram);
    await start();
  });

  after(async () => {
    running?.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  });

  async function start(): Promise<void> {
    running = startSurety(["devnet", "--home", home, "--port", "0", "--json"]);
    // It says where everything is once everything runs.
    const ready = new Promise((resolve) => running?.stdout?.once("data", resolve));
    ended = end(running);
    const early = await Promise.race([ready.then(() => undefined), ended]);
    if (early) throw new Error(`the devnet ended: ${early.stderr}`);
    file = await readDevnetFile(join(home, "devnet.json"));
  }

  async function submit(job: object): Promise<Ended> {
    await writeFile(join(folder, "job.json"), JSON.stringify({ prices: { task: 0.5 }, windows: WINDOWS, ...job }));
    return surety([
      "submit",
      join(folder, "job.json"),
      "--devnet",
      join(home, "devnet.json"),
      "--out",
      join(folder, "out"),
      "--json",
    ]);
  }

  const pids = (): number[] => [file.pids.devnet, file.pids.requester, ...file.pids.nodes];

  it("refuses a folder that holds something else", async () => {
    const refused = await surety(["devnet", "--home", folder, "--port", "0"]);
    expect(errorCode(refused), refused.stderr).to.equal("DEVNET_HOME_IN_USE");
    expect(refused.exit).to.equal(2);
  });

  it("refuses to start twice in one folder", async () => {
    const refused = await surety(["devnet", "--home", home, "--port", "0"]);
    expect(errorCode(refused), refused.stderr).to.equal("JOURNAL_LOCKED");
    expect(refused.exit).to.equal(5);
    expect(pids().filter((pid) => !isAlive(pid))).to.deep.equal([]);
  });

  it("refuses a port that is taken", async () => {
    const port = new URL(file.rpc).port;
    const refused = await surety(["devnet", "--home", join(folder, "other"), "--port", port]);
    expect(errorCode(refused), refused.stderr).to.equal("PORT_TAKEN");
    expect(refused.exit).to.equal(5);
  });

  it("runs a job to its end and writes the outputs", async () => {
    const done = await submit({
      module: "./empty.wasm",
      inputs: ["./empty.wasm", "./job.json"],
      mode: "replicated",
      maxShare: "50%",
    });
    expect(done.exit, done.stderr).to.equal(0);
    const { state, counts, results } = lastJson(done) as { state: string; counts: object; results: object[] };
    expect(state).to.equal("settled");
    expect(counts).to.include({ tasks: 2, claimed: 2, submitted: 2, sampled: 2, accused: 0, settled: 2 });
    expect(results).to.have.lengthOf(2);
    for (const task of ["0", "1"])
      expect(await readFile(join(folder, "out", task, "exit"), "utf8")).to.equal('{"code":0}');
  });

  it("names the limit that stopped a task, and exits with 1", async () => {
    const [node] = file.keys.nodes;
    const nodes = { allow: [node?.address] };
    const done = await submit({
      module: "./endless.wasm",
      inputs: ["./job.json"],
      limits: { fuel: "1M" },
      mode: "trusted",
      nodes,
      maxShare: "100%",
    });
    expect(done.exit, done.stderr).to.equal(1);
    expect(lastJson(done).failures).to.deep.equal(["task 0 stopped at its limit fuel"]);
  });

  it("shows a node's stake, and refuses to touch it while its agent runs", async () => {
    const config = file.keys.nodes[0]?.config ?? "";
    const shown = lastJson(await surety(["stake", "show", "--config", config, "--json"]));
    expect(shown.stake).to.equal((5000n * 10n ** 18n).toString());
    expect(shown.slots).to.have.lengthOf(1);
    const refused = await surety(["stake", "remove", "1", "--config", config]);
    expect(errorCode(refused), refused.stderr).to.equal("JOURNAL_LOCKED");
    expect(refused.exit).to.equal(5);
  });

  it("runs an agent of its own where none works in the home", async () => {
    process.kill(file.pids.requester, "SIGKILL");
    const nodes = { allow: file.keys.nodes.map(({ address }) => address) };
    const done = await submit({
      module: "./empty.wasm",
      inputs: ["./job.json"],
      mode: "trusted",
      nodes,
      maxShare: "100%",
    });
    expect(done.exit, done.stderr).to.equal(0);
    expect(lastJson(done)).to.have.property("state", "settled");
  });

  it("ends with all its processes when stopped", async () => {
    running?.kill("SIGTERM");
    expect((await ended).exit).to.equal(0);
    expect(pids().filter(isAlive)).to.deep.equal([]);
  });

  it("leaves no process behind when killed", async () => {
    await start();
    running?.kill("SIGKILL");
    await ended;
    while (pids().some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 100));
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
