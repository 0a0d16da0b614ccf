import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import type { Context } from "mocha";
import { dockerExecutorSchema } from "../../agents/config/executor.ts";
import { DockerExecutor, type DockerExecutorOptions } from "../../agents/executor/docker-executor.ts";
import { connectEngine, probeEngine, type EngineFacts } from "../../agents/executor/docker/engine.ts";
import { packImage, type LayerEntry, type PackedImage } from "../../agents/executor/docker/pack-image.ts";
import type { ContainerProgram, ContainerTask, ContainerTaskLimits } from "../../agents/executor/executor.ts";

/** Path of the socket of the engine that tests use: `DOCKER_HOST`, or where engines listen. */
export const engineSocket = (process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock").replace(/^unix:\/\//, "");

/** The static busybox that images of tests are made of. */
const busybox = process.env["BUSYBOX_BINARY"] ?? "/bin/busybox";

const required = (process.env["SURETY_REQUIRE"] ?? "").split(",");

/** Skips what needs a Docker engine where there is none; fails where `SURETY_REQUIRE` names it. */
export async function needEngine(test: Context): Promise<EngineFacts> {
  try {
    const facts = await probeEngine({ socket: engineSocket });
    await readFile(busybox);
    return facts;
  } catch (error) {
    return without(
      test,
      "docker",
      `no Docker engine at ${engineSocket}, or no ${busybox}: ${(error as Error).message}`,
    );
  }
}

/** The same for one of the engine's runtimes. */
export async function needRuntime(test: Context, runtime: "runsc"): Promise<EngineFacts> {
  const facts = await needEngine(test);
  if (facts.runtimes.includes(runtime)) return facts;
  return without(test, runtime, `the engine has no runtime ${runtime}`);
}

function without(test: Context, name: string, why: string): never {
  if (required.includes(name)) throw new Error(`SURETY_REQUIRE asks for ${name}: ${why}`);
  console.warn(`    !! SKIPPED: ${why}; nothing below was tested in containers`);
  return test.skip();
}

/** An image of tests. */
export interface TestImage extends PackedImage {
  /** It as a program that starts so; the tar stands for what storage would stream. */
  program(entrypoint?: string[], more?: Partial<ContainerProgram>): ContainerProgram;
}

/** What to put in an image beside busybox. */
export interface ImageChanges {
  /** More entries of its only layer. */
  entries?: LayerEntry[];
  /** The image's own `Env`, `User`, `Entrypoint`, `Volumes` and so on. */
  config?: Record<string, unknown>;
}

/** Content id that stands for an image which is not stored anywhere. */
const NOWHERE = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";

/** A static busybox and all its applets in `/bin`. */
export async function busyboxEntries(): Promise<LayerEntry[]> {
  const { stdout } = await promisify(execFile)(busybox, ["--list"]);
  const applets = stdout.split("\n").filter((name) => name !== "" && name !== "busybox");
  const folders = ["bin", "etc", "tmp"].map((name): LayerEntry => ({ name, type: "directory", mode: 0o755 }));
  return [
    ...folders,
    { name: "bin/busybox", mode: 0o755, bytes: await readFile(busybox) },
    ...applets.map((name): LayerEntry => ({ name: `bin/${name}`, type: "symlink", linkname: "busybox" })),
  ];
}

/** An image with a static busybox and all its applets in `/bin`. */
export async function busyboxImage({ entries = [], config = {} }: ImageChanges = {}): Promise<TestImage> {
  const image = await packImage([...(await busyboxEntries()), ...entries], {
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    config: { Env: ["PATH=/bin"], ...config },
  });
  return testImage(image);
}

/** Any packed image as one of tests. */
export function testImage({ id, tar }: PackedImage): TestImage {
  return {
    id,
    tar,
    program: (entrypoint, more) => ({
      image: { cid: NOWHERE, path: "image.tar", id },
      open: async function* () {
        // In pieces of a size that no header of a tar falls in with.
        for (let from = 0; from < tar.length; from += 65_521) yield tar.subarray(from, from + 65_521);
      },
      ...(entrypoint ? { entrypoint } : {}),
      ...more,
    }),
  };
}

/** `sh -c` with a script, as an entry point of {@link busyboxImage}. */
export function shell(script: string): string[] {
  return ["/bin/sh", "-c", script];
}

/** What tasks of tests may use unless a test says otherwise. */
export const taskLimits: ContainerTaskLimits = {
  cpus: 1,
  memoryBytes: 64 * 2 ** 20,
  processes: 32,
  // Far beyond what any of them takes, on the slowest machine.
  seconds: 300,
  diskBytes: 2 ** 20,
  outputBytes: 2 ** 20,
  files: 16,
};

/** An executor of tests, which nothing else shares its name with. */
export function testExecutor(options: Partial<DockerExecutorOptions> = {}): DockerExecutor {
  const { kind: _, ...defaults } = dockerExecutorSchema.parse({ kind: "docker", socket: engineSocket });
  return new DockerExecutor({ ...defaults, owner: randomBytes(8).toString("hex"), ...options });
}

/** A task of a program, with what most tests have. */
export function testTask(program: ContainerProgram, changes: Partial<ContainerTask> = {}): ContainerTask {
  return { program, args: [], index: 0, input: new Map(), limits: taskLimits, ...changes };
}

/** What an agent has in an engine: names of containers and volumes. */
export async function ownedBy(owner: string, socket = engineSocket): Promise<string[]> {
  const engine = connectEngine({ socket });
  const filters = { label: [`surety.owner=${owner}`] };
  const containers = await engine.listContainers({ all: true, filters });
  const { Volumes } = await engine.listVolumes({ filters });
  return [...containers.map(({ Names }) => Names[0]!), ...(Volumes ?? []).map(({ Name }) => Name)];
}
