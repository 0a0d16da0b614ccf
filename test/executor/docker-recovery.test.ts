import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { expect } from "chai";
import { connectEngine, probeEngine } from "../../agents/executor/docker/engine.ts";
import type { TaskOutcome } from "../../agents/executor/executor.ts";
import {
  busyboxImage,
  engineSocket,
  needEngine,
  ownedBy,
  shell,
  testExecutor,
  testTask,
  type TestImage,
} from "../support/docker-engine.ts";

const agent = new URL("../support/lasting-container.ts", import.meta.url).pathname;

/** What only root does; elsewhere by way of sudo, if that asks no password. */
const root = process.getuid!() === 0 ? [] : ["sudo", "-n"];
const asRoot = (...command: string[]): [string, string[]] => {
  const [first, ...rest] = [...root, ...command];
  return [first!, rest];
};
const doAsRoot = async (...command: string[]): Promise<unknown> => promisify(execFile)(...asRoot(...command));

describe("what containers leave behind", function () {
  this.timeout(300_000);
  let image: TestImage;
  /** One that works on this machine's file system. */
  let storageDriver: string;

  before(async function () {
    ({ storageDriver } = await needEngine(this));
    image = await busyboxImage();
  });

  const lasting = (): Parameters<typeof testTask>[0] => image.program(shell("echo > /out/file; sleep 600"));
  /** Begins a task that lasts; resolves once it runs. */
  const begin = async (
    executor: ReturnType<typeof testExecutor>,
    signal?: AbortSignal,
  ): Promise<{ ended: Promise<TaskOutcome | { code?: string; message: string; kind?: string }> }> => {
    const { promise: running, resolve, reject } = Promise.withResolvers<void>();
    const watch = (): { ended(): void } => {
      resolve();
      return { ended: () => undefined };
    };
    const run = executor.run(testTask(lasting()), { signal, watch });
    run.catch(reject);
    await running;
    return { ended: run.catch((error: { code?: string; message: string; kind?: string }) => error) };
  };

  it("is removed when the agent gives a task up, and when it ends", async () => {
    const owner = "1111222233334444";
    const executor = testExecutor({ owner });
    const stop = new AbortController();
    const given = await begin(executor, stop.signal);
    const kept = await begin(executor);
    expect(await ownedBy(owner)).to.have.lengthOf(8);
    stop.abort(new Error("given up"));
    expect(await given.ended).to.include({ message: "given up" });
    expect(await ownedBy(owner)).to.have.lengthOf(4);
    await executor.close();
    expect(await kept.ended).to.include({ code: "EXECUTOR_CLOSED" });
    expect(await ownedBy(owner)).to.deep.equal([]);
    expect(await executor.run(testTask(lasting())).catch((error: unknown) => error)).to.include({
      code: "EXECUTOR_CLOSED",
    });
  });

  it("of a container that somebody else stops is no result", async () => {
    const owner = "aaaa0000bbbb1111";
    const executor = testExecutor({ owner });
    const { ended } = await begin(executor);
    const [name] = (await ownedBy(owner)).filter((each) => each.endsWith("-program"));
    await connectEngine({ socket: engineSocket }).getContainer(name!.slice(1)).kill();
    expect(await ended).to.include({ code: "EXECUTOR_FAILED", kind: "retryable" });
    expect(await ownedBy(owner)).to.deep.equal([]);
    await executor.close();
  });

  it("of an agent that was killed, its next life removes, and nothing of others", async () => {
    const [owner, other] = ["5555666677778888", "9999aaaabbbbcccc"];
    const neighbour = testExecutor({ owner: other });
    const theirs = await begin(neighbour);
    const child = spawn(process.execPath, ["--no-warnings", agent, owner], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await ownedBy(owner)).to.have.lengthOf(4);
    const executor = testExecutor({ owner });
    await executor.recover();
    expect(await ownedBy(owner)).to.deep.equal([]);
    expect(await ownedBy(other)).to.have.lengthOf(4);
    await executor.close();
    await neighbour.close();
    await theirs.ended;
  });

  describe("an engine that goes away", () => {
    let folder: string;
    let daemon: ChildProcess;
    let socket: string;

    const start = async (): Promise<void> => {
      const log = await open(join(folder, "log"), "w");
      daemon = spawn(
        ...asRoot(
          "dockerd",
          ...[
            "--data-root",
            join(folder, "data"),
            "--exec-root",
            join(folder, "run"),
            "--config-file",
            join(folder, "daemon.json"),
          ],
          ...["--pidfile", join(folder, "pid"), "--host", `unix://${socket}`, "--group", String(process.getgid!())],
          ...["--containerd-namespace", "surety-restart", "--containerd-plugins-namespace", "surety-restart-plugins"],
          ...["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false", "--storage-driver"],
          storageDriver,
        ),
        { stdio: ["ignore", log.fd, log.fd] },
      );
      await log.close();
      for (let attempt = 0; attempt < 120; attempt += 1) {
        if (await probeEngine({ socket }).catch(() => undefined)) return;
        if (daemon.exitCode !== null) break;
        await sleep(500);
      }
      throw new Error(`the engine did not start: ${(await readFile(join(folder, "log"), "utf8")).slice(-2000)}`);
    };
    const gone = async (signal: NodeJS.Signals): Promise<void> => {
      if (daemon.exitCode !== null || daemon.signalCode !== null) return;
      const ended = once(daemon, "exit");
      await doAsRoot("kill", `-${signal}`, (await readFile(join(folder, "pid"), "utf8")).trim());
      await ended;
    };

    before(async function () {
      // Starting an engine takes more than using one.
      if (
        await doAsRoot("true").then(
          () => false,
          () => true,
        )
      ) {
        if ((process.env["SURETY_REQUIRE"] ?? "").split(",").includes("docker"))
          throw new Error("SURETY_REQUIRE asks for docker: only root starts an engine to be restarted");
        console.warn("    !! SKIPPED: only root starts an engine; its restart was not tested");
        this.skip();
      }
      folder = await mkdtemp(join(tmpdir(), "surety-engine-"));
      socket = join(folder, "docker.sock");
      // Not the host's own.
      await writeFile(join(folder, "daemon.json"), "{}");
      await start();
    });

    after(async () => {
      if (folder === undefined) return;
      await gone("SIGTERM");
      // One that was killed left mounts.
      const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1] ?? "");
      for (const mount of mounts.filter((point) => point.startsWith(folder)).reverse()) {
        await doAsRoot("umount", "--lazy", mount);
      }
      await doAsRoot("rm", "-rf", folder);
    });

    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      it(`fails what it was running, is asked again, and keeps nothing of it (${signal})`, async () => {
        const owner = `ddddeeeeffff${signal.toLowerCase()}`;
        const executor = testExecutor({ socket, owner });
        const { ended } = await begin(executor);
        await gone(signal);
        const outcome = await ended;
        expect(outcome).to.include({ code: "EXECUTOR_FAILED", kind: "retryable" });
        expect(await executor.run(testTask(lasting())).catch((error: unknown) => error)).to.include({
          code: "ENGINE_UNREACHABLE",
          kind: "retryable",
        });
        // What was killed left its numbers, which others may bear by now.
        await doAsRoot("rm", "-f", join(folder, "pid"), join(folder, "run/containerd/containerd.pid"));
        await start();
        const { exit } = await executor.run(testTask(image.program(shell("exit 5"))));
        expect(exit).to.deep.equal({ code: 5 });
        expect(await ownedBy(owner, socket)).to.deep.equal([]);
        await executor.close();
      });
    }
  });

  it("is found again by a name that stays in the agent's home", async () => {
    const { openExecutor } = await import("../../agents/executor/open-executor.ts");
    const home = await mkdtemp(join(tmpdir(), "surety-home-"));
    const config = { kind: "docker", socket: "/nowhere", gpus: [], maxImageBytes: 1, imageCacheBytes: 1 } as const;
    const names: string[] = [];
    for (let life = 0; life < 2; life += 1) {
      await (await openExecutor({ ...config, gpus: [] }, { home, workers: 1 })).close();
      names.push(await readFile(join(home, "engine-owner"), "utf8"));
    }
    expect(names[0])
      .to.match(/^[0-9a-f]{32}\n$/)
      .and.to.equal(names[1]);
    await rm(home, { recursive: true });
  });
});
