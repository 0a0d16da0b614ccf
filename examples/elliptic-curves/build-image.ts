import { execFile } from "node:child_process";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { packImage, type LayerEntry, type PackedImage } from "../../agents/executor/docker/pack-image.ts";
import { dependenciesOf, followIn, unpackPackages } from "./debian.ts";

const run = promisify(execFile);
const here = fileURLToPath(new URL(".", import.meta.url));

/** Everything that is made lies there. */
export const BUILD_FOLDER = join(here, "build");
/** Where {@link buildImage} puts the image. */
export const IMAGE_PATH = join(BUILD_FOLDER, "image.tar");
/** The packages' files: what the image is made of, and what {@link ./plain.ts} runs. */
export const ROOT_FOLDER = join(BUILD_FOLDER, "root");

/** The program in the image, its script, and the memory its stack may take. */
export const COMMAND = ["/usr/bin/gp", "-q", "-f", "-s", "128M", "/verify.gp"];

const PROGRAM = "/usr/bin/gp";
/** What starts programs, and the name that Debian has for the machine. */
const MACHINES: Record<string, { loader: string; architecture: string } | undefined> = {
  x64: { loader: "/lib64/ld-linux-x86-64.so.2", architecture: "amd64" },
  arm64: { loader: "/lib/ld-linux-aarch64.so.1", architecture: "arm64" },
};

/**
 * Builds an image of Debian's PARI/GP: the program, the libraries it is linked to, the script, and nothing else. The
 * same packages give the same image, byte for byte. Written to {@link IMAGE_PATH}.
 *
 * @throws Error with apt's messages, or on a machine that is neither x64 nor arm64
 */
export async function buildImage({ signal }: { signal?: AbortSignal } = {}): Promise<PackedImage> {
  const machine = MACHINES[process.arch];
  if (!machine) throw new Error(`no image is known to build for ${process.arch}`);
  const names = await dependenciesOf("pari-gp");
  const packages = await unpackPackages(names, { packages: join(BUILD_FOLDER, "packages"), root: ROOT_FOLDER, signal });
  const needed = [PROGRAM, machine.loader, ...(await librariesOf(PROGRAM, machine.loader, signal))];
  const files: LayerEntry[] = [];
  for (const path of needed) {
    const place = join(ROOT_FOLDER, await followIn(ROOT_FOLDER, path));
    files.push({ name: path.slice(1), mode: (await stat(place)).mode & 0o777, bytes: await readFile(place) });
  }
  files.push({ name: "verify.gp", mode: 0o644, bytes: await readFile(join(here, "verify.gp")) });
  files.push({ name: "packages", mode: 0o644, bytes: Buffer.from(`${packages.join("\n")}\n`) });
  const image = await packImage([...foldersOf(files), ...files], {
    architecture: machine.architecture,
    config: { Entrypoint: COMMAND },
  });
  await mkdir(BUILD_FOLDER, { recursive: true });
  await writeFile(IMAGE_PATH, image.tar);
  return image;
}

/** How to start a program of the packages on this machine, with their libraries and not this machine's. */
export async function plainCommand(): Promise<string[]> {
  const { loader } = MACHINES[process.arch]!;
  const place = async (path: string): Promise<string> => join(ROOT_FOLDER, await followIn(ROOT_FOLDER, path));
  return [await place(loader), "--inhibit-cache", "--library-path", await libraryPath(), await place(PROGRAM)];
}

async function libraryPath(): Promise<string> {
  const { stdout } = await run("dpkg-architecture", ["-qDEB_HOST_MULTIARCH"]).catch(() => ({ stdout: "" }));
  const triplet = stdout.trim() || (process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu");
  return [`usr/lib/${triplet}`, `lib/${triplet}`].map((folder) => join(ROOT_FOLDER, folder)).join(":");
}

/** The libraries that a program is linked to, by their paths in the root. */
async function librariesOf(program: string, loader: string, signal: AbortSignal | undefined): Promise<string[]> {
  const [start = "", ...args] = await plainCommand();
  const { stdout } = await run(start, [...args.slice(0, -1), "--list", args.at(-1)!], { signal });
  // `libm.so.6 => /…/build/root/lib/x86_64-linux-gnu/libm.so.6 (0x00007f…)`
  const paths = [...stdout.matchAll(/ => (\/\S+) \(0x/g)].map(([, path]) => path!);
  const foreign = paths.find((path) => !path.startsWith(`${ROOT_FOLDER}/`));
  if (foreign !== undefined) throw new Error(`${program} would take ${foreign}, which is no package's`);
  return paths.map((path) => path.slice(ROOT_FOLDER.length)).filter((path) => path !== loader);
}

/** The folders on the way to files, the outer first. */
function foldersOf(files: readonly LayerEntry[]): LayerEntry[] {
  const folders = new Set<string>();
  for (const { name } of files) for (let at = dirname(name); at !== "."; at = dirname(at)) folders.add(at);
  return [...folders].sort().map((name) => ({ name, type: "directory", mode: 0o755 }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { id, tar } = await buildImage();
  process.stdout.write(`${IMAGE_PATH}: ${(tar.length / 2 ** 20).toFixed(1)} MiB, ${id}\n`);
}
