import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import type { TaskOutcome, WasmTask } from "../../agents/executor/executor.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import {
  assemble,
  commandExports,
  functionImport,
  plainProgram,
  probeProgram,
  type ModuleParts,
} from "../executor/programs.ts";
import { BareWasi } from "../support/bare-wasi.ts";
import { codeOf } from "../support/error-code.ts";

const MIB = 1 << 20;
const limits = { fuel: 1n << 34n, memoryBytes: 16 * MIB, seconds: 60, outputBytes: MIB, files: 16 };

/** Modules that a plain engine compiles, and what they are refused for. */
const modules: Record<string, { parts: ModuleParts; code: string }> = {
  "imports a function of the host's": {
    parts: { imports: functionImport("env", "system"), memory: [1, 0, 1], exports: commandExports(0) },
    code: "PROGRAM_IMPORT_FORBIDDEN",
  },
  "imports sockets": {
    parts: {
      imports: functionImport("wasi_snapshot_preview1", "sock_send"),
      memory: [1, 0, 1],
      exports: commandExports(0),
    },
    code: "PROGRAM_IMPORT_FORBIDDEN",
  },
  "has a table of ten million places": {
    parts: { tables: [1, 0x70, 0, 0x80, 0xad, 0xe2, 0x04] },
    code: "PROGRAM_TOO_LARGE",
  },
  "has five thousand loops in one function": {
    parts: { bodies: [[0, ...Array<number[]>(5000).fill([0x03, 0x40, 0x0b]).flat(), 0x0b]] },
    code: "PROGRAM_TOO_LARGE",
  },
  "has memory that threads share": { parts: { memory: [1, 3, 1, 1] }, code: "PROGRAM_FEATURE_FORBIDDEN" },
};

describe("Hostile WebAssembly", function () {
  this.timeout(120_000);
  let probe: Uint8Array;
  let executor: WasmExecutor;
  const bare = new BareWasi();

  before(async () => {
    probe = await probeProgram();
    executor = new WasmExecutor();
  });
  after(() => executor.close());

  const task = (command: string): WasmTask => ({
    program: probe,
    args: command.split(" "),
    index: 0,
    input: new Map(),
    limits,
  });
  const run = (command: string): Promise<TaskOutcome> => executor.run(task(command));
  const text = ({ stdout }: TaskOutcome): string => Buffer.from(stdout).toString().trimEnd();

  it("control: loops for ever in a plain engine", async () => {
    const source = `const { workerData, parentPort } = require("node:worker_threads");
      const wasi = new Proxy({}, { get: () => () => 0 });
      const module = new WebAssembly.Module(workerData);
      const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: wasi });
      parentPort.postMessage("begun"); instance.exports._start(); parentPort.postMessage("ended");`;
    const worker = new Worker(source, { eval: true, workerData: await plainProgram("while (true) {}") });
    const said: unknown[] = [];
    worker.on("message", (message) => said.push(message));
    await sleep(2000);
    expect(said).to.deep.equal(["begun"]);
    await worker.terminate();
  });
  it("is stopped in a loop by its fuel", async () => {
    expect((await executor.run({ ...task("loop"), limits: { ...limits, fuel: 100_000_000n } })).exit).to.deep.equal({
      limit: "fuel",
    });
  });
  it("is stopped in a loop by the clock, had it all the fuel there is", async () => {
    const all = { ...limits, fuel: 1n << 62n, seconds: 0.5 };
    expect((await executor.run({ ...task("loop"), limits: all })).exit).to.deep.equal({ limit: "time" });
  });

  // 4,096 pages.
  const greedy = assemble({ memory: [1, 0, 0x80, 0x20], exports: commandExports(0) });
  it("control: takes 256 MiB in a plain engine", async () => {
    const { instance } = await WebAssembly.instantiate(greedy as BufferSource);
    expect((instance.exports["memory"] as WebAssembly.Memory).buffer.byteLength).to.equal(256 * MIB);
  });
  it("does not begin with more memory than it may have", async () => {
    expect((await executor.run({ ...task(""), program: greedy })).exit).to.deep.equal({ limit: "memory" });
  });
  it("is stopped by its memory", async () => {
    const outcome = await run("memory");
    expect(outcome.exit).to.deep.equal({ limit: "memory" });
    expect(outcome.usage.peakMemoryBytes).to.be.at.most(limits.memoryBytes);
  });

  it("control: recurses as deep as the engine's own stack goes", async () => {
    expect(text(await bare.run(task("recurse 5000")))).to.equal("5000");
    const overflow = await bare.run(task("recurse 100000000")).catch((error: Error) => error);
    expect(overflow).to.be.instanceOf(RangeError);
  });
  it("is stopped by the depth of its calls, at the same depth everywhere", async () => {
    expect((await run("recurse 100000000")).exit).to.deep.equal({ trap: "stack-overflow" });
  });

  it("control: writes what it likes in a plain engine", async () => {
    const outcome = await bare.run(task("folder 4 made"));
    expect(text(outcome)).to.equal("0");
  });
  it("is stopped by its output and its files", async () => {
    for (const [command, limit] of [
      ["flood stdout", "output"],
      ["flood file", "output"],
      ["sparse", "output"],
      ["files", "files"],
    ])
      expect((await run(command!)).exit, command).to.deep.equal({ limit });
  });
  it("leaves no links and nothing outside its folder", async () => {
    expect(text(await run("symlink"))).to.equal("58");
    for (const path of ["../../etc/passwd", "/etc/passwd", ".."]) {
      const [answer] = text(await run(`open 4 ${path} 1 64`)).split("\n");
      expect(answer, path).to.be.oneOf(["44", "76"]);
    }
  });

  for (const [what, { parts, code }] of Object.entries(modules)) {
    it(`control: compiles in a plain engine where it ${what}`, async () => {
      expect(await WebAssembly.compile(assemble(parts) as BufferSource)).to.be.instanceOf(WebAssembly.Module);
    });
    it(`is refused unrun where it ${what}`, async () => {
      expect(await codeOf(() => executor.check(assemble(parts)))).to.equal(code);
    });
  }

  it("sees nothing of the agent: no environment, no clock that runs, the same chance every time", async () => {
    process.env["SURETY_HOSTILE_SECRET"] = "secret";
    try {
      expect(text(await run("args"))).to.match(/environment 0$/);
      expect(text(await run("clock"))).to.equal(text(await run("clock")));
    } finally {
      delete process.env["SURETY_HOSTILE_SECRET"];
    }
  });
});
