import type { V1Container, V1Job, V1SecurityContext, V1Volume, V1VolumeMount } from "@kubernetes/client-node";
import { taskArgs } from "#sdk/job-spec.ts";
import { MAX_TRACE_BYTES } from "#sdk/resource-trace.ts";
import type { KubernetesExecutorConfig } from "../../config/kubernetes-executor.ts";
import {
  environmentOf,
  LABEL,
  largestFileBytes,
  NOBODY,
  outputBytesHeld,
  PAGE,
  roundUp,
  scratchBytes,
  type TaskNames,
} from "../docker/confinement.ts";
import type { ContainerTask } from "../executor.ts";
import { CONTAINER } from "./pod-state.ts";

/** Bytes of memory that the carrier takes, around a task or by itself. */
const CARRIER_BYTES = 32 * 2 ** 20;
/** Bytes of disk for the carrier's copy, the end of a log, and what a kubelet keeps. */
const DISK_BYTES = 32 * 2 ** 20;
/** From the end of a task to the last of its output, seconds. */
const GIVE_SECONDS = 900;
/** A Job that ended and whose agent is gone stays for so long, seconds. */
const AFTER_SECONDS = 600;

/** What a task's Job is made of. */
export interface TaskJob {
  task: ContainerTask & { program: { image: { reference: string }; entrypoint: readonly string[] } };
  names: TaskNames;
  config: Omit<KubernetesExecutorConfig, "kind">;
  /** A rehearsal has everything that the task has, but for running its program. */
  purpose: "task" | "rehearsal";
  /** Of the input's tar. */
  inputBytes: number;
}

/** Name of a task's Job. */
export function jobName({ task }: Pick<TaskNames, "task">): string {
  return `surety-${task}`;
}

/** Bytes of memory that a task's container needs: its own, what it may write, and what runs it. */
export function memoryOf(task: ContainerTask): number {
  return task.limits.memoryBytes + writtenBytes(task) + CARRIER_BYTES;
}

/** What the job asks for, in the words of `maxMemoryBytes`. */
export function writtenBytes(task: ContainerTask): number {
  return outputBytesHeld(task) + streamBytes(task) + scratchBytes(task);
}

/** The Job that runs a task, see docs/kubernetes.md. It fits the Pod Security level `restricted`. */
export function taskJob(job: TaskJob): V1Job {
  const { names, config, task } = job;
  const labels = {
    "app.kubernetes.io/managed-by": "surety",
    [LABEL.owner]: names.owner,
    [LABEL.task]: names.task,
  };
  const { runtimeClass, priorityClass, imagePullSecrets, nodeSelector, tolerations, startSeconds } = config;
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: jobName(names), labels },
    spec: {
      // Whether it is run again the agent decides, who knows whether that still helps.
      backoffLimit: 0,
      podReplacementPolicy: "Failed",
      // For when the agent is gone.
      activeDeadlineSeconds: Math.ceil(startSeconds + task.limits.seconds + GIVE_SECONDS),
      ttlSecondsAfterFinished: AFTER_SECONDS,
      template: {
        metadata: { labels },
        spec: {
          restartPolicy: "Never",
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          hostNetwork: false,
          hostPID: false,
          hostIPC: false,
          shareProcessNamespace: false,
          hostname: "surety",
          dnsPolicy: "None",
          dnsConfig: { nameservers: ["127.0.0.1"] },
          terminationGracePeriodSeconds: 1,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: NOBODY,
            runAsGroup: NOBODY,
            seccompProfile: { type: "RuntimeDefault" },
          },
          ...(runtimeClass === undefined ? {} : { runtimeClassName: runtimeClass }),
          ...(priorityClass === undefined ? {} : { priorityClassName: priorityClass }),
          imagePullSecrets: imagePullSecrets.map((name) => ({ name })),
          nodeSelector,
          tolerations,
          volumes: volumes(job),
          initContainers: [carrier(job, CONTAINER.intake)],
          // In this order: beside a program that begins processes without end nothing else may begin any more.
          containers: [carrier(job, CONTAINER.keeper), program(job)],
        },
      },
    },
  };
}

/** Nothing that a container could use against its machine. */
const confined: V1SecurityContext = {
  allowPrivilegeEscalation: false,
  privileged: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

const MOUNT = {
  input: { name: "in", mountPath: "/in" },
  output: { name: "out", mountPath: "/out" },
  streams: { name: "streams", mountPath: "/streams" },
  scratch: { name: "tmp", mountPath: "/tmp" },
  /** The carrier, and the sign that the input is there. */
  own: { name: "surety", mountPath: "/surety" },
  /** Whoever runs containers would put memory there that is shared with nobody. */
  shared: { name: "shm", mountPath: "/dev/shm" },
} satisfies Record<string, V1VolumeMount>;

function volumes({ task, inputBytes }: TaskJob): V1Volume[] {
  const memory = (name: string, bytes: number): V1Volume => ({
    name,
    emptyDir: { medium: "Memory", sizeLimit: String(bytes) },
  });
  const disk = (name: string, bytes: number): V1Volume => ({ name, emptyDir: { sizeLimit: String(bytes) } });
  return [
    disk(MOUNT.input.name, inputOnDisk(task, inputBytes)),
    memory(MOUNT.output.name, outputBytesHeld(task)),
    memory(MOUNT.streams.name, streamBytes(task)),
    memory(MOUNT.scratch.name, scratchBytes(task)),
    disk(MOUNT.own.name, DISK_BYTES),
    memory(MOUNT.shared.name, PAGE),
  ];
}

/** The container with the stranger's program in it. */
function program({ task, config, purpose }: TaskJob): V1Container {
  const { image, entrypoint, gpu } = task.program;
  const { seconds, outputBytes, cpus } = task.limits;
  const carried = [
    "run",
    `-seconds=${seconds}`,
    `-output=${outputBytes}`,
    `-file=${largestFileBytes(task)}`,
    "--",
    ...entrypoint,
    ...(task.args.length > 0 ? taskArgs(task.args, task.index) : []),
  ];
  const variables = environmentOf(task, gpu?.count ?? 0);
  // What is lent the cluster says; what of it the program may use is the job's wish.
  if (gpu) variables["NVIDIA_DRIVER_CAPABILITIES"] = gpu.capabilities.join(",");
  const resources = {
    cpu: String(cpus),
    memory: String(memoryOf(task)),
    "ephemeral-storage": String(DISK_BYTES),
    ...(gpu ? { [config.gpus?.resource ?? "nvidia.com/gpu"]: String(gpu.count) } : {}),
  };
  return {
    name: CONTAINER.task,
    image: image.reference,
    imagePullPolicy: "IfNotPresent",
    command: [`${MOUNT.own.mountPath}/carrier`, ...(purpose === "rehearsal" ? ["rehearse"] : carried)].map(literal),
    env: Object.entries(variables).map(([name, value]) => ({ name, value: literal(value) })),
    securityContext: confined,
    resources: { requests: resources, limits: resources },
    volumeMounts: [
      { ...MOUNT.input, readOnly: true },
      MOUNT.output,
      MOUNT.streams,
      MOUNT.scratch,
      { ...MOUNT.own, readOnly: true },
      { ...MOUNT.shared, readOnly: true },
    ],
  };
}

/** The carrier by itself: before the task, to take its input, or beside it, to hold and give its output. */
function carrier({ config, task, inputBytes }: TaskJob, name: "intake" | "keeper"): V1Container {
  const resources = {
    cpu: "50m",
    memory: String(2 * CARRIER_BYTES),
    "ephemeral-storage": String(inputOnDisk(task, inputBytes) + DISK_BYTES),
  };
  const mounts =
    name === CONTAINER.intake
      ? { command: "wait", volumeMounts: [MOUNT.input, MOUNT.own] }
      : { command: "hold", volumeMounts: [MOUNT.output, MOUNT.streams] };
  return {
    name,
    image: config.carrier,
    imagePullPolicy: "IfNotPresent",
    command: ["/carrier", mounts.command],
    terminationMessagePolicy: "FallbackToLogsOnError",
    securityContext: confined,
    resources: { requests: resources, limits: resources },
    volumeMounts: mounts.volumeMounts,
  };
}

/** Both streams, a page for the end of each, one for the folder, and one for more than is allowed; and the trace. */
function streamBytes({ limits }: ContainerTask): number {
  return roundUp(limits.outputBytes) + 4 * PAGE + MAX_TRACE_BYTES;
}

/** What input takes on disk: each file whole blocks. */
function inputOnDisk({ input }: ContainerTask, inputBytes: number): number {
  return roundUp(inputBytes) + (input.size + 16) * 2 * PAGE;
}

/** Kubernetes would take `$(NAME)` for a variable. */
function literal(text: string): string {
  return text.replaceAll("$", "$$$$");
}
