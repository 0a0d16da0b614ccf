import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const here = fileURLToPath(new URL(".", import.meta.url));

/** Where {@link buildModule} puts the module, below this folder. */
export const MODULE_PATH = resolve(here, "build/coastline.wasm");

/** File access for the compiler, whose own takes some paths from the working directory. */
const files = {
  readFile: (name: string, folder: string) => readFile(resolve(here, folder, name), "utf8").catch(() => null),
  writeFile: async (name: string, content: string | Uint8Array, folder: string) => {
    const path = resolve(here, folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  },
  listFiles: async (name: string, folder: string) => {
    const names = await readdir(resolve(here, folder, name)).catch(() => []);
    return names.filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"));
  },
};

/**
 * Compiles the AssemblyScript sources in `assembly/` to the WASI module at {@link MODULE_PATH}.
 *
 * @returns the module's bytes: the same for the same sources and compiler
 * @throws Error with the compiler's messages if the sources do not compile
 */
export async function buildModule(): Promise<Uint8Array> {
  const wasiLibrary = fileURLToPath(import.meta.resolve("@assemblyscript/wasi-shim/assembly"));
  const { error, stderr } = await asc.main(
    [
      "assembly/coastline.ts",
      "--baseDir",
      here,
      "--config",
      "asconfig.json",
      "--lib",
      wasiLibrary,
      "--outFile",
      "build/coastline.wasm",
    ],
    files,
  );
  if (error) throw new Error(`coastline does not compile:\n${stderr.toString()}`, { cause: error });
  return new Uint8Array(await readFile(MODULE_PATH));
}

if (import.meta.main) {
  const module = await buildModule();
  console.log(`${MODULE_PATH}: ${module.length} bytes`);
}
