import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { hexlify } from "ethers";
import { computeContentId, type Directory } from "#sdk/content.ts";
import { openEmbeddedStorage, type EmbeddedStorage } from "#sdk/node/index.ts";
import type { TaskResult } from "#sdk/result-manifest.ts";
import { readOutput, SEALED_OUTPUT_FILE, SEALED_TRACE_FILE } from "#sdk/results.ts";
import { sealDirectory } from "#sdk/sealed-file.ts";
import { codeOf } from "../support/error-code.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const output: Directory = new Map([["stdout", text("what a task printed")]]);
const hash = `0x${"00".repeat(32)}`;

describe("reading an output", () => {
  let folder: string;
  let storage: EmbeddedStorage;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-output-"));
    storage = await openEmbeddedStorage({ folder });
  });
  after(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** A result as its node may have published it. */
  async function published(beside: Record<string, Uint8Array>, changes: Partial<TaskResult> = {}): Promise<TaskResult> {
    const { bytes, key } = await sealDirectory(output);
    return {
      ...{ task: 3, digest: hash, salt: hash, output: await computeContentId(output), contentKey: hexlify(key) },
      sealedOutput: await storage.add(new Map([[SEALED_OUTPUT_FILE, bytes], ...Object.entries(beside)])),
      ...changes,
    };
  }
  const read = (result: TaskResult, maxBytes = 1000): Promise<Directory> =>
    readOutput(result, { storage }, { maxBytes });

  it("gives what the task left, with a trace beside it and without", async () => {
    expect(await read(await published({}))).to.deep.equal(output);
    expect(await read(await published({ [SEALED_TRACE_FILE]: text("a trace") }))).to.deep.equal(output);
  });

  it("refuses what is not what was committed to", async () => {
    const other = await computeContentId(new Map([["stdout", text("something else")]]));
    expect(await codeOf(async () => read(await published({}, { output: other })))).to.equal("OUTPUT_MISMATCH");
    const key = { contentKey: hexlify(new Uint8Array(32).fill(1)) };
    expect(await codeOf(async () => read(await published({}, key)))).to.equal("SEALED_FILE_CORRUPT");
    const nothing = { sealedOutput: await storage.add(new Map([["other", text("no output")]])) };
    expect(await codeOf(async () => read(await published({}, nothing)))).to.equal("CONTENT_PATH_NOT_FOUND");
  });

  it("takes nothing that no node has to publish", async () => {
    const more = { [SEALED_TRACE_FILE]: text("a trace"), more: text("of something") };
    expect(await codeOf(async () => read(await published(more)))).to.equal("CONTENT_TOO_LARGE");
    const trace = { [SEALED_TRACE_FILE]: new Uint8Array(20_000_000) };
    expect(await codeOf(async () => read(await published(trace)))).to.equal("CONTENT_TOO_LARGE");
  });

  it("says so where nobody has it", async () => {
    const away = { sealedOutput: await computeContentId(new Map([["output", text("never published")]])) };
    expect(await codeOf(async () => read(await published({}, away)))).to.equal("CONTENT_NOT_FOUND");
  });
});
