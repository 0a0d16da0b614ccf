import type { Storage } from "#sdk/storage.ts";
import type { ContainerProgram } from "./executor.ts";

/** The program of an image that is named already, with a way to stream it where it is in storage. */
export function imageProgram(
  { image, entrypoint, environment, gpu }: Omit<ContainerProgram, "open">,
  storage: Storage,
): ContainerProgram {
  const program = { image, entrypoint, environment, gpu };
  if (!("cid" in image)) return program;
  return { ...program, open: (options) => storage.streamFile(image.cid, image.path, options) };
}
