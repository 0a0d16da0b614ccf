import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseEther, toQuantity, Wallet } from "ethers";
import { systemClock } from "#sdk/clock.ts";
import { formatDeployment, loadDeployment, verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import { DEPLOY_GAS } from "../../deploy/check.ts";
import { networkNames, readNetwork } from "../../deploy/network.ts";
import { readDeployParameters } from "../../deploy/parameters.ts";
import { Anvil } from "../support/anvil.ts";
import { end, errorCode, lastJson, startSurety, surety, type Ended } from "../support/command-line.ts";
import { FaultProxy } from "../support/fault-proxy.ts";

/** Token, vault, registry, five parts of the market, schemas, requests, and two classes. */
const TRANSACTIONS = 12;

describe("networks", () => {
  it("have parameters that their pace leaves time for", async () => {
    const names = await networkNames();
    expect(names).to.include.members(["localhost", "sepolia", "hoodi", "base-sepolia", "op-sepolia"]);
    const networks = await Promise.all(names.map(readNetwork));
    expect(new Set(networks.map(({ chainId }) => chainId))).to.have.property("size", names.length);
    for (const { name, parameters, blockSeconds, finality } of networks) {
      const { drawDelay, finalDepth } = await readDeployParameters(parameters);
      expect(drawDelay, name).to.be.at.least(finalDepth * blockSeconds);
      if ("depth" in finality) expect(finality.depth, name).to.be.at.least(finalDepth);
    }
  });
});

describe("surety deploy --network", function () {
  this.timeout(240_000);
  let folder: string;
  let chain: Anvil;
  let book: string;
  let deployment: Deployment;
  const { address, privateKey } = Wallet.createRandom();
  const stops: (() => Promise<void>)[] = [];

  const args = (...more: string[]): string[] => [
    ...["deploy", "--network", "localhost", "--rpc", chain.url, "--key-env", "A_KEY", "--json"],
    ...["--out", book, "--journal", join(folder, "journal"), ...more],
  ];
  const env = { A_KEY: privateKey };
  const deploy = (...more: string[]): Promise<Ended> => surety(args(...more), { env });
  const sent = async (): Promise<number> => Number(await chain.send("eth_getTransactionCount", address, "latest"));

  async function check(...more: string[]): Promise<{ exit: number | null; flaws: string[]; codes: string[] }> {
    const ended = await deploy("--check", ...more);
    const { findings = [] } = lastJson(ended) as { findings?: { code: string; verdict: string }[] };
    const flaws = findings.filter(({ verdict }) => verdict === "flaw").map(({ code }) => code);
    return { exit: ended.exit, flaws, codes: findings.map(({ code }) => code) };
  }

  async function mineWhile(goOn: () => Promise<boolean>): Promise<void> {
    while (await goOn()) {
      await chain.mine();
      await systemClock.sleep(50);
    }
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-deploy-"));
    book = join(folder, "surety.json");
    chain = await Anvil.start();
    stops.push(() => chain.stop("SIGKILL"));
    await chain.mine(5);
  });
  after(async () => {
    await Promise.all(stops.map((stop) => stop()));
    await rm(folder, { recursive: true, force: true });
  });

  it("refuses networks there are no files for, and to go without an address or a key", async () => {
    const cases: [string[], string][] = [
      [["--network", "nowhere"], "NETWORK_UNKNOWN"],
      [["--network", "sepolia", "--key-env", "A_KEY"], "USAGE"],
      [["--network", "localhost", "--rpc", chain.url], "USAGE"],
      [["--network", "localhost", "--rpc", chain.url, "--keystore", "key.json"], "USAGE"],
      [["--check", "--rpc", chain.url], "USAGE"],
    ];
    for (const [more, code] of cases) {
      const ended = await surety(["deploy", ...more, "--json"], { env: { ...env, SEPOLIA_RPC: "" } });
      expect([errorCode(ended), ended.exit], more.join(" ")).to.deep.equal([code, 2]);
    }
  });

  it("says before anything is sent whether the money suffices", async () => {
    expect(await check()).to.deep.include({ exit: 1, flaws: ["SENDER_UNFUNDED"] });
    await chain.send("anvil_setBalance", address, toQuantity(parseEther("1")));
    expect(await check()).to.deep.include({ exit: 0, flaws: [] });
    expect(await sent()).to.equal(0);
  });

  it("refuses a chain on which contracts see other blocks than clients", async () => {
    const proxy = await FaultProxy.start(chain.url);
    stops.push(() => proxy.close());
    const lies: ((seen: string) => string)[] = [
      (seen) => `0x${"00".repeat(31)}99${seen.slice(66)}`,
      (seen) => `${seen.slice(0, 66)}${"11".repeat(32)}`,
    ];
    for (const lie of lies) {
      const lift = proxy.inject(
        { kind: "rewrite", result: (_request, seen) => lie(seen as string) },
        { methods: ["eth_call"] },
      );
      expect(await check("--rpc", proxy.url)).to.deep.include({ exit: 1, flaws: ["CHAIN_UNSUITABLE"] });
      const ended = await deploy("--rpc", proxy.url);
      expect(errorCode(ended)).to.equal("CHAIN_UNSUITABLE");
      lift();
    }
    proxy.inject({ kind: "error", code: -32000, message: "invalid opcode: MCOPY" }, { methods: ["eth_call"] });
    expect(await check("--rpc", proxy.url)).to.deep.include({ exit: 1, flaws: ["CHAIN_UNSUITABLE"] });
    expect(await sent()).to.equal(0);
  });

  it("knows what it sent though it was killed in the middle of sending", async () => {
    const proxy = await FaultProxy.start(chain.url);
    stops.push(() => proxy.close());
    const signed = join(folder, "journal", "signed.txt");
    const count = async (): Promise<number> => Number(await chain.send("eth_getTransactionCount", address, "pending"));
    const killedSending = async (kind: "hang" | "half-open", after = 0): Promise<string[]> => {
      const child = startSurety(args("--rpc", proxy.url), { env });
      const ended = end(child);
      await mineWhile(async () => (await count()) < after);
      const lift = proxy.inject({ kind }, { methods: ["eth_sendRawTransaction"] });
      const harmed = proxy.harmed;
      await mineWhile(async () => proxy.harmed === harmed);
      child.kill("SIGKILL");
      expect((await ended).exit).to.equal(null);
      lift();
      return (await readFile(signed, "utf8")).trim().split("\n");
    };

    // Signed and sent, and the answer lost: the node has it.
    expect(await killedSending("half-open")).to.have.length(1);
    expect(await count()).to.equal(1);
    // Signed and never sent: it is sent when the deployment is gone on with.
    const kept = await killedSending("hang");
    expect([kept.length, await count()]).to.deep.equal([2, 1]);
    expect(await killedSending("half-open")).to.deep.equal(kept);
    expect(await count()).to.equal(2);
    // Not even signed: as if nothing had been begun.
    const more = await killedSending("hang", 3);
    await writeFile(
      signed,
      more
        .map((raw) => `${raw}\n`)
        .slice(0, -1)
        .join(""),
    );
    expect(await count()).to.equal(more.length - 1);
    await expectMissing(book);
  });

  it("goes on where it was killed, and sends nothing twice", async () => {
    for (const least of [4, 6]) {
      const child = startSurety(args(), { env });
      const ended = end(child);
      await mineWhile(async () => (await sent()) < least);
      child.kill("SIGKILL");
      expect((await ended).exit).to.equal(null);
      await expectMissing(book);
    }
    let running = true;
    const finished = deploy().finally(() => (running = false));
    await mineWhile(async () => running);
    const ended = await finished;
    expect(ended.exit, ended.stderr).to.equal(0);
    expect(await sent()).to.equal(TRANSACTIONS);
    deployment = loadDeployment(await readFile(book, "utf8"));
    await verifyDeployment(chain.rpc, deployment);
    expect(deployment.classes.map(({ name, terms }) => [name, terms.runtime, terms.fullSlash])).to.deep.equal([
      ["wasm", "wasm", true],
      ["container", "container", false],
    ]);
    const addresses = [deployment.token.address, deployment.market, deployment.registry, deployment.vault];
    const logs = (await chain.send("eth_getLogs", { fromBlock: "0x0", toBlock: "latest", address: addresses })) as {
      blockNumber: string;
    }[];
    expect(deployment.startBlock).to.be.within(6, Math.min(...logs.map(({ blockNumber }) => Number(blockNumber))));
  });

  it("spends less gas than its check counts with, and not much less", async () => {
    let spent = 0n;
    for (let number = 0; number <= (await chain.height()); number += 1) {
      const receipts = (await chain.send("eth_getBlockReceipts", toQuantity(number))) as { gasUsed: string }[];
      spent += receipts.reduce((sum, { gasUsed }) => sum + BigInt(gasUsed), 0n);
    }
    expect(DEPLOY_GAS >= spent && DEPLOY_GAS <= (spent * 3n) / 2n, String(spent)).to.equal(true);
  });

  it("does nothing more when it is called again, but write the same address book", async () => {
    const before = await readFile(book, "utf8");
    await writeFile(book, "");
    const ended = await deploy();
    expect(ended.exit, ended.stderr).to.equal(0);
    expect(await sent()).to.equal(TRANSACTIONS);
    expect(await readFile(book, "utf8")).to.equal(before);
  });

  it("finds nothing wrong with what it deployed", async () => {
    const { exit, flaws, codes } = await check();
    expect([exit, flaws]).to.deep.equal([0, []]);
    expect(codes.filter((code) => code === "CODE")).to.have.length(10);
    expect(codes).to.include.members(["BLOCKS", "DEPLOYMENT", "SAME_PARAMETERS"]);
  });

  it("takes an address book from before there was class container, or evaluated jobs, and none with others", async () => {
    const text = await readFile(book, "utf8");
    const classes = deployment.classes.filter(({ name }) => name !== "container");
    await writeFile(book, formatDeployment({ ...deployment, classes }));
    const older = await check();
    expect(older).to.deep.include({ exit: 0, flaws: [] });
    expect(older.codes).to.include.members(["CLASS_MISSING", "SAME_PARAMETERS"]);

    const { schemas: _schemas, requests: _requests, ...unevaluated } = deployment;
    await writeFile(book, formatDeployment(unevaluated));
    const oldest = await check();
    expect(oldest).to.deep.include({ exit: 0, flaws: [] });
    expect(oldest.codes).to.include.members(["SCHEMAS_MISSING", "SAME_PARAMETERS"]);

    const renamed = { ...classes[0]!, name: "container" };
    await writeFile(book, formatDeployment({ ...deployment, classes: [...classes, renamed] }));
    expect(await check()).to.deep.include({ exit: 1, flaws: ["DEPLOYMENT_MISMATCH"] });
    await writeFile(book, text);
  });

  it("finds another chain, another journal, other code and other parameters", async () => {
    const other = await Anvil.start({ args: ["--chain-id", "7"] });
    stops.push(() => other.stop("SIGKILL"));
    expect(await check("--rpc", other.url)).to.deep.include({ exit: 1, flaws: ["CHAIN_MISMATCH"] });
    expect(errorCode(await deploy("--rpc", other.url))).to.equal("CHAIN_MISMATCH");

    const again = await Anvil.start();
    stops.push(() => again.stop("SIGKILL"));
    await again.mine(5);
    expect(await check("--rpc", again.url)).to.deep.include({ exit: 1, flaws: ["DEPLOYMENT_NOT_FOUND"] });
    expect(errorCode(await deploy("--rpc", again.url))).to.equal("DEPLOY_JOURNAL_FOREIGN");

    expect((await check("--parameters", "testnet")).flaws).to.include("DEPLOYMENT_MISMATCH");

    const code = (await chain.send("eth_getCode", deployment.vault, "latest")) as string;
    await chain.send("anvil_setCode", deployment.vault, `${code.slice(0, -2)}ff`);
    expect(await check()).to.deep.include({ exit: 1, flaws: ["CODE_FOREIGN"] });
    await chain.send("anvil_setCode", deployment.vault, code);
  });

  it("refuses to go on with other parameters than it began with", async () => {
    const file = JSON.parse(await readFile(new URL("../../deploy/parameters/local.json", import.meta.url), "utf8"));
    const changed = join(folder, "parameters.json");
    await writeFile(changed, JSON.stringify({ Surety: { ...file.Surety, minWindow: 3 } }));
    const ended = await deploy("--parameters", changed);
    expect([errorCode(ended), ended.exit]).to.deep.equal(["DEPLOY_CHANGED", 2]);
    expect(await sent()).to.equal(TRANSACTIONS);
  });
});

async function expectMissing(path: string): Promise<void> {
  expect(
    await access(path).then(
      () => "there",
      () => "missing",
    ),
  ).to.equal("missing");
}
