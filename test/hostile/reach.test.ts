import { spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type ListenOptions } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { DockerExecutor } from "../../agents/executor/docker-executor.ts";
import type { TaskOutcome } from "../../agents/executor/executor.ts";
import { engineSocket, needRuntime, testExecutor, type TestImage } from "../support/docker-engine.ts";
import { findingsOf, needHostileJobs, OpenGround, probeTask, together, type Findings } from "../support/hostile-job.ts";

/** Calls that gVisor answers itself, without any of it reaching the host: to a job it looks as if they worked. */
const answeredInside = {
  runc: [],
  runsc: "io_uring syslog open_by_handle_at setpriority ioprio_set unshare-user unshare-mounts clone".split(" "),
};

/** Open to root on the host, and to no job. */
const forbiddenToWrite = [
  ..."/anywhere /etc/passwd /bin/busybox /in/given /in/new /dev/anything".split(" "),
  ..."/proc/sys/kernel/core_pattern /sys/kernel/mm/transparent_hugepage/enabled /dev/kmsg".split(" "),
];

/** What clouds tell a machine about itself, keys of its account among it. */
const metadata = "169.254.169.254";

/*
 * The probe tries in one run all that does not disturb the rest of it: where it may, which shows that it can, and as a
 * job in each runtime.
 */
describe("What a hostile job can reach", function () {
  this.timeout(180_000);

  const marker = randomBytes(24).toString("hex");
  const backwards = [...marker].reverse().join("");
  const key = randomInt(1 << 20, 1 << 30);
  const cleanUp: (() => unknown)[] = [];
  let image: TestImage;
  let ground: OpenGround;
  let survey: string[];
  let open: Map<string, Findings>;

  before(async function () {
    image = await needHostileJobs(this);
    ground = new OpenGround(image);
    await ground.load();

    // An agent's secrets: in a file, and in the environment of a process.
    const home = await mkdtemp(join(tmpdir(), "surety-hostile-"));
    await writeFile(join(home, "key"), `0x${marker}\n`);
    const agent = spawn("sleep", ["600"], { env: { SURETY_KEY: `0x${marker}` }, stdio: "ignore" });
    cleanUp.push(
      () => rm(home, { recursive: true }),
      () => agent.kill("SIGKILL"),
    );

    // What a host offers: on each of its addresses, to whoever asks for a name, and to its own processes.
    const tcp = await offeredTcp();
    const udp = await offeredUdp();
    const commands = (folders: string[]): string[] =>
      together(
        ["calls"],
        ["namespaces"],
        ["sockets"],
        ["tcp", ...tcp],
        ["udp", ...udp],
        ["unix", "/var/run/docker.sock"],
        ["write", ...forbiddenToWrite],
        ["execute-from", "/tmp/run"],
        ["mlock", "100"],
        ["outside", String(agent.pid)],
        ["environment"],
        ["find", backwards, ...folders],
      );
    survey = commands(["/proc", "/in", "/out", "/tmp", "/etc", "/dev"]);
    const binds = ["/sys:/sys", "/dev/kmsg:/dev/kmsg", `${engineSocket}:/var/run/docker.sock`, `${home}:/in`];
    open = findingsOf(await ground.run(commands([`/proc/${agent.pid}`, "/in"]), { Binds: binds }));
  });

  after(() => Promise.all(cleanUp.map((undo) => undo())));

  for (const what of [
    "calls",
    "namespaces",
    "sockets",
    "tcp",
    "udp",
    "unix",
    "write",
    "execute-from",
    "mlock",
    "outside",
  ])
    it(`control: is all there where ${what} may do what it tries`, () => {
      expect(open.get(what)?.size).to.be.greaterThan(0);
      expect(failures(open.get(what))).to.deep.equal([]);
    });

  it("control: finds the agent's key where it can see its home and its process", () => {
    expect(Number(open.get("find")?.get("matches"))).to.be.greaterThan(1);
  });

  it("control: takes the rights of whoever owns a program", async () => {
    const said = findingsOf(await ground.run(["raise", "/bin/raise"], {}, "65534:65534")).get("");
    expect(said?.get("effective user")).to.equal("0");
  });

  it("control: takes an address of its own and calls it, where it may", async () => {
    const said = findingsOf(await ground.run(["call-itself", metadata, "80"], { NetworkMode: "none", PidMode: "" }));
    expect(failures(said.get(""))).to.deep.equal([]);
  });

  it("control: finds what another container offers where both share memory and network", async () => {
    const other = randomInt(1 << 20, 1 << 30);
    const offered = ground.run(["offer", String(other), "4"], { IpcMode: "host" });
    const taken = await eventually(async () => {
      const said = findingsOf(await ground.run(["take", String(other)], { IpcMode: "host" })).get("");
      return failures(said).length === 0 ? said : undefined;
    });
    expect([...taken.keys()]).to.deep.equal(["segment", "socket"]);
    await offered;
  });

  for (const runtime of ["runc", "runsc"] as const)
    describe(`in ${runtime}`, () => {
      let executor: DockerExecutor;
      let outcome: TaskOutcome;
      let said: Map<string, Findings>;

      before(async function () {
        if (runtime === "runsc") await needRuntime(this, runtime);
        executor = testExecutor({ runtime });
        // Another job, with secrets of its own, is there all the while.
        const other = new AbortController();
        const running = Promise.withResolvers<void>();
        const task = probeTask(image, ["offer", String(key), "100"], {}, [["secret", marker]]);
        const neighbour = executor.run(task, {
          signal: other.signal,
          watch: () => (running.resolve(), { ended: () => undefined }),
        });
        await Promise.race([running.promise, neighbour]);
        const commands = [...survey, ...together(["take", String(key)], ["raise", "/bin/raise"], ["who"])];
        outcome = await executor.run(probeTask(image, commands, {}, [["given", "what it was given"]]));
        other.abort();
        await neighbour.catch(() => undefined);
        said = findingsOf(outcome.stdout);
      });
      after(() => executor?.close());

      for (const what of ["calls", "namespaces", "sockets"])
        it(`is refused ${what} that lead out`, () => {
          expect([...(said.get(what)?.keys() ?? [])]).to.deep.equal([...open.get(what)!.keys()]);
          const inside: readonly string[] = answeredInside[runtime];
          expect(successes(said.get(what)).filter((name) => !inside.includes(name))).to.deep.equal([]);
        });

      it("reaches no address: not the host, nor what is beside it, nor by IPv6", () => refused("tcp"));
      it("has no names resolved", () => refused("udp"));
      it("reaches no socket of the host's processes, the engine's among them", () => refused("unix"));
      it("writes nowhere but where it may", () => refused("write"));
      it("runs nothing that it wrote", () => refused("execute-from"));
      it("pins no memory", () => refused("mlock"));
      it("reaches no process outside", () => refused("outside"));
      it("finds nothing of another job in memory or network", () => refused("take"));

      it("gets no rights from a program that has root's", () => {
        expect(said.get("raise")?.has("execute")).to.equal(true);
        expect(outcome.stdout.toString()).to.not.include("effective user = 0\n");
      });

      it("sees no key of the agent and no data of another job", () => {
        expect(Number(said.get("find")?.get("files"))).to.be.greaterThan(0);
        expect(said.get("find")?.get("matches")).to.equal("0");
      });

      it("is told nothing of the agent's environment", () => {
        const names = [...(said.get("environment")?.keys() ?? [])];
        expect(names).to.include("PATH");
        const ours = Object.keys(process.env).filter(
          (name) => !["PATH", "HOME", "HOSTNAME", "LANG", "TZ"].includes(name),
        );
        expect(names.filter((name) => ours.includes(name))).to.deep.equal([]);
      });

      it("takes no address of its own on a network that is not there", async () => {
        const result = await executor.run(probeTask(image, ["call-itself", metadata, "80"]));
        expect(successes(findingsOf(result.stdout).get(""))).to.not.include(metadata);
      });

      function refused(what: string): void {
        const findings = said.get(what);
        expect(findings?.size, `${what} was not tried`).to.be.greaterThan(0);
        expect(successes(findings)).to.deep.equal([]);
      }
    });

  /** A server on each of the host's addresses, and the probe's arguments for all of them. */
  async function offeredTcp(): Promise<string[]> {
    const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    const usable = all.filter(({ address }) => !address.startsWith("fe80:"));
    if (!usable.some(({ family }) => family === "IPv6")) console.warn("    !! this host has no IPv6: not tested");
    const words: string[] = [];
    for (const { address } of usable) words.push(address, String(await listen({ host: address })));
    return words;
  }

  async function offeredUdp(): Promise<string[]> {
    const server = createSocket("udp4");
    server.on("message", (question, from) => server.send(question, from.port, from.address));
    server.bind(0, "0.0.0.0");
    await once(server, "listening");
    cleanUp.push(() => server.close());
    const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    const usable = all.filter(({ family }) => family === "IPv4");
    return usable.flatMap(({ address }) => [address, String(server.address().port)]);
  }

  async function listen(where: ListenOptions): Promise<number> {
    const server = createServer((socket) => socket.destroy());
    server.listen({ port: 0, ...where });
    await once(server, "listening");
    cleanUp.push(() => server.close());
    return (server.address() as AddressInfo).port;
  }
});

function successes(findings: Findings | undefined): string[] {
  return [...(findings ?? [])].flatMap(([what, result]) => (result === "ok" ? [what] : []));
}

function failures(findings: Findings | undefined): string[] {
  return [...(findings ?? [])].flatMap(([what, result]) => (/^E[A-Z0-9]+$/.test(result) ? [`${what} ${result}`] : []));
}

async function eventually<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let left = 20; ; left--) {
    const result = await attempt();
    if (result !== undefined) return result;
    if (left === 0) throw new Error("it never came");
  }
}
