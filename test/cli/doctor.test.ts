import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseUnits, Wallet } from "ethers";
import { loadDeployment } from "#sdk/deployment.ts";
import * as calls from "#sdk/request-calls.ts";
import { ROLES, schemaIdOf } from "#sdk/request-terms.ts";
import type { Area } from "../../agents/doctor/doctor.ts";
import type { Finding } from "../../agents/doctor/finding.ts";
import { end, errorCode, lastJson, startSurety, surety } from "../support/command-line.ts";
import { engineSocket, needEngine } from "../support/docker-engine.ts";
import { LocalMarket } from "../support/local-market.ts";

/** Who may do nothing. */
const NOBODY = 65_534;

interface Report {
  exit: number | null;
  areas: Area[];
  /** All findings that are not ok, as `area: about: code`. */
  trouble: string[];
}

describe("surety doctor", function () {
  // It starts a process for each look.
  this.timeout(180_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-doctor-test-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function examine(config?: string, { uid }: { uid?: number } = {}): Promise<Report> {
    const args = ["doctor", "--json", ...(config === undefined ? [] : ["--config", config])];
    const child = startSurety(args, { cwd: folder, ...(uid === undefined ? {} : { uid }) });
    const ended = await end(child);
    const { areas, problems, warnings } = lastJson(ended) as unknown as Record<"problems" | "warnings", number> & {
      areas: Area[];
    };
    const findings = areas.flatMap(({ name, findings }) => findings.map((finding) => ({ name, ...finding })));
    const bad = findings.filter(({ verdict }) => verdict !== "ok");
    expect(bad.filter(({ verdict }) => verdict === "problem")).to.have.lengthOf(problems);
    expect(bad.filter(({ verdict }) => verdict === "warning")).to.have.lengthOf(warnings);
    expect(ended.exit).to.equal(problems > 0 ? 1 : 0);
    // Whatever is wrong, a reader must be told what to do.
    for (const finding of bad)
      expect(finding, finding.says)
        .to.have.property("fix")
        .that.match(/^[A-Za-z].{10}/);
    const codeOf = (finding: Finding): string => ("code" in finding ? `: ${finding.code}` : "");
    const trouble = bad.map((finding) => `${finding.name}: ${finding.about}${codeOf(finding)}`);
    return { exit: ended.exit, areas, trouble };
  }

  function finding({ areas }: Report, area: Area["name"], about: string): Finding {
    const found = areas.find(({ name }) => name === area)?.findings.find((each) => each.about === about);
    if (!found) throw new Error(`${area}: ${about} was not looked at`);
    return found;
  }

  describe("without a configuration", () => {
    it("looks at the host, and takes nothing for a problem that nobody has asked for", async () => {
      const report = await examine();
      expect(report.exit).to.equal(0);
      expect(report.areas.map(({ name }) => name)).to.deep.equal(["configuration", "host", "containers"]);
      expect(report.trouble).to.include("configuration: none given");
      expect(finding(report, "host", "WebAssembly")).to.include({ verdict: "ok" });
      expect(finding(report, "host", "Node").says).to.include(process.versions.node);
    });

    it("says to a person beneath each line that is not ok what to do", async () => {
      const { exit, stdout } = await surety(["doctor"], { cwd: folder });
      expect(exit).to.equal(0);
      const lines = stdout.split("\n");
      const bad = lines.flatMap((line, at) => (/^ {2}(warning|problem) /.test(line) ? [at] : []));
      expect(bad).not.to.deep.equal([]);
      for (const at of bad) expect(lines[at + 1], lines[at]).to.match(/^ {11}-> /);
    });

    it("refuses what it does not know with status 2", async () => {
      const ended = await surety(["doctor", "--colour"]);
      expect(ended.exit).to.equal(2);
      expect(errorCode(ended)).to.equal("USAGE");
    });
  });

  it("takes a configuration that is missing or wrong for a problem, and looks at the host all the same", async () => {
    const missing = await examine("missing.yaml");
    expect(missing.trouble).to.include("configuration: missing.yaml: CONFIG_INVALID");
    await writeFile(join(folder, "wrong.yaml"), "home: x\nrpc: [ftp://x]\n");
    const wrong = await examine("wrong.yaml");
    expect(finding(wrong, "configuration", "wrong.yaml").says.split("\n")).to.have.length.above(2);
    expect(finding(wrong, "host", "Node")).to.include({ verdict: "ok" });
  });

  describe("with an agent's configuration", () => {
    let market: LocalMarket;
    let account: Wallet;

    before(async () => {
      market = await LocalMarket.start();
      account = market.account();
      await market.give(account.address, parseUnits("3000", 18));
    });
    after(() => market?.stop());

    let count = 0;
    /** A compute node's configuration in a home of its own; what it says has changed. */
    async function node(settings: object = {}, owner = account): Promise<{ home: string; config: string }> {
      const usual = { class: market.deployment.classes[0]?.id, stake: "2000" };
      const made = await market.agentHome(`node-${(count += 1)}`, owner, { ...usual, ...settings });
      await chmod(made.home, 0o700);
      return made;
    }

    /** What is wrong with the agent; the machine that tests run on may be short of this and that. */
    const agentTrouble = (report: Report): string[] =>
      report.trouble.filter((each) => !/^(containers|host):/.test(each));

    it("finds nothing wrong where nothing is, but that the agent is not there yet", async () => {
      const { home, config } = await node();
      const report = await examine(config);
      expect(agentTrouble(report)).to.deep.equal(["market: membership"]);
      expect(finding(report, "storage", "storage")).to.include({ verdict: "ok" });
      expect(finding(report, "home", "home").says).to.equal(home);
    });

    it("changes nothing in a home", async () => {
      const { home, config } = await node();
      const before = await readFile(config);
      await examine(config);
      expect(await readdir(home)).to.deep.equal(["config.json"]);
      expect(await readFile(config)).to.deep.equal(before);
    });

    it("names the chain that an endpoint is on and the one that the contracts are on", async () => {
      const book = JSON.parse(await readFile(market.deploymentPath, "utf8")) as object;
      const { config } = await node({ deployment: { ...book, chainId: 11_155_111 } });
      const report = await examine(config);
      const about = `endpoint ${new URL(market.chain.url).host}`;
      expect(report.trouble).to.include(`chain: ${about}: CHAIN_MISMATCH`);
      const found = finding(report, "chain", about);
      expect(found.says).to.include("31337").and.include("11155111");
      expect(report.areas.find(({ name }) => name === "market")).to.have.property("skipped");
    });

    it("takes an endpoint that does not answer for a problem, unless another does", async () => {
      const dead = "http://127.0.0.1:9";
      const alone = await examine((await node({ rpc: [dead] })).config);
      expect(alone.trouble).to.include("chain: endpoint 127.0.0.1:9: RPC_UNREACHABLE");
      expect(finding(alone, "chain", "endpoint 127.0.0.1:9").verdict).to.equal("problem");
      const second = await examine((await node({ rpc: [dead, market.chain.url] })).config);
      expect(finding(second, "chain", "endpoint 127.0.0.1:9").verdict).to.equal("warning");
      expect(finding(second, "market", "contracts").verdict).to.equal("ok");
    });

    it("says that no contract is where the address book says", async () => {
      const deployment = loadDeployment(await readFile(market.deploymentPath, "utf8"));
      const book = JSON.parse(await readFile(market.deploymentPath, "utf8")) as object;
      const { config } = await node({ deployment: { ...book, vault: account.address } });
      expect((await examine(config)).trouble).to.include("market: contracts: DEPLOYMENT_NOT_FOUND");
      const mixed = await node({ deployment: { ...book, vault: deployment.registry } });
      expect((await examine(mixed.config)).trouble).to.include("market: contracts: DEPLOYMENT_MISMATCH");
    });

    it("says that an account can pay neither gas nor stake", async () => {
      const poor = new Wallet(Wallet.createRandom().privateKey);
      const { config } = await node({}, poor);
      expect(agentTrouble(await examine(config))).to.deep.equal([
        "market: gas: SENDER_UNFUNDED",
        "market: stake: STAKE_UNAFFORDABLE",
        "market: membership",
      ]);
    });

    it("says that the market has no such class", async () => {
      const { config } = await node({ class: `0x${"12".repeat(32)}` });
      expect((await examine(config)).trouble).to.include("market: class: CLASS_UNKNOWN");
    });

    it("says what part a participant has in the jobs that it is configured for, and what keeps it from one", async () => {
      const { chainId, schemas } = market.deployment as { chainId: number; schemas: string };
      const [admin, worker] = [market.account(), market.account()];
      const jobOf = async (jobs: object[], who = worker, settings: object = {}): Promise<[string[], Finding[]]> => {
        const { home, config } = await market.agentHome(`participant-${(count += 1)}`, who, { jobs, ...settings });
        await chmod(home, 0o700);
        const report = await examine(config);
        const { findings } = report.areas.find(({ name }) => name === "market")!;
        return [agentTrouble(report), findings.filter(({ about }) => about === "job" || about === "tokens")];
      };
      const release = `0x${"34".repeat(32)}`;
      const terms = { release, minimumDeposit: 2n, challengeFee: 1n, rewardFunctions: 1, nonce: 0n };
      const schema = schemaIdOf({ chainId, schemas }, admin.address, terms);
      const asWorker = [{ schema, roles: ["worker"] }];
      expect((await jobOf(asWorker))[0]).to.deep.equal(["market: job: SCHEMA_UNKNOWN"]);
      await market.sendAs(admin, [calls.registerJob(schemas, { terms })]);
      const [, [tokens, none]] = await jobOf(asWorker);
      expect(tokens).to.include({ verdict: "ok" });
      expect(none!.says).to.equal(`is to be worker of ${schema}, and has there: no part`);
      await market.sendAs(worker, [calls.applyJob(schemas, { schema, roles: ROLES.worker, parent: admin.address })]);
      expect((await jobOf(asWorker))[1][1]!.says).to.equal(`has asked ${admin.address} to be worker of ${schema}`);
      await market.sendAs(admin, [calls.approveNode(schemas, { schema, node: worker.address, roles: ROLES.worker })]);
      expect(await jobOf([...asWorker, { registrant: admin.address, roles: ["worker"] }])).to.deep.equal([
        [],
        [
          tokens,
          { about: "job", says: `worker of ${schema}`, verdict: "ok" },
          { about: "job", says: `worker of whatever ${admin.address} registers`, verdict: "ok" },
        ],
      ]);
      const both = [{ schema, roles: ["evaluator", "worker"] }];
      const [trouble, [, some]] = await jobOf(both, worker, { funds: "3" });
      expect(trouble).to.deep.equal(["market: tokens", "market: job"]);
      expect(some!.says).to.equal(`is to be evaluator and worker of ${schema}, and has there: worker`);
      await market.sendAs(admin, [calls.drop(schemas, { schema, node: worker.address })]);
      expect((await jobOf(asWorker))[1][1]!.says).to.contain(`dropped from job ${schema} by ${admin.address}`);
    });

    it("says that storage takes nothing, or serves nothing", async () => {
      const { url } = market.gateway;
      const storage = { kind: "embedded", gateways: [url], publishTo: url, token: "wrong" };
      expect((await examine((await node({ storage })).config)).trouble).to.include("storage: storage: STORAGE_REFUSED");
      const kubo = { kind: "kubo", url: "http://127.0.0.1:9" };
      const report = await examine((await node({ storage: kubo })).config);
      expect(report.trouble).to.include("storage: Kubo 127.0.0.1:9: STORAGE_UNREACHABLE");
      const nowhere = await examine((await node({ storage: { kind: "embedded" } })).config);
      expect(nowhere.trouble).to.include.members(["storage: publishing", "storage: gateways"]);
    });

    it("says that a key is not there, and that others can read one that is", async () => {
      const { home, config } = await node({ key: { file: "node.key" } });
      expect((await examine(config)).trouble).to.include("key: key: KEY_UNREADABLE");
      await writeFile(join(home, "node.key"), account.privateKey, { mode: 0o644 });
      const readable = await examine(config);
      expect(readable.trouble).to.include("key: key file");
      expect(finding(readable, "key", "key file")).to.include({ verdict: "warning" });
      await chmod(join(home, "node.key"), 0o600);
      expect(agentTrouble(await examine(config))).to.deep.equal(["market: membership"]);
    });

    it("says that others can look into a home, and that a journal is damaged", async () => {
      const { home, config } = await node();
      await chmod(home, 0o755);
      await writeFile(
        join(home, "journal.sqlite"),
        "no database at all, but long enough to be looked at as one".repeat(40),
      );
      const report = await examine(config);
      expect(report.trouble).to.include.members(["home: home", "home: journal: JOURNAL_INVALID"]);
    });

    it("says that somebody has a port, unless that is the agent", async () => {
      const taken = createServer().listen(0, "127.0.0.1");
      await once(taken, "listening");
      const { port } = taken.address() as AddressInfo;
      const { config } = await node({ monitoring: { listen: `127.0.0.1:${port}` } });
      const report = await examine(config);
      taken.close();
      expect(report.trouble).to.include(`home: port ${port}: MONITORING_PORT`);
    });

    it("sees an agent at work, and another home with its key", async () => {
      const { config } = await node();
      const agent = startSurety(["compute", "--config", config]);
      const ended = end(agent);
      try {
        let report = await examine(config);
        for (let tries = 0; tries < 50 && agentTrouble(report).length > 0; tries += 1) report = await examine(config);
        expect(agentTrouble(report)).to.deep.equal([]);
        expect(finding(report, "home", "agent").says).to.include(String(agent.pid));
        const other = await examine((await node()).config);
        expect(other.trouble).to.include("market: account: JOURNAL_LOCKED");
      } finally {
        agent.kill("SIGKILL");
        await ended;
      }
    });

    describe("of containers", () => {
      let server: Server | undefined;
      afterEach(() => server?.close());

      async function withSocket(socket: string, { uid }: { uid?: number } = {}): Promise<Finding> {
        const { config } = await node({ executor: { kind: "docker", socket } });
        return finding(await examine(config, { uid }), "containers", "Docker");
      }

      it("tells an engine that is not there from one that has stopped and one that hangs", async () => {
        const missing = await withSocket(join(folder, "missing.sock"));
        expect(missing).to.include({ verdict: "problem", code: "ENGINE_UNREACHABLE" });

        const stopped = join(folder, "stopped.sock");
        const script = `require("net").createServer().listen(${JSON.stringify(stopped)}, () => console.log("up"))`;
        const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
        await once(child.stdout, "data");
        child.kill("SIGKILL");
        await once(child, "exit");
        const dead = await withSocket(stopped);
        expect(dead).to.include({ verdict: "problem", code: "ENGINE_UNREACHABLE" });

        const hanging = join(folder, "hanging.sock");
        server = createServer(() => undefined).listen(hanging);
        await once(server, "listening");
        const stuck = await withSocket(hanging);
        expect(stuck).to.include({ verdict: "problem", code: "ENGINE_UNREACHABLE" });

        const fixes = [missing, dead, stuck].map((each) => ("fix" in each ? each.fix : ""));
        expect(new Set(fixes).size).to.equal(3);
      });

      it("says that its user may not use the engine", async function () {
        const forbidden = join(folder, "forbidden.sock");
        server = createServer(() => undefined).listen(forbidden);
        await once(server, "listening");
        await chmod(forbidden, 0o000);
        await chmod(folder, 0o755);
        const isRoot = process.getuid?.() === 0;
        // What root may not do is nothing.
        const { config } = await node({ executor: { kind: "docker", socket: forbidden } });
        if (isRoot) await shareWith(config);
        const report = await examine(config, isRoot ? { uid: NOBODY } : {});
        expect(finding(report, "containers", "Docker")).to.include({ verdict: "problem", code: "ENGINE_FORBIDDEN" });
      });

      /** Lets everybody read a configuration and what it names. */
      async function shareWith(config: string): Promise<void> {
        for (const path of [market.folder, join(config, ".."), config, market.deploymentPath]) await chmod(path, 0o755);
      }

      it("knows what a real engine can and cannot do", async function () {
        const { version, defaultRuntime } = await needEngine(this);
        const { config } = await node({ executor: { kind: "docker", socket: engineSocket } });
        const report = await examine(config);
        expect(finding(report, "containers", "Docker")).to.include({ verdict: "ok" });
        expect(finding(report, "containers", "Docker").says).to.include(version);
        expect(finding(report, "containers", "runtime").says).to.include(defaultRuntime);
        expect(report.trouble).to.include("market: class: EXECUTOR_UNSUITABLE");
        const odd = await node({ executor: { kind: "docker", socket: engineSocket, runtime: "unheard-of" } });
        expect((await examine(odd.config)).trouble).to.include("containers: runtime: EXECUTOR_UNSUITABLE");
      });

      it("says that GPUs are offered that are not there", async function () {
        const { config } = await node({ executor: { kind: "docker", socket: engineSocket, gpus: [{ id: "31" }] } });
        expect((await examine(config)).trouble).to.include("containers: GPUs: GPU_UNAVAILABLE");
      });
    });
  });
});
