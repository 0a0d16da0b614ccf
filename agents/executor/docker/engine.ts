import Docker from "dockerode";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** Where a Docker engine is. */
export interface EngineOptions {
  /** Path of its socket. */
  socket: string;
  /** One request may take so long until it answers, milliseconds. Defaults to 60,000. */
  timeoutMs?: number;
}

/** What a Docker engine says of itself. */
export interface EngineFacts {
  /** Version of the engine: `20.10.24`. */
  version: string;
  /** Version of its interface: `1.41`. */
  apiVersion: string;
  /** Names of its runtimes: `runc`, `runsc`, `nvidia`. */
  runtimes: string[];
  defaultRuntime: string;
  /** Control groups: version 1 or 2; undefined if it does not say. */
  cgroup: 1 | 2 | undefined;
  cgroupDriver: string;
  storageDriver: string;
  /** Operating system of its containers: `linux`. */
  os: string;
  /** As the engine names it: `x86_64`, `aarch64`. */
  architecture: string;
  kernel: string;
  cpus: number;
  memoryBytes: number;
  /** Security features: `seccomp`, `apparmor`, `userns`, `rootless`. */
  security: string[];
  /** Whether it can limit memory without swap, processes, and CPU time; what it cannot is named. */
  missingLimits: string[];
  /** Folder in which it keeps images and volumes, on its host. */
  dataRoot: string;
  containersRunning: number;
  /** What it warns of, in its own words. */
  warnings: string[];
}

/** The interface of the engine must be at least so new. */
const LEAST_API = [1, 41] as const;

/**
 * A client of the engine at a socket. No connection is made yet.
 */
export function connectEngine({ socket, timeoutMs = 60_000 }: EngineOptions): Docker {
  return new Docker({ socketPath: socket, timeout: timeoutMs });
}

/**
 * Asks an engine what it is and what it can do.
 *
 * @throws SuretyError `ENGINE_UNREACHABLE` (retryable) if nothing answers, `ENGINE_FORBIDDEN` if the socket may not be
 * opened, `ENGINE_UNSUITABLE` if it is too old or not Linux
 *
 * @example
 * ```ts
 * const { version, runtimes } = await probeEngine({ socket: "/var/run/docker.sock" });
 * ```
 */
export async function probeEngine(options: EngineOptions): Promise<EngineFacts> {
  const engine = connectEngine({ timeoutMs: 10_000, ...options });
  let info: Info;
  let version: { Version?: string; ApiVersion?: string };
  try {
    [info, version] = await Promise.all([engine.info() as Promise<Info>, engine.version()]);
  } catch (cause) {
    throw engineError(cause, options.socket);
  }
  const facts = factsOf(info, version);
  const [major = 0, minor = 0] = facts.apiVersion.split(".").map(Number);
  const isOld = major < LEAST_API[0] || (major === LEAST_API[0] && minor < LEAST_API[1]);
  if (isOld || facts.os !== "linux") {
    throw new SuretyError(
      "ENGINE_UNSUITABLE",
      `the engine ${facts.version} runs ${facts.os} containers and speaks API ${facts.apiVersion}`,
      {
        details: { version: facts.version, apiVersion: facts.apiVersion, os: facts.os },
        fix: "Use a Docker engine for Linux containers, 20.10 or newer.",
        exit: ExitStatus.unavailable,
      },
    );
  }
  return facts;
}

interface Info {
  Runtimes?: Record<string, unknown>;
  DefaultRuntime?: string;
  CgroupVersion?: string;
  CgroupDriver?: string;
  Driver?: string;
  OSType?: string;
  Architecture?: string;
  KernelVersion?: string;
  NCPU?: number;
  MemTotal?: number;
  SecurityOptions?: string[] | null;
  MemoryLimit?: boolean;
  SwapLimit?: boolean;
  PidsLimit?: boolean;
  CpuCfsQuota?: boolean;
  DockerRootDir?: string;
  ContainersRunning?: number;
  Warnings?: string[] | null;
}

function factsOf(info: Info, version: { Version?: string; ApiVersion?: string }): EngineFacts {
  const limits = { memory: info.MemoryLimit, swap: info.SwapLimit, processes: info.PidsLimit, cpus: info.CpuCfsQuota };
  return {
    version: version.Version ?? "",
    apiVersion: version.ApiVersion ?? "",
    runtimes: Object.keys(info.Runtimes ?? {}).sort(),
    defaultRuntime: info.DefaultRuntime ?? "",
    cgroup: info.CgroupVersion === "1" ? 1 : info.CgroupVersion === "2" ? 2 : undefined,
    cgroupDriver: info.CgroupDriver ?? "",
    storageDriver: info.Driver ?? "",
    os: info.OSType ?? "",
    architecture: info.Architecture ?? "",
    kernel: info.KernelVersion ?? "",
    cpus: info.NCPU ?? 0,
    memoryBytes: info.MemTotal ?? 0,
    // "name=seccomp,profile=default"
    security: (info.SecurityOptions ?? []).map((option) => /name=([^,]+)/.exec(option)?.[1] ?? option),
    missingLimits: Object.entries(limits).flatMap(([name, has]) => (has === false ? [name] : [])),
    dataRoot: info.DockerRootDir ?? "",
    containersRunning: info.ContainersRunning ?? 0,
    warnings: info.Warnings ?? [],
  };
}

/** What the engine's client threw, as the error this package throws for it. */
export function engineError(cause: unknown, socket: string): SuretyError {
  if (cause instanceof SuretyError) return cause;
  const { code, statusCode, message } = cause as { code?: string; statusCode?: number; message?: string };
  const details = { socket, reason: message ?? String(cause), status: statusCode, system: code };
  if (code === "EACCES" || code === "EPERM") {
    return new SuretyError("ENGINE_FORBIDDEN", `the engine's socket ${socket} may not be opened`, {
      details,
      fix: "Run the agent as a user that may open it: on most hosts a member of the group docker.",
      exit: ExitStatus.unavailable,
      cause,
    });
  }
  if (statusCode === undefined) {
    return new SuretyError("ENGINE_UNREACHABLE", `no Docker engine answers at ${socket}: ${details.reason}`, {
      details,
      fix: "Start the engine, or name its socket in the configuration: executor.socket.",
      exit: ExitStatus.unavailable,
      kind: "retryable",
      cause,
    });
  }
  return new SuretyError("EXECUTOR_FAILED", `the engine refused: ${details.reason}`, {
    details,
    exit: ExitStatus.unavailable,
    kind: "retryable",
    cause,
  });
}
