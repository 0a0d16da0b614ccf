import { expect } from "chai";
import type { V1Pod } from "@kubernetes/client-node";
import { executorSchema } from "../../agents/config/executor.ts";
import { kubernetesExecutorSchema } from "../../agents/config/kubernetes-executor.ts";
import { taskJob } from "../../agents/executor/kubernetes/manifest.ts";
import { stateOf } from "../../agents/executor/kubernetes/pod-state.ts";
import { taskLimits } from "../support/docker-engine.ts";

const carrier = `registry.test/carrier@sha256:${"1".repeat(64)}`;
const config = { kind: "kubernetes", namespace: "surety", carrier };

/** States of the containers as a kubelet tells them, which here nobody ran: what no cluster of tests can be made to do. */
const told = (
  states: { intake?: object; task?: object; keeper?: object },
  more: { status?: object; metadata?: object } = {},
): V1Pod => ({
  metadata: { ...more.metadata },
  status: {
    phase: "Running",
    initContainerStatuses: states.intake ? [status("intake", states.intake)] : [],
    containerStatuses: [
      ...(states.task ? [status("task", states.task)] : []),
      ...(states.keeper ? [status("keeper", states.keeper)] : []),
    ],
    ...more.status,
  },
});
const status = (name: string, state: object) => ({
  name,
  state,
  image: `${name}.test`,
  imageID: "",
  ready: false,
  restartCount: 0,
});
const running = { running: {} };
const done = { terminated: { exitCode: 0, reason: "Completed" } };
const ended = (more: object): object => ({ terminated: { exitCode: 0, reason: "Completed", ...more } });

describe("a pod as its kubelet tells of it", () => {
  it("waits, takes its input, runs", () => {
    const unplaced = { type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/3 nodes" };
    expect(stateOf(told({}, { status: { phase: "Pending", conditions: [unplaced] } }))).to.deep.equal({
      at: "waiting",
      unschedulable: true,
      why: "0/3 nodes",
    });
    const pulling = { waiting: { reason: "ErrImagePull", message: "again soon" } };
    expect(stateOf(told({ intake: pulling }))).to.deep.equal({ at: "waiting", why: "ErrImagePull: again soon" });
    expect(stateOf(told({ intake: running }))).to.deep.equal({ at: "intake" });
    expect(stateOf(told({ intake: done, task: running, keeper: running }))).to.deep.equal({ at: "running" });
  });

  it("ends as the carrier says, unless the kernel says more", () => {
    const endOf = (state: object): unknown => stateOf(told({ intake: done, task: ended(state), keeper: running }));
    expect(endOf({ message: '{"code":7,"milliseconds":12}' })).to.deep.equal({
      at: "ended",
      exit: { code: 7 },
      milliseconds: 12,
    });
    expect(endOf({ message: '{"limit":"time","milliseconds":9}' })).to.deep.include({ exit: { limit: "time" } });
    const killed = { reason: "OOMKilled", exitCode: 137 };
    expect(endOf(killed)).to.deep.include({ exit: { limit: "memory" } });
    expect(endOf({ ...killed, message: '{"code":0,"milliseconds":9}' })).to.deep.include({ exit: { limit: "memory" } });
    expect(endOf({ ...killed, message: '{"limit":"output","milliseconds":9}' })).to.deep.include({
      exit: { limit: "output" },
    });
  });

  it("is lost, not ended, for what the program cannot be blamed for", () => {
    const whole = { intake: done, task: ended({ message: '{"code":0,"milliseconds":1}' }), keeper: running };
    expect(stateOf(told(whole)).at).to.equal("ended");
    const disrupted = { type: "DisruptionTarget", status: "True", reason: "PreemptionByScheduler" };
    const lost: V1Pod[] = [
      told(whole, { metadata: { deletionTimestamp: new Date(0) } }),
      told(whole, { status: { phase: "Failed", reason: "Evicted", message: "The node was low on resource: memory" } }),
      told(whole, { status: { phase: "Failed", reason: "NodeLost" } }),
      told(whole, {
        status: { phase: "Failed", reason: "Terminated", message: "Pod was terminated by node shutdown" },
      }),
      told(whole, { status: { conditions: [disrupted] } }),
      told({ ...whole, task: ended({ message: '{"failed":"no memory","milliseconds":1}' }) }),
      told({ ...whole, task: ended({ reason: "Error", exitCode: 137 }) }),
      told({ ...whole, task: ended({ reason: "Error", exitCode: 2, message: "panic" }) }),
      told({ ...whole, task: ended({ reason: "StartError", exitCode: 128, message: "no such runtime" }) }),
      told({ ...whole, task: ended({ reason: "ContainerStatusUnknown", exitCode: 137 }) }),
      told({ ...whole, task: ended({ message: '{"code":256,"milliseconds":1}' }) }),
      told({ ...whole, task: { waiting: { reason: "CreateContainerConfigError", message: "no secret" } } }),
      told({ intake: done, task: running, keeper: ended({ reason: "OOMKilled", exitCode: 137 }) }),
      told({ intake: ended({ exitCode: 1, message: "no space left" }) }, { status: { phase: "Failed" } }),
    ];
    for (const pod of lost)
      expect(stateOf(pod), JSON.stringify(pod)).to.include({ at: "lost", code: "EXECUTOR_FAILED" });
    for (const reason of ["ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"]) {
      expect(stateOf(told({ intake: done, task: { waiting: { reason } } }))).to.include({ code: "IMAGE_UNAVAILABLE" });
    }
  });
});

describe("a task's Job", () => {
  const task = {
    program: {
      image: { reference: carrier },
      entrypoint: ["/bin/show", "$(HOME)"],
      gpu: { count: 2, capabilities: ["compute"] },
    },
    args: ["{index}", "$$x"],
    index: 3,
    input: new Map<string, Uint8Array>(),
    limits: taskLimits,
  };
  const names = { owner: "0f3c9a1b77d2e845", task: "ab12" };

  it("says what is run as it is, and asks for what the configuration says", () => {
    const { kind: _, ...options } = kubernetesExecutorSchema.parse({
      ...config,
      runtimeClass: "gvisor",
      gpus: { count: 4, resource: "amd.com/gpu" },
      nodeSelector: { pool: "strangers" },
      tolerations: [{ key: "strangers", operator: "Exists" }],
      imagePullSecrets: ["registry"],
    });
    const { spec } = taskJob({ task, names, config: options, purpose: "task", inputBytes: 1 }).spec!.template;
    // In the order in which they begin.
    const [keeper, program] = spec!.containers;
    expect([keeper!.name, program!.name]).to.deep.equal(["keeper", "task"]);
    expect(program!.command!.slice(-4)).to.deep.equal(["/bin/show", "$$(HOME)", "3", "$$$$x"]);
    expect(program!.resources!.limits).to.include({ "amd.com/gpu": "2", cpu: "1" });
    expect(program!.resources!.limits).to.deep.equal(program!.resources!.requests);
    expect(program!.env!.map(({ name }) => name)).to.not.include("NVIDIA_VISIBLE_DEVICES");
    expect(spec).to.deep.include({
      runtimeClassName: "gvisor",
      nodeSelector: { pool: "strangers" },
      tolerations: [{ key: "strangers", operator: "Exists" }],
      imagePullSecrets: [{ name: "registry" }],
      automountServiceAccountToken: false,
    });
  });

  it("hides all GPUs from who asked for none", () => {
    const { kind: _, ...options } = kubernetesExecutorSchema.parse(config);
    const { gpu: __, ...program } = task.program;
    const job = taskJob({ task: { ...task, program }, names, config: options, purpose: "task", inputBytes: 1 });
    expect(job.spec!.template.spec!.containers.at(-1)!.env).to.deep.include({
      name: "NVIDIA_VISIBLE_DEVICES",
      value: "void",
    });
  });
});

describe("the configuration of a cluster", () => {
  it("is strict, and takes the carrier by digest only", () => {
    expect(executorSchema.parse(config)).to.deep.include({ kind: "kubernetes", startSeconds: 600, maxProcesses: 1024 });
    for (const wrong of [
      { carrier: "registry.test/carrier:latest" },
      { namespace: "Not A Name" },
      { gpus: { count: 0 } },
      { privileged: true },
      { startSeconds: 0 },
      { nodeSelector: { "a b": "c" } },
    ]) {
      expect(executorSchema.safeParse({ ...config, ...wrong }).success, JSON.stringify(wrong)).to.equal(false);
    }
  });
});
