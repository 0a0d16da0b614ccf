import { packTar } from "./docker/pack-image.ts";

/** The input as a tar: everything may be read, nothing be written to or executed, and no time is in it. */
export async function inputTar(input: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const folders = new Set<string>();
  for (const path of input.keys()) {
    const names = path.split("/");
    for (let depth = 1; depth < names.length; depth++) folders.add(names.slice(0, depth).join("/"));
  }
  return packTar([
    { name: "./", type: "directory" as const, mode: 0o755 },
    ...[...folders].sort().map((name) => ({ name, type: "directory" as const, mode: 0o755 })),
    ...[...input].map(([name, bytes]) => ({ name, mode: 0o444, bytes })),
  ]);
}
