import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Executor, TaskLimits } from "../../agents/executor/executor.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { assembleRaster, rasterDigest } from "./assemble.ts";
import { buildModule } from "./build.ts";
import { DEMO_LAYOUT, type Layout } from "./layout.ts";
import { renderMap } from "./picture.ts";
import { tileInputs, type Detail } from "./prepare.ts";

/** Far more than a tile takes. */
const LIMITS: TaskLimits = {
  fuel: 1n << 40n,
  memoryBytes: 128 * 2 ** 20,
  seconds: 120,
  outputBytes: 16 * 2 ** 20,
  files: 4,
};

/**
 * Computes the whole map with nobody else's help: every tile, one after another, in one process. What
 * comes back from the market must equal it byte for byte.
 *
 * @param options.program the module that `buildModule` makes
 * @param options.detail as for `prepareTiles`
 * @returns the raster as `assembleRaster` returns it
 * @throws Error if a tile does not end with exit code 0, with what it wrote to standard error
 */
export async function runPlain(options: {
  executor: Pick<Executor, "run">;
  program: Uint8Array;
  layout: Layout;
  detail?: Detail;
  signal?: AbortSignal;
}): Promise<Int16Array> {
  const { executor, program, layout, detail, signal } = options;
  const tiles: Uint8Array[] = [];
  for (const [index, files] of (await tileInputs(layout, detail)).entries()) {
    const input = new Map(Object.entries(files));
    const outcome = await executor.run({ program, args: [], index, input, limits: LIMITS }, { signal });
    if (!("code" in outcome.exit) || outcome.exit.code !== 0) {
      const exit = JSON.stringify(outcome.exit);
      throw new Error(`tile ${index} ended with ${exit}: ${new TextDecoder().decode(outcome.stderr)}`);
    }
    tiles.push(outcome.files.get("tile.bin") ?? new Uint8Array());
  }
  return assembleRaster(tiles, layout);
}

if (import.meta.main) {
  const executor = new WasmExecutor();
  try {
    const raster = await runPlain({ executor, program: await buildModule(), layout: DEMO_LAYOUT });
    const picture = fileURLToPath(new URL("build/map.png", import.meta.url));
    await writeFile(picture, renderMap(raster, DEMO_LAYOUT));
    console.log(`sha256 of the raster: ${rasterDigest(raster)}\npicture: ${picture}`);
  } finally {
    await executor.close();
  }
}
