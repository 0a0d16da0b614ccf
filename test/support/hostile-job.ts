import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type Docker from "dockerode";
import type { Context } from "mocha";
import type { ContainerTask, ContainerTaskLimits } from "../../agents/executor/executor.ts";
import { connectEngine } from "../../agents/executor/docker/engine.ts";
import { busyboxImage, engineSocket, needEngine, type TestImage } from "./docker-engine.ts";

const sources = fileURLToPath(new URL("../hostile/probe/", import.meta.url));

/** The image of hostile jobs: busybox, `/bin/probe`, and `/bin/raise`, which is the same with root's rights on it. */
export async function hostileImage(): Promise<TestImage> {
  const bytes = await probeBinary();
  return busyboxImage({
    entries: [
      { name: "bin/probe", mode: 0o755, bytes },
      { name: "bin/raise", mode: 0o4755, bytes },
    ],
  });
}

/** The probe, compiled once for all processes: it is kept under the digest of its sources. */
export async function probeBinary(): Promise<Uint8Array> {
  const names = (await readdir(sources)).sort();
  const files = await Promise.all(names.map((name) => readFile(join(sources, name))));
  const digest = createHash("sha256").update(Buffer.concat(files)).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), `surety-probe-${process.getuid?.() ?? 0}`);
  const binary = join(folder, `probe-${digest}`);
  if (!existsSync(binary)) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const scratch = await mkdtemp(join(folder, "build-"));
    const programs = names.filter((name) => name.endsWith(".c")).map((name) => join(sources, name));
    const flags = ["-O1", "-static", "-Wall", "-Werror"];
    await promisify(execFile)(process.env["CC"] ?? "cc", [...flags, "-o", join(scratch, "probe"), ...programs]);
    await rename(join(scratch, "probe"), binary);
    await rm(scratch, { recursive: true });
  }
  return readFile(binary);
}

/** Skips where there is no engine or no C compiler; fails where `SURETY_REQUIRE` names the engine. */
export async function needHostileJobs(test: Context): Promise<TestImage> {
  await needEngine(test);
  try {
    return await hostileImage();
  } catch (error) {
    if ((process.env["SURETY_REQUIRE"] ?? "").split(",").includes("docker")) throw error;
    console.warn(`    !! SKIPPED: no C compiler for the probe: ${(error as Error).message}`);
    return test.skip();
  }
}

/** Enough for whatever a probe does that is not about limits. */
const roomyLimits: ContainerTaskLimits = {
  cpus: 1,
  memoryBytes: 256 << 20,
  processes: 64,
  diskBytes: 64 << 20,
  seconds: 120,
  outputBytes: 16 << 20,
  files: 1000,
};

/** A task of the image of hostile jobs that starts the probe. */
export function probeTask(
  image: TestImage,
  args: string[],
  limits: Partial<ContainerTaskLimits> = {},
  input: [path: string, text: string][] = [],
): ContainerTask {
  return {
    program: image.program(["/bin/probe"]),
    args,
    index: 7,
    input: new Map(input.map(([path, text]) => [path, Buffer.from(text)])),
    limits: { ...roomyLimits, ...limits },
  };
}

/** What one command of the probe found out, by what it tried: `ok`, the name of an error, or a value. */
export type Findings = Map<string, string>;

/** What each of the probe's commands found out, from what it printed; one command alone is named "". */
export function findingsOf(stdout: Uint8Array | string): Map<string, Findings> {
  const all = new Map<string, Findings>();
  let current: Findings = new Map();
  all.set("", current);
  for (const line of Buffer.from(stdout).toString().split("\n")) {
    const section = /^# (.*)$/.exec(line);
    if (section) all.set(section[1]!, (current = new Map<string, string>()));
    const value = /^(.*?) = (.*)$/.exec(line) ?? /^([A-Za-z_]+)=(.*)$/.exec(line) ?? /^(.*) (\S+)$/.exec(line);
    if (value && !section) current.set(value[1]!, value[2]!);
  }
  return all;
}

/** Several commands of the probe as its arguments, one after the other. */
export function together(...commands: string[][]): string[] {
  return commands.flatMap((command) => [...command, "--"]);
}

/** Every right that a container may be given and that some probe needs. */
const allRights = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK KILL MKNOD NET_ADMIN NET_RAW SETGID SETUID " +
  "SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_NICE SYS_PTRACE SYS_TIME SYSLOG"
).split(" ");

/** Runs the probe where it may do what it tries: the control that shows that it can. */
export class OpenGround {
  readonly engine: Docker = connectEngine({ socket: engineSocket, timeoutMs: 0 });
  private readonly image: TestImage;

  constructor(image: TestImage) {
    this.image = image;
  }

  async load(): Promise<void> {
    const answer = await this.engine.loadImage(Readable.from([Buffer.from(this.image.tar)]));
    await new Promise((resolve, reject) =>
      this.engine.modem.followProgress(answer, (error) => (error ? reject(error) : resolve(undefined))),
    );
  }

  /**
   * What the probe prints with root's rights, no filter of system calls, the host's network and processes, and nothing
   * masked. `changes` are the engine's own settings of a host.
   */
  async run(args: string[], changes: Docker.HostConfig = {}, user = "0:0"): Promise<string> {
    const container = await this.engine.createContainer({
      Image: this.image.id,
      Entrypoint: ["/bin/probe"],
      Cmd: args,
      User: user,
      Tty: false,
      HostConfig: {
        CapDrop: ["ALL"],
        CapAdd: allRights,
        SecurityOpt: ["seccomp=unconfined", "apparmor=unconfined"],
        NetworkMode: "host",
        PidMode: "host",
        MaskedPaths: [],
        ReadonlyPaths: [],
        DeviceCgroupRules: ["a *:* rwm"],
        ...changes,
      } as Docker.HostConfig,
    });
    try {
      const ended = container.wait({ condition: "next-exit" });
      await container.start();
      await ended;
      const log = await container.logs({ stdout: true, stderr: true, follow: false });
      return stdoutOf(log);
    } finally {
      await container.remove({ force: true, v: true });
    }
  }
}

/** Standard output out of the engine's frames: a stream's number, three zeros, the length, the bytes. */
function stdoutOf(log: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= log.length;) {
    const length = log.readUInt32BE(at + 4);
    if (log[at] === 1) parts.push(log.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts).toString();
}
