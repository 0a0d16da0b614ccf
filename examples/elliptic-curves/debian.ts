import { execFile } from "node:child_process";
import { mkdir, readdir, readlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Leaves of dependencies only what is needed. */
const NEEDED = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map((kind) => `--no-${kind}`);

/** Whether this machine has Debian's tools to fetch and unpack packages. */
export async function hasDebian(): Promise<boolean> {
  return run("apt-get", ["--version"]).then(
    () => run("dpkg-deb", ["--version"]).then(() => true),
    () => false,
  );
}

/**
 * The names of the packages that a package needs, itself included.
 *
 * @throws Error with apt's messages, for one that it does not know
 */
export async function dependenciesOf(name: string): Promise<string[]> {
  const { stdout } = await run("apt-cache", ["depends", "--recurse", "--important", ...NEEDED, name]);
  // Names at the start of a line are packages, those in <…> are provided by others, which are listed too.
  return [...new Set(stdout.split("\n").filter((line) => /^[a-z0-9]/.test(line)))].sort();
}

/**
 * Downloads packages by apt, which checks their signatures, and unpacks them. Nothing is installed.
 *
 * @param options.packages Folder for the packages, kept for the next time.
 * @param options.root Folder to unpack to.
 * @returns file names of the packages, which tell their versions
 * @throws Error with apt's messages
 */
export async function unpackPackages(
  names: readonly string[],
  { packages, root, signal }: { packages: string; root: string; signal?: AbortSignal },
): Promise<string[]> {
  await mkdir(packages, { recursive: true });
  await mkdir(root, { recursive: true });
  await run("apt-get", ["download", ...names], { cwd: packages, signal });
  const unpacked: string[] = [];
  for (const file of (await readdir(packages)).sort()) {
    if (!names.some((name) => file.startsWith(`${name}_`))) continue;
    await run("dpkg-deb", ["--extract", join(packages, file), root], { signal });
    unpacked.push(file);
  }
  return unpacked;
}

/** Where a path in a root file system leads, its links followed within it; a path below `root`. */
export async function followIn(root: string, path: string): Promise<string> {
  let at = "/";
  for (const name of path.split("/").filter((part) => part !== "")) {
    const next = join(at, name);
    const target = await readlink(join(root, next)).catch(() => undefined);
    at = target === undefined ? next : await inside(root, resolve(dirname(next), target));
  }
  return at;
}

/** As {@link followIn}, of what a link leads to. */
async function inside(root: string, path: string): Promise<string> {
  return followIn(root, path);
}
