import type { ContainerCreateOptions, HostConfig } from "dockerode";
import { taskArgs } from "#sdk/job-spec.ts";
import type { ContainerTask } from "../executor.ts";
import { seccompProfile } from "./seccomp.ts";

/** Number of the user and of the group that a task has in its container: nobody's. */
export const NOBODY = 65534;
const USER = `${NOBODY}:${NOBODY}`;

/** gVisor's kernel is made of the host's threads; with fewer it dies, not the job. */
const LEAST_PROCESSES = { runsc: 1024 } as const;

/** Bytes that gVisor's kernel takes beside the job. */
const RUNTIME_BYTES = { runsc: 96 * 2 ** 20 } as const;

/** Bytes by which memory is given out. */
export const PAGE = 4096;

/** What the kernel of the host tells everybody, whatever the container. */
const MASKED_PATHS = [
  ..."/proc/acpi /proc/asound /proc/cmdline /proc/config.gz /proc/diskstats /proc/interrupts /proc/iomem".split(" "),
  ..."/proc/kallsyms /proc/kcore /proc/keys /proc/key-users /proc/latency_stats /proc/modules".split(" "),
  ..."/proc/partitions /proc/sched_debug /proc/scsi /proc/swaps /proc/timer_list /proc/timer_stats".split(" "),
  ..."/proc/version_signature /proc/vmallocinfo /sys/class/dmi /sys/devices/virtual/dmi".split(" "),
  ..."/sys/devices/virtual/powercap /sys/firmware /sys/kernel/security /sys/fs/cgroup".split(" "),
];

const READONLY_PATHS = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split(" ");

/** Labels by which what an agent made in an engine is found again. */
export const LABEL = { owner: "surety.owner", task: "surety.task", part: "surety.part" } as const;

/** Names of what one task has in the engine. */
export interface TaskNames {
  owner: string;
  task: string;
}

/** Name of one of a task's parts, and the labels that go with it. */
export function partOf({ owner, task }: TaskNames, part: "program" | "keeper" | "in" | "out") {
  return {
    name: `surety-${task}-${part}`,
    labels: { [LABEL.owner]: owner, [LABEL.task]: task, [LABEL.part]: part },
  };
}

/** What confines any container made here, of a task or not. */
const confined = {
  NetworkMode: "none",
  ReadonlyRootfs: true,
  CapDrop: ["ALL"],
  IpcMode: "none",
  Privileged: false,
  // Read live; nothing of it is kept on the host's disk.
  LogConfig: { Type: "none", Config: {} },
  RestartPolicy: { Name: "no" },
  MaskedPaths: MASKED_PATHS,
  ReadonlyPaths: READONLY_PATHS,
  // The host's own would be copied in.
  Dns: ["127.0.0.1"],
  DnsSearch: ["."],
  SecurityOpt: ["no-new-privileges", `seccomp=${seccompProfile}`],
} satisfies HostConfig & { MaskedPaths: string[]; ReadonlyPaths: string[] };

/** Options of the volume in memory that holds `/out`: a page more than the limits, so that reaching one shows. */
export function outputVolumeOptions(task: ContainerTask): Record<string, string> {
  // The folder itself is one, and one more is over the limit.
  const inodes = task.limits.files + 2;
  return {
    type: "tmpfs",
    device: "tmpfs",
    o: `size=${outputBytesHeld(task)},nr_inodes=${inodes},mode=0777,uid=65534,gid=65534,nosuid,nodev,noexec`,
  };
}

/** What a task's container is created with. */
export interface TaskContainer {
  task: ContainerTask;
  names: TaskNames;
  /** Id of the image. */
  image: string;
  /** Name of the runtime; undefined for the engine's default. */
  runtime: string;
  /** GPUs it gets, as the engine's GPU runtime names them. */
  gpus: readonly string[];
}

/** Everything that keeps a task in its container. */
export function taskContainer({ task, names, image, runtime, gpus }: TaskContainer): ContainerCreateOptions {
  const { program, limits, args } = task;
  const { name, labels } = partOf(names, "program");
  const written = outputBytesHeld(task) + scratchBytes(task);
  const memory = limits.memoryBytes + written + (RUNTIME_BYTES[runtime as "runsc"] ?? 0);
  // Docker's own first process is one of them.
  const processes = Math.max(limits.processes + 1, LEAST_PROCESSES[runtime as "runsc"] ?? 0);
  const largestFile = largestFileBytes(task);
  return {
    name,
    Labels: labels,
    Image: image,
    Hostname: "surety",
    Domainname: "",
    User: USER,
    ...(program.entrypoint ? { Entrypoint: [...program.entrypoint] } : {}),
    ...(args.length > 0 ? { Cmd: taskArgs(args, task.index) } : {}),
    Env: Object.entries(environmentOf(task, gpus.length)).map(([name, value]) => `${name}=${value}`),
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: false,
    Tty: false,
    NetworkDisabled: true,
    StopSignal: "SIGKILL",
    // An image's own would be run beside the task.
    Healthcheck: { Test: ["NONE"] },
    HostConfig: {
      ...confined,
      Runtime: runtime,
      Init: true,
      PidsLimit: processes,
      Memory: memory,
      MemorySwap: memory,
      NanoCpus: limits.cpus * 1e9,
      OomScoreAdj: 500,
      // Nobody's own: runc gives it the mode that the folder has in the image.
      Tmpfs: {
        "/tmp": `rw,noexec,nosuid,nodev,size=${scratchBytes(task)},nr_inodes=${limits.files + 2},mode=1777,uid=65534,gid=65534`,
      },
      Mounts: [
        { Type: "volume", Source: partOf(names, "in").name, Target: "/in", ReadOnly: true, ...uncopied },
        { Type: "volume", Source: partOf(names, "out").name, Target: "/out", ReadOnly: false, ...uncopied },
      ],
      Ulimits: [
        { Name: "core", Soft: 0, Hard: 0 },
        { Name: "fsize", Soft: largestFile, Hard: largestFile },
        { Name: "nofile", Soft: 4096, Hard: 4096 },
      ],
      ...(gpus.length > 0 ? lentGpus(gpus, program.gpu?.capabilities) : {}),
    },
  };
}

/** What has the engine lend GPUs to a container. */
export function lentGpus(
  ids: readonly string[],
  capabilities: readonly string[] = [],
): Pick<HostConfig, "DeviceRequests"> {
  return { DeviceRequests: [{ Driver: "nvidia", DeviceIDs: [...ids], Capabilities: [["gpu", ...capabilities]] }] };
}

/** The container that holds a task's volumes while its output is read, see `keeper.ts`. */
export function keeperContainer(names: TaskNames, image: string, runtime: string): ContainerCreateOptions {
  const { name, labels } = partOf(names, "keeper");
  const memory = 32 * 2 ** 20;
  return {
    name,
    Labels: labels,
    Image: image,
    User: USER,
    NetworkDisabled: true,
    HostConfig: {
      ...confined,
      Runtime: runtime,
      PidsLimit: 8,
      Memory: memory,
      MemorySwap: memory,
      Mounts: [
        { Type: "volume", Source: partOf(names, "in").name, Target: "/in", ReadOnly: false, ...uncopied },
        { Type: "volume", Source: partOf(names, "out").name, Target: "/out", ReadOnly: false, ...uncopied },
      ],
    },
  };
}

/** What an image has at a volume's place is not copied into it. */
const uncopied = { VolumeOptions: { NoCopy: true, Labels: {}, DriverConfig: { Name: "local", Options: {} } } };

/** Most bytes that `/out` and what holds it together take. */
export function outputBytesHeld({ limits }: ContainerTask): number {
  return roundUp(limits.outputBytes) + (limits.files + 1) * PAGE;
}

/** Most bytes of one file: a page more, so that who writes too much is seen to have done so. */
export function largestFileBytes({ limits }: ContainerTask): number {
  return Math.max(limits.outputBytes, limits.diskBytes) + PAGE;
}

/** Bytes of `/tmp`. A size of 0 would mean that there is no limit. */
export function scratchBytes({ limits }: ContainerTask): number {
  return Math.max(PAGE, roundUp(limits.diskBytes));
}

/** Whole pages for so many bytes. */
export function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}

/** A task's variables. The image's own come first; nothing of the agent's is among them. */
export function environmentOf({ program }: ContainerTask, gpus: number): Record<string, string> {
  const variables: Record<string, string> = { HOME: "/tmp", LC_ALL: "C.UTF-8", TZ: "UTC", ...program.environment };
  // GPU runtimes look at it, and many images ask for all there are.
  if (gpus === 0) variables["NVIDIA_VISIBLE_DEVICES"] = "void";
  return variables;
}
