import { execFile } from "node:child_process";
import { lstat, readdir, readFile, readlink, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { packImage, type LayerEntry, type PackedImage } from "../../agents/executor/docker/pack-image.ts";
import { dependenciesOf, unpackPackages } from "../../examples/elliptic-curves/debian.ts";

const run = promisify(execFile);
const modules = fileURLToPath(new URL("../../node_modules", import.meta.url));
const architecture = process.arch === "arm64" ? "arm64" : "amd64";

/** What a program does not need of Debian's packages. */
const UNUSED = /^(?:usr\/share\/(?:doc|man|locale|info|lintian|perl|zoneinfo)|usr\/lib\/[^/]*\/perl|var)(?:\/|$)/;

/**
 * The image that a TypeScript package's Dockerfile makes, but of this machine's Node and this project's packages.
 *
 * @param folder Of the package.
 */
export async function typescriptImage(folder: string): Promise<PackedImage> {
  const { stdout } = await run("ldd", [process.execPath]);
  const libraries = [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path!);
  const entries: LayerEntry[] = [];
  for (const path of libraries) entries.push({ name: path.slice(1), mode: 0o755, bytes: await readFile(path) });
  entries.push({ name: "usr/bin/node", mode: 0o755, bytes: await readFile(await realpath(process.execPath)) });
  for (const name of await packagesOf(["@grpc/grpc-js", "@grpc/proto-loader"])) {
    entries.push(
      ...(await filesIn(join(modules, name), `schema/node_modules/${name}`, (path) => !/\.map$/.test(path))),
    );
  }
  entries.push(...(await sourcesOf(folder, ["package.json", "surety-schema.ts", "worker.ts", "evaluator.ts"])));
  return packImage(withFolders(entries), {
    architecture,
    config: { Entrypoint: ["/usr/bin/node", "--disable-warning=ExperimentalWarning", "/schema/surety-schema.ts"] },
  });
}

/**
 * The image that a Python package's Dockerfile makes, of the same packages of Debian.
 *
 * @param work Folder for packages and what is in them.
 */
export async function pythonImage(folder: string, work: string): Promise<PackedImage> {
  const names = new Set([...(await dependenciesOf("python3-grpcio")), ...(await dependenciesOf("python3-protobuf"))]);
  const root = join(work, "root");
  await unpackPackages([...names].sort(), { packages: join(work, "packages"), root });
  const entries = await filesIn(root, "", (path) => !UNUSED.test(path));
  entries.push(...(await sourcesOf(folder, ["surety_schema.py", "worker.py", "evaluator.py"])));
  return packImage(withFolders(entries), {
    architecture,
    config: {
      Env: ["PATH=/usr/bin", "PYTHONDONTWRITEBYTECODE=1", "PYTHONHASHSEED=0"],
      Entrypoint: ["/usr/bin/python3", "/schema/surety_schema.py"],
    },
  });
}

async function sourcesOf(folder: string, names: readonly string[]): Promise<LayerEntry[]> {
  return Promise.all(
    names.map(async (name) => ({ name: `schema/${name}`, mode: 0o644, bytes: await readFile(join(folder, name)) })),
  );
}

/** Packages and all that they need, as they lie in `node_modules`. */
async function packagesOf(names: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  const queue = [...names];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    const { dependencies = {} } = JSON.parse(await readFile(join(modules, name, "package.json"), "utf8")) as {
      dependencies?: Record<string, string>;
    };
    // Of proto-loader's own command line only.
    queue.push(...Object.keys(dependencies).filter((each) => each !== "yargs"));
  }
  return [...found].sort();
}

/** Regular files and links below a folder. */
async function filesIn(folder: string, prefix: string, wanted: (path: string) => boolean): Promise<LayerEntry[]> {
  const entries: LayerEntry[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const inside = path.slice(folder.length + 1);
    if (entry.isDirectory() || !wanted(inside)) continue;
    const name = prefix === "" ? inside : `${prefix}/${inside}`;
    if (entry.isSymbolicLink()) entries.push({ name, type: "symlink", linkname: await readlink(path) });
    else if (entry.isFile()) {
      entries.push({ name, mode: (await lstat(path)).mode & 0o777, bytes: await readFile(path) });
    }
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function withFolders(entries: readonly LayerEntry[]): LayerEntry[] {
  const folders = new Set<string>(["tmp", "in", "out"]);
  for (const { name } of entries) for (let at = dirname(name); at !== "."; at = dirname(at)) folders.add(at);
  return [...[...folders].sort().map((name): LayerEntry => ({ name, type: "directory", mode: 0o755 })), ...entries];
}
