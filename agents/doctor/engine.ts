import { execFile } from "node:child_process";
import { readdir, statfs } from "node:fs/promises";
import { userInfo } from "node:os";
import { promisify } from "node:util";
import { SuretyError } from "#sdk/errors.ts";
import type { DockerExecutorConfig } from "../config/executor.ts";
import { probeEngine, type EngineFacts } from "../executor/docker/engine.ts";
import { fromError, ok, problem, warning, type Finding } from "./finding.ts";
import { roughly } from "./host.ts";

const DEFAULT_SOCKET = "/var/run/docker.sock";
const TIMEOUT_MS = 5_000;
/** Images and their layers take room, bytes. */
const LITTLE_DISK = 20 * 2 ** 30;
const NVIDIA_MS = 10_000;

/**
 * Looks at the Docker engine and the GPUs.
 *
 * @param config Undefined if no engine is configured: then nothing that is missing is a problem.
 */
export async function examineEngine(config: DockerExecutorConfig | undefined): Promise<Finding[]> {
  const socket = config?.socket ?? DEFAULT_SOCKET;
  let facts: EngineFacts;
  try {
    facts = await probeEngine({ socket, timeoutMs: TIMEOUT_MS });
  } catch (error) {
    return [
      config ? unreachable(socket, error) : optional(unreachable(socket, error)),
      ...(await gpus(config, undefined)),
    ];
  }
  const findings = [
    ok(
      "Docker",
      `engine ${facts.version} at ${socket}, ${facts.os}/${facts.architecture}, ${facts.cpus} CPUs, ${roughly(facts.memoryBytes)}`,
    ),
    runtimes(facts, config),
    limits(facts),
    confinement(facts),
    await images(facts),
    ...(await gpus(config, facts)),
  ];
  return config ? findings : findings.map(optional);
}

/** What is missing for containers only is no problem where nobody wants them. */
function optional(finding: Finding): Finding {
  if (finding.verdict === "ok") return finding;
  return { ...finding, verdict: "warning", fix: `For jobs in containers: ${finding.fix}` };
}

function unreachable(socket: string, error: unknown): Finding {
  const found = fromError("Docker", error, "Start the engine.");
  const { code } = (error as { cause?: { code?: string } }).cause ?? {};
  if (!(error instanceof SuretyError)) return found;
  if (error.code === "ENGINE_FORBIDDEN") {
    const user = userInfo().username;
    return {
      ...found,
      says: `there is an engine at ${socket}, and user ${user} may not use it`,
      fix: `Add it to the engine's group and start a new session: usermod -aG docker ${user}. Who is in it can become root.`,
    };
  }
  if (error.code !== "ENGINE_UNREACHABLE") return found;
  switch (code) {
    case "ENOENT":
      return {
        ...found,
        says: `there is no engine: nothing is at ${socket}`,
        fix: "Install and start one (apt-get install docker.io; systemctl enable --now docker), or name its socket in executor.socket.",
      };
    case "ECONNREFUSED":
      return {
        ...found,
        says: `the engine has stopped: nobody answers at ${socket}`,
        fix: "Start it (systemctl start docker), and see why it stopped: journalctl -u docker.",
      };
    default:
      return {
        ...found,
        fix: "See whether it is stuck (docker info; journalctl -u docker), and start it again: systemctl restart docker.",
      };
  }
}

function runtimes({ runtimes, defaultRuntime }: EngineFacts, config: DockerExecutorConfig | undefined): Finding {
  // The engine lists its own names of runc too.
  const has = `runtimes ${runtimes.filter((name) => !name.startsWith("io.containerd.")).join(", ")}; ${defaultRuntime} unless told otherwise`;
  const wanted = config?.runtime;
  const install =
    "Install gVisor (apt-get install runsc), and add to /etc/docker/daemon.json: " +
    `"runtimes": { "runsc": { "path": "/usr/bin/runsc", "runtimeArgs": ["--network=none"] } }; then systemctl restart docker.`;
  if (wanted !== undefined && !runtimes.includes(wanted)) {
    const fix =
      wanted === "runsc" ? install : `Add ${wanted} to the engine's runtimes, or name another in executor.runtime.`;
    return problem("runtime", `the engine has no runtime ${wanted}, but ${has}`, fix, "EXECUTOR_UNSUITABLE");
  }
  if (runtimes.includes("runsc")) {
    if (wanted !== undefined && wanted !== "runsc") {
      return warning(
        "runtime",
        `tasks run in ${wanted} though the engine has gVisor`,
        "Set executor.runtime: runsc, to keep tasks off the kernel.",
      );
    }
    return ok("runtime", has);
  }
  return warning("runtime", `${has}: without gVisor, a hole in the kernel is all that a task needs`, install);
}

function limits({ cgroup, cgroupDriver, missingLimits }: EngineFacts): Finding {
  const says = `control groups version ${cgroup ?? "?"}, by ${cgroupDriver}`;
  if (missingLimits.length === 0) return ok("limits", says);
  return problem(
    "limits",
    `${says}: the engine cannot limit ${missingLimits.join(", ")}`,
    'Let the kernel count them: on Debian GRUB_CMDLINE_LINUX="cgroup_enable=memory swapaccount=1", update-grub, and boot again.',
    "EXECUTOR_UNSUITABLE",
  );
}

function confinement({ security }: EngineFacts): Finding {
  if (security.includes("seccomp")) return ok("confinement", security.join(", "));
  return problem(
    "confinement",
    "the engine does not filter system calls (no seccomp)",
    "Use an engine and a kernel with seccomp: every distribution's own has it.",
    "EXECUTOR_UNSUITABLE",
  );
}

async function images({ dataRoot, storageDriver }: EngineFacts): Promise<Finding> {
  const space = await statfs(dataRoot).catch(() => undefined);
  if (!space) return ok("images", `in ${dataRoot}, by ${storageDriver}`);
  const free = space.bavail * space.bsize;
  const says = `${roughly(free)} free in ${dataRoot}, by ${storageDriver}`;
  if (free >= LITTLE_DISK) return ok("images", says);
  return warning(
    "images",
    `only ${says}`,
    "Make room (docker system df), or move the engine's data-root to another disk.",
  );
}

async function gpus(config: DockerExecutorConfig | undefined, facts: EngineFacts | undefined): Promise<Finding[]> {
  const devices = (await readdir("/dev").catch(() => [])).filter((name) => /^nvidia\d+$/.test(name));
  const listed = await listedGpus();
  const offered = config?.gpus ?? [];
  if (offered.length === 0) {
    if (devices.length === 0) return [ok("GPUs", "none here, none offered")];
    const ids = listed.map(({ index, name }) => `${index} (${name})`).join(", ") || `${devices.length}`;
    return [ok("GPUs", `here, and not offered: ${ids}. To offer them, list them in executor.gpus`)];
  }
  const names = offered.map(({ id }) => id).join(", ");
  const driver =
    "Install NVIDIA's driver and container toolkit (nvidia-ctk runtime configure), and restart the engine; or empty executor.gpus.";
  if (devices.length === 0) {
    return [
      problem("GPUs", `${names} are offered, and this machine shows none (no /dev/nvidia0)`, driver, "GPU_UNAVAILABLE"),
    ];
  }
  const unknown = offered.filter(
    ({ id }) => !id.startsWith("MIG-") && !listed.some(({ index, uuid }) => id === index || id === uuid),
  );
  if (listed.length > 0 && unknown.length > 0) {
    const known = listed.map(({ index, uuid }) => `${index} or ${uuid}`).join(", ");
    return [
      problem(
        "GPUs",
        `there is no GPU ${unknown.map(({ id }) => id).join(", ")}`,
        `Offer in executor.gpus: ${known}.`,
        "GPU_UNAVAILABLE",
      ),
    ];
  }
  if (facts && !facts.runtimes.includes("nvidia")) {
    return [
      warning(
        "GPUs",
        `${names} are offered, and the engine lists no runtime nvidia`,
        `If tasks do not get them: ${driver}`,
      ),
    ];
  }
  return [ok("GPUs", `${names} offered`)];
}

/** What NVIDIA's own tool lists; nothing if it is not there. */
async function listedGpus(): Promise<{ index: string; uuid: string; name: string }[]> {
  try {
    const args = ["--query-gpu=index,uuid,name", "--format=csv,noheader"];
    const { stdout } = await promisify(execFile)("nvidia-smi", args, { timeout: NVIDIA_MS });
    return stdout
      .trim()
      .split("\n")
      .map((line) => {
        const [index = "", uuid = "", name = ""] = line.split(", ");
        return { index, uuid, name };
      });
  } catch {
    return [];
  }
}
