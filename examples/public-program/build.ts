import { execFile } from "node:child_process";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const here = fileURLToPath(new URL(".", import.meta.url));

/** The command's package; `go.mod` pins its version, `go.sum` its content. */
const PACKAGE = "github.com/itchyny/gojq/cmd/gojq";

/** Where {@link buildProgram} puts the program. */
export const PROGRAM_PATH = join(here, "build/gojq.wasm");

/** What the example asks of each input: a line of name, version, licence and how many packages it needs. */
export const PROGRAM_ARGUMENTS = [
  "-r",
  '[.name, .version, .license // "?", (.dependencies // {} | length)] | @tsv',
  "/in/package.json",
];

/** Whether there is a Go toolchain to build with. */
export async function hasGo(): Promise<boolean> {
  return run("go", ["version"]).then(
    () => true,
    () => false,
  );
}

/**
 * Builds gojq, a jq in Go by other authors, from its published source, unchanged, to a WASI program at
 * {@link PROGRAM_PATH}. The first time, Go downloads the source.
 *
 * @returns the program's bytes: the same for the same Go toolchain
 * @throws Error with the toolchain's messages
 */
export async function buildProgram(options: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
  await mkdir(join(here, "build"), { recursive: true });
  await run(
    "go",
    ["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", PROGRAM_PATH, PACKAGE],
    {
      cwd: here,
      env: { ...process.env, GOOS: "wasip1", GOARCH: "wasm", CGO_ENABLED: "0", GOFLAGS: "" },
      signal: options.signal,
    },
  );
  return new Uint8Array(await readFile(PROGRAM_PATH));
}

/**
 * Writes one folder of input a task: `0000/package.json`, `0001/...`, the manifests of packages that
 * this project depends on.
 *
 * @returns the names of the packages in the order of the tasks
 */
export async function prepareInputs(options: { outFolder: string }): Promise<string[]> {
  const require = createRequire(import.meta.url);
  const manifest = JSON.parse(await readFile(join(here, "../../package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  const packages = Object.keys(manifest.dependencies).sort();
  for (const [index, name] of packages.entries()) {
    const folder = join(options.outFolder, String(index).padStart(4, "0"));
    await mkdir(folder, { recursive: true });
    const root = require.resolve.paths(name)!.map((modules) => join(modules, name, "package.json"));
    await copyFirst(root, join(folder, "package.json"));
  }
  return packages;
}

/** Not every package exports its manifest, so it is looked for where Node looks for packages. */
async function copyFirst(candidates: string[], target: string): Promise<void> {
  for (const candidate of candidates) {
    const copied = await copyFile(candidate, target).then(
      () => true,
      () => false,
    );
    if (copied) return;
  }
  throw new Error(`none of these can be copied: ${candidates.join(", ")}`);
}

if (import.meta.main) {
  const program = await buildProgram();
  const packages = await prepareInputs({ outFolder: join(here, "build/inputs") });
  console.log(`${PROGRAM_PATH}: ${program.length} bytes; ${packages.length} inputs beside it`);
}
