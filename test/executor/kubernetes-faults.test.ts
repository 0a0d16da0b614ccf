import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { KubernetesExecutorOptions } from "../../agents/executor/kubernetes-executor.ts";
import type { ContainerTask } from "../../agents/executor/executor.ts";
import { BreakingProxy } from "../support/breaking-proxy.ts";
import { needCluster, TestNamespace } from "../support/cluster.ts";
import { codeOf } from "../support/error-code.ts";
import { shell, taskLimits, testTask } from "../support/docker-engine.ts";

const agent = new URL("../support/lasting-job.ts", import.meta.url).pathname;

describe("a Kubernetes cluster in which things break", function () {
  this.timeout(300_000);
  let namespace: TestNamespace;
  let folder: string;

  before(async function () {
    const at = await needCluster(this);
    namespace = await TestNamespace.make(at);
    folder = await mkdtemp(join(tmpdir(), "surety-cluster-"));
  });

  after(async () => {
    await namespace?.remove();
    if (folder) await rm(folder, { recursive: true });
  });

  const lasting = (): ContainerTask => testTask(namespace.program(shell("echo > /out/file; sleep 600")));
  /** How a task in an executor of its own ends; `meanwhile` is called once its program runs. */
  const errorOf = async (
    task: ContainerTask,
    changes: Partial<KubernetesExecutorOptions> = {},
    meanwhile?: (pod: string) => Promise<unknown>,
  ): Promise<{ code: string; message: string; kind: string }> => {
    const owner = Math.random().toString(16).slice(2, 12).padEnd(10, "0");
    const executor = namespace.executor({ owner, ...changes });
    try {
      const running = executor.run(task).then(
        ({ exit }) => ({ code: JSON.stringify(exit), message: "", kind: "" }),
        (error: { code: string; message: string; kind: string }) => error,
      );
      if (meanwhile) await meanwhile(await begun(owner));
      const error = await running;
      await namespace.emptied(owner);
      return error;
    } finally {
      await executor.close();
    }
  };
  /** Waits until a task of an agent runs. @returns its pod */
  const begun = async (owner: string): Promise<string> => {
    for (;;) {
      const at = { namespace: namespace.name, labelSelector: `surety.owner=${owner}` };
      for (const { metadata, status } of (await namespace.core.listNamespacedPod(at)).items) {
        if (status?.containerStatuses?.find(({ name }) => name === "task")?.state?.running) return metadata!.name!;
      }
      await sleep(200);
    }
  };

  describe("refuses before anything is made in it", () => {
    it("images that are tars, jobs that do not say what to run, and more than it offers", async () => {
      const executor = namespace.executor({
        owner: "refuses00",
        maxCpus: 2,
        maxMemoryBytes: 2 ** 30,
        maxProcesses: 99,
      });
      const program = namespace.program(["/bin/true"]);
      const tar = { ...program, image: { cid: "bafy", path: "image.tar", id: `sha256:${"0".repeat(64)}` } };
      const { entrypoint: _, ...silent } = program;
      const gpu = { count: 1, capabilities: ["compute"] };
      const refused = async (task: ContainerTask): Promise<unknown[]> =>
        Promise.all([
          codeOf(() => executor.check(task.program, { limits: task.limits })),
          codeOf(() => executor.run(task)),
        ]);
      const twice = (code: string): string[] => [code, code];
      const more = (limits: object): ContainerTask => testTask(program, { limits: { ...taskLimits, ...limits } });
      expect(await refused(testTask(tar))).to.deep.equal(twice("EXECUTOR_UNSUITABLE"));
      expect(await refused(testTask(silent))).to.deep.equal(twice("EXECUTOR_UNSUITABLE"));
      expect(await refused(more({ cpus: 3 }))).to.deep.equal(twice("EXECUTOR_UNSUITABLE"));
      expect(await refused(more({ memoryBytes: 2 ** 30 }))).to.deep.equal(twice("EXECUTOR_UNSUITABLE"));
      expect(await refused(more({ processes: 100 }))).to.deep.equal(twice("EXECUTOR_UNSUITABLE"));
      expect(await refused(testTask({ ...program, gpu }))).to.deep.equal(twice("GPU_UNAVAILABLE"));
      expect(await namespace.ownedBy("refuses00")).to.deep.equal([]);
      await executor.close();
    });
  });

  describe("is tried before a claim", () => {
    it("and takes what it can run, asked once", async () => {
      const executor = namespace.executor({ runtimeClass: "surety-trial" });
      const body = { metadata: { name: "surety-trial" }, handler: "trial" };
      await namespace.objects
        .create({ apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", ...body })
        .catch(() => undefined);
      const program = namespace.program(["/none"]);
      const { imageId } = await executor.check(program, { limits: taskLimits });
      expect(program.image).to.deep.equal({ reference: namespace.images.busybox });
      expect(namespace.images.busybox.endsWith(`@${imageId}`)).to.equal(true);
      namespace.registry.isClosed = true;
      expect(await executor.check(program, { limits: taskLimits })).to.include({ imageId });
      namespace.registry.isClosed = false;
      await executor.close();
    });

    it("and leaves what it finds no place for, or no GPU", async () => {
      const nowhere = namespace.executor({ nodeSelector: { "surety.test/nowhere": "" }, startSeconds: 12 });
      const gpus = { resource: "nvidia.com/gpu", count: 8, memory: 2 ** 34 };
      const none = namespace.executor({ gpus, startSeconds: 12 });
      const program = namespace.program(["/bin/true"]);
      const gpu = { count: 1, capabilities: ["compute"], memory: 2 ** 33 };
      const [place, lent] = await Promise.all([
        nowhere.check(program).catch((error: unknown) => error),
        none.check({ ...program, gpu }).catch((error: unknown) => error),
      ]);
      expect(place).to.include({ code: "EXECUTOR_UNSUITABLE" });
      expect((place as Error).message).to.contain("node(s) didn't match Pod's node affinity/selector");
      expect(lent).to.include({ code: "GPU_UNAVAILABLE" });
      expect((lent as Error).message).to.contain("Insufficient nvidia.com/gpu");
      await Promise.all([nowhere.close(), none.close()]);
    });

    it("and lends what the cluster says it has of GPUs, to one after the other", async () => {
      // The machine has none; that it offers such a resource is all that the scheduler wants to know.
      const [resource, path] = ["surety.test/gpu", "surety.test~1gpu"];
      const patch = ["capacity", "allocatable"].map((part) => ({
        op: "add",
        path: `/status/${part}/${path}`,
        value: "1",
      }));
      const [machine] = (await namespace.core.listNode()).items;
      await namespace.core.patchNodeStatus({ name: machine!.metadata!.name!, body: patch });
      const executor = namespace.executor({ gpus: { resource, count: 1, memory: 2 ** 34 } });
      const gpu = { count: 1, capabilities: ["compute", "utility"], memory: 2 ** 33 };
      const script = "env | grep NVIDIA; date +%s; sleep 2; date +%s";
      const task = testTask(namespace.program(shell(script), { gpu }));
      await executor.check(task.program, { limits: task.limits });
      const outcomes = await Promise.all([executor.run(task), executor.run(task)]);
      const said = outcomes.map(({ stdout }) => Buffer.from(stdout).toString("utf8").trim().split("\n"));
      expect(said.map(([variables]) => variables)).to.deep.equal(
        Array(2).fill("NVIDIA_DRIVER_CAPABILITIES=compute,utility"),
      );
      const [first, second] = said
        .map(([, begun, ended]) => [Number(begun), Number(ended)] as const)
        .toSorted(([a], [b]) => a - b);
      expect(first![1]).to.be.at.most(second![0]);
      await executor.close();
    });

    it("and does not have an image that is not there", async () => {
      const executor = namespace.executor();
      const missing = { reference: namespace.images.busybox.replace(/.{64}$/, "0".repeat(64)) };
      const error: unknown = await executor
        .check({ image: missing, entrypoint: ["/bin/true"] })
        .catch((reason: unknown) => reason);
      expect(error).to.include({ code: "IMAGE_UNAVAILABLE", kind: "retryable" });
      await executor.close();
    });
  });

  describe("gives no result, and leaves nothing,", () => {
    it("of a pod that is deleted, or evicted, while it runs", async () => {
      const at = (name: string): { namespace: string; name: string } => ({ namespace: namespace.name, name });
      const [deleted, evicted] = await Promise.all([
        errorOf(lasting(), {}, (pod) => namespace.core.deleteNamespacedPod(at(pod))),
        errorOf(lasting(), {}, (pod) =>
          namespace.core.createNamespacedPodEviction({
            ...at(pod),
            body: { metadata: { name: pod, namespace: namespace.name } },
          }),
        ),
      ]);
      expect(deleted).to.include({ code: "EXECUTOR_FAILED", kind: "retryable" });
      expect(evicted).to.include({ code: "EXECUTOR_FAILED", kind: "retryable" });
    });

    it("of a Job that the namespace's own limits refuse a pod", async () => {
      const limits = [{ type: "Container", max: { memory: "1Mi" } }];
      const body = { metadata: { name: "none" }, spec: { limits } };
      await namespace.core.createNamespacedLimitRange({ namespace: namespace.name, body });
      try {
        const error = await errorOf(lasting(), { startSeconds: 15 });
        expect(error).to.include({ code: "EXECUTOR_FAILED", kind: "retryable" });
        expect(error.message).to.contain("maximum memory usage per Container is 1Mi");
      } finally {
        await namespace.core.deleteNamespacedLimitRange({ namespace: namespace.name, name: "none" });
      }
    });

    it("of tasks that are given up, and when the agent ends", async () => {
      const owner = "1111222233334444";
      const executor = namespace.executor({ owner });
      const stop = new AbortController();
      const given = executor.run(lasting(), { signal: stop.signal }).catch((error: unknown) => error);
      await begun(owner);
      stop.abort(new Error("given up"));
      expect(await given).to.include({ message: "given up" });
      const kept = executor.run(lasting()).catch((error: unknown) => error);
      await sleep(1000);
      await executor.close();
      expect(await kept).to.include({ code: "EXECUTOR_CLOSED" });
      expect(await codeOf(() => executor.run(lasting()))).to.equal("EXECUTOR_CLOSED");
      await namespace.emptied(owner);
    });

    it("of an agent that was killed, once it begins again; and spares what is another's", async () => {
      const owner = "aaaa1111bbbb2222";
      const other = namespace.executor({ owner: "cccc3333dddd4444" });
      const theirs = other
        .run(testTask(namespace.program(shell("sleep 12; echo on"))))
        .catch((error: unknown) => error);
      const child: ChildProcess = spawn(process.execPath, [agent], {
        env: {
          ...process.env,
          AGENT: JSON.stringify({
            owner,
            name: namespace.name,
            images: namespace.images,
            kubeconfig: namespace.kubeconfig,
          }),
        },
        stdio: "inherit",
      });
      await begun(owner);
      child.kill("SIGKILL");
      await once(child, "exit");
      expect(await namespace.ownedBy(owner)).to.have.lengthOf(2);
      const next = namespace.executor({ owner });
      await next.recover();
      expect(await namespace.ownedBy(owner)).to.deep.equal([]);
      expect(await theirs).to.deep.include({ exit: { code: 0 } });
      await Promise.all([next.close(), other.close()]);
    });
  });

  it("brings input and output whole through connections that break, and goes on when the API server was away", async () => {
    const conf = await readFile(namespace.kubeconfig, "utf8");
    const proxy = await BreakingProxy.start(Number(/127\.0\.0\.1:(\d+)/.exec(conf)![1]));
    const kubeconfig = join(folder, "proxy.conf");
    await writeFile(kubeconfig, conf.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${proxy.port}`));
    const owner = "eeee5555ffff6666";
    const executor = namespace.executor({ owner, kubeconfig });
    // Whoever tries again at once finds nobody.
    Object.assign(proxy.cut, { up: 3, down: 3, awayMs: 1500 });
    const bytes = randomBytes(3_000_000);
    const program = namespace.program(shell("sleep 8; cp /in/random /out/random"));
    const limits = { ...taskLimits, outputBytes: 2 ** 22 };
    const running = executor.run(testTask(program, { input: new Map([["random", bytes]]), limits }));
    await Promise.race([begun(owner), running]);
    proxy.isAway = true;
    await sleep(5000);
    proxy.isAway = false;
    const outcome = await running;
    expect(outcome.exit).to.deep.equal({ code: 0 });
    expect(bytes.equals(outcome.files.get("random")!)).to.equal(true);
    expect([proxy.cut.up, proxy.cut.down]).to.deep.equal([0, 0]);
    await executor.close();
    await namespace.emptied(owner);
    proxy.close();
  });

  describe("is told from one", () => {
    it("that is not there, that is not known, and in which the agent has no rights", async () => {
      const changed = async (change: (text: string) => string): Promise<string> => {
        const path = join(folder, `${Math.random()}.conf`);
        await writeFile(path, change(await readFile(namespace.kubeconfig, "utf8")));
        return path;
      };
      const away = await changed((text) => text.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:9"));
      expect(() => namespace.executor({ kubeconfig: join(folder, "none") }))
        .to.throw()
        .with.property("code", "CLUSTER_UNKNOWN");
      expect(() => namespace.executor({ context: "none" }))
        .to.throw()
        .with.property("code", "CLUSTER_UNKNOWN");
      expect(() => namespace.executor({ kubeconfig: undefined }))
        .to.throw()
        .with.property("code", "CLUSTER_UNKNOWN");
      expect(await codeOf(() => namespace.executor({ kubeconfig: away }).run(lasting()))).to.equal(
        "CLUSTER_UNREACHABLE",
      );
      expect(await codeOf(() => namespace.executor({ namespace: "default" }).run(lasting()))).to.equal(
        "CLUSTER_FORBIDDEN",
      );
    });
  });
});
