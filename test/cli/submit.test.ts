import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { parseUnits, type Wallet } from "ethers";
import { end, errorCode, lastJson, startSurety, surety, type Ended } from "../support/command-line.ts";
import { LocalMarket } from "../support/local-market.ts";
import { emptyProgram, importingProgram } from "../support/programs.ts";

describe("surety submit", function () {
  // Each call is a process that loads everything.
  this.timeout(60_000);
  let market: LocalMarket;
  let requester: Wallet;
  let home: string;
  let config: string;
  let folder: string;

  before(async () => {
    market = await LocalMarket.start();
    requester = market.account();
    await market.give(requester.address, parseUnits("100", 18));
    ({ home, config } = await market.agentHome("requester", requester));
    folder = join(market.folder, "job");
    await mkdir(join(folder, "inputs"), { recursive: true });
    await mkdir(join(folder, "no-inputs"));
    await writeFile(join(folder, "program.wasm"), emptyProgram);
    await writeFile(join(folder, "importing.wasm"), importingProgram);
    await writeFile(join(folder, "text.wasm"), "#!/bin/sh\n");
    for (const name of ["a", "b", "c"]) await writeFile(join(folder, "inputs", name), name);
  });

  after(() => market?.stop());

  /** Nodes nobody has, which mode trusted does not need. */
  const trusted = { mode: "trusted", nodes: { allow: ["0x00000000000000000000000000000000000000a1"] } };

  async function submit(job: object | string, args: readonly string[] = ["--home", home]): Promise<Ended> {
    const file = join(folder, "job.yaml");
    await writeFile(file, typeof job === "string" ? job : JSON.stringify(job));
    return surety(["submit", file, ...args]);
  }

  /** Nothing was handed over, sent or published. */
  async function expectNothingPosted(): Promise<void> {
    expect(await readdir(join(home, "inbox")).catch(() => [])).to.deep.equal([]);
    expect(await market.transactionsOf(requester.address)).to.equal(0);
    expect(await market.published()).to.deep.equal([]);
  }

  const good = { module: "./program.wasm", inputs: "./inputs", ...trusted };
  const refusals: [what: string, job: object | string, code: string, exit: number][] = [
    ["malformed YAML", "module: [1, 2\ninputs: }", "JOB_FILE_INVALID", 2],
    ["an unknown key", { ...good, modul: "x" }, "JOB_FILE_INVALID", 2],
    ["a job file that contradicts itself", { ...good, rate: "10%" }, "JOB_FILE_INVALID", 2],
    ["a module that is not there", { ...good, module: "./none.wasm" }, "MODULE_NOT_FOUND", 2],
    ["a module that is not WASM", { ...good, module: "./text.wasm" }, "PROGRAM_NOT_WASM", 2],
    ["a module with a forbidden import", { ...good, module: "./importing.wasm" }, "PROGRAM_IMPORT_FORBIDDEN", 2],
    ["a folder of inputs that is not there", { ...good, inputs: "./none" }, "INPUT_NOT_FOUND", 2],
    ["an empty folder of inputs", { ...good, inputs: "./no-inputs" }, "INPUT_NOT_FOUND", 2],
    ["a list with an input that is not there", { ...good, inputs: ["./inputs/a", "./inputs/z"] }, "INPUT_NOT_FOUND", 2],
    [
      "a content id that nobody has",
      { ...good, inputs: ["bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"] },
      "INPUT_NOT_FOUND",
      2,
    ],
    ["a class without a name", { ...good, class: "gpu" }, "CLASS_UNKNOWN", 2],
    ["a class that is not on chain", { ...good, class: `0x${"5e".repeat(32)}` }, "CLASS_UNKNOWN", 2],
    ["a price below the class's floor", { ...good, prices: { task: "0.00000001" } }, "TERMS_REFUSED", 2],
    ["windows beyond the market's", { ...good, windows: { claim: "3d" } }, "TERMS_REFUSED", 2],
    ["a class with too few nodes", { ...good, mode: "sampled", nodes: {} }, "TERMS_REFUSED", 2],
    ["more than the requester has", { ...good, prices: { task: "34" } }, "BALANCE_TOO_LOW", 4],
  ];

  for (const [what, job, code, exit] of refusals) {
    it(`refuses ${what} and posts nothing`, async () => {
      const ended = await submit(job);
      expect(errorCode(ended), ended.stderr).to.equal(code);
      expect(ended.exit).to.equal(exit);
      expect(ended.stderr).to.match(/^fix: ./m);
      await expectNothingPosted();
    });
  }

  it("refuses a chain that does not answer", async () => {
    await market.agentHome("unreachable", requester, { rpc: ["http://127.0.0.1:1"] });
    const ended = await submit(good, ["--home", join(market.folder, "unreachable")]);
    expect(errorCode(ended), ended.stderr).to.equal("RPC_UNREACHABLE");
    expect(ended.exit).to.equal(3);
    await expectNothingPosted();
  });

  it("refuses another chain than the deployment's", async () => {
    const deployment = join(market.folder, "other-chain.json");
    await writeFile(deployment, JSON.stringify({ ...market.deployment, chainId: 1 }, text));
    const { config } = await market.agentHome("other-chain", requester, { deployment });
    const ended = await submit(good, ["--config", config]);
    expect(errorCode(ended), ended.stderr).to.equal("CHAIN_MISMATCH");
    expect(ended.exit).to.equal(2);
    await expectNothingPosted();
  });

  it("refuses a deployment that is not on the chain", async () => {
    const deployment = join(market.folder, "elsewhere.json");
    await writeFile(deployment, JSON.stringify({ ...market.deployment, vault: `0x${"5e".repeat(20)}` }, text));
    const { config } = await market.agentHome("elsewhere", requester, { deployment });
    const ended = await submit(good, ["--config", config]);
    expect(errorCode(ended), ended.stderr).to.equal("DEPLOYMENT_NOT_FOUND");
    expect(ended.exit).to.equal(2);
    await expectNothingPosted();
  });

  it("refuses a job file that is not there", async () => {
    const ended = await surety(["submit", join(folder, "none.yaml"), "--home", home]);
    expect(errorCode(ended), ended.stderr).to.equal("JOB_FILE_UNREADABLE");
    expect(ended.exit).to.equal(2);
  });

  it("refuses to guess which requester is meant", async () => {
    const none = await surety(["submit", "job.yaml"], { cwd: market.folder });
    expect(errorCode(none), none.stderr).to.equal("REQUESTER_UNKNOWN");
    const two = await surety(["submit", "job.yaml", "--home", home, "--config", config]);
    expect(errorCode(two), two.stderr).to.equal("REQUESTER_UNKNOWN");
    expect(two.exit).to.equal(2);
  });

  it("ends with one JSON object where it fails, too", async () => {
    const ended = await submit({ ...good, module: "./none.wasm" }, ["--home", home, "--json"]);
    expect(ended.stdout.trim().split("\n")).to.have.lengthOf(1);
    expect(lastJson(ended)).to.have.nested.property("error.code", "MODULE_NOT_FOUND");
    expect(lastJson(ended)).to.have.nested.property("error.fix");
  });

  // Last: it leaves something in the inbox.
  it("stores a good job and leaves it for the agent", async () => {
    const ended = await submit(good, ["--home", home, "--json"]);
    expect(ended.exit, ended.stderr).to.equal(0);
    const { ticket, tasks, agent } = lastJson(ended);
    expect(tasks).to.equal(3);
    expect(agent).to.equal(false);
    expect(await readdir(join(home, "inbox"))).to.deep.equal([`${String(ticket)}.json`]);
    // The program, the specification, three inputs and their list.
    expect(await market.published()).to.have.lengthOf(6);
    expect(await market.transactionsOf(requester.address)).to.equal(0);
    const status = lastJson(await surety(["status", String(ticket), "--home", home, "--json"]));
    expect(status).to.include({ ticket, state: "queued" });
  });

  it("refuses a second agent in the same home, and with the same key elsewhere", async () => {
    const account = market.account();
    const first = await market.agentHome("first", account);
    const second = await market.agentHome("second", account);
    const running = startSurety(["requester", "--config", first.config]);
    const ended = end(running);
    try {
      await once(async () => lastJson(await surety(["status", "--home", first.home, "--json"])).agent === true);
      for (const each of [first, second]) {
        const refused = await surety(["requester", "--config", each.config]);
        expect(errorCode(refused), refused.stderr).to.equal("JOURNAL_LOCKED");
        expect(refused.exit).to.equal(5);
      }
    } finally {
      running.kill("SIGTERM");
    }
    expect((await ended).exit).to.equal(0);
  });
});

function text(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

/** Waits until something holds; the test's own limit ends it. */
async function once(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 100));
}
