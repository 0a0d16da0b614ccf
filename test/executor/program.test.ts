import { expect } from "chai";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { prepareProgram } from "../../agents/executor/wasm/sandbox.ts";
import { assemble, commandExports, functionImport, otherImport, probeProgram, type ModuleParts } from "./programs.ts";

interface Refusal {
  code: string;
  details: Record<string, unknown>;
}

function refusal(program: Uint8Array): Refusal | undefined {
  try {
    prepareProgram(program);
  } catch (error) {
    return error as Refusal;
  }
  return undefined;
}

const wasi = "wasi_snapshot_preview1";

describe("checking a program", function () {
  this.timeout(60_000);

  it("tells what it found in a good one", async () => {
    const probe = await probeProgram();
    const executor = new WasmExecutor();
    const info = await executor.check(probe);
    await executor.close();
    expect(info.bytes).to.equal(probe.length);
    expect(info.imports).to.include(`${wasi}.path_open`);
    expect(info.functions).to.be.greaterThan(10);
    expect(info.initialMemoryBytes).to.equal(65536);
  });

  it("passes errors on from the worker with their code and details", async () => {
    const executor = new WasmExecutor();
    const error = (await executor
      .check(Buffer.from("#!/bin/sh\necho hello"))
      .catch((caught: unknown) => caught)) as Refusal;
    await executor.close();
    expect(error).to.include({ code: "PROGRAM_NOT_WASM", exit: 2 });
    expect(error.details["begins"]).to.equal("23212f62");
  });

  it("refuses what is no module", () => {
    expect(refusal(new Uint8Array(0))?.code).to.equal("PROGRAM_NOT_WASM");
    expect(refusal(Buffer.from("hello, world"))?.code).to.equal("PROGRAM_NOT_WASM");
    expect(refusal(Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0))?.code).to.equal("PROGRAM_FEATURE_FORBIDDEN");
  });

  it("refuses every truncation of a good module with a code", async () => {
    const probe = await probeProgram();
    for (let length = 0; length < probe.length; length += 97) {
      expect(refusal(probe.subarray(0, length))?.code, `${length} bytes`).to.match(
        /^PROGRAM_(NOT_WASM|INVALID|NO_ENTRY)$/,
      );
    }
  });

  it("answers every single flipped byte with a code or accepts it, and never breaks", async () => {
    const probe = await probeProgram();
    for (let at = 8; at < probe.length; at += 41) {
      const flipped = probe.slice();
      flipped[at]! ^= 0xff;
      const refused = refusal(flipped);
      if (refused !== undefined) expect(refused.code, `byte ${at}`).to.match(/^PROGRAM_/);
    }
  });

  const imports: [string, number[]][] = [
    ["a function of another module", functionImport("env", "abort")],
    ["a function WASI does not have", functionImport(wasi, "fork")],
    ["sockets", functionImport(wasi, "sock_accept")],
    ["a WASI function with another type", functionImport(wasi, "fd_close")],
    ["a memory", otherImport(wasi, "memory", [2, 0, 1])],
    ["a table", otherImport(wasi, "table", [1, 0x70, 0, 1])],
    ["a global", otherImport(wasi, "global", [3, 0x7f, 0])],
    ["a tag", otherImport(wasi, "tag", [4, 0, 0])],
  ];
  for (const [what, bytes] of imports) {
    it(`refuses to import ${what}, by name`, () => {
      const refused = refusal(assemble({ imports: bytes, memory: [1, 0, 1], exports: commandExports(0) }));
      expect(refused?.code).to.equal("PROGRAM_IMPORT_FORBIDDEN");
      expect(refused?.details["name"]).to.be.a("string");
    });
  }

  const features: [string, ModuleParts][] = [
    ["shared memory", { memory: [1, 3, 1, 1] }],
    ["memory64", { memory: [1, 4, 1] }],
    ["more than one memory", { memory: [2, 0, 1, 0, 1] }],
    ["exceptions, by their section", { extra: [[13, [1, 0, 0]]] }],
    ["exceptions, by their instructions", { bodies: [[0, 0x06, 0x40, 0x0b, 0x0b]] }],
    ["threads", { memory: [1, 0, 1], bodies: [[0, 0xfe, 0x03, 0x00, 0x0b]] }],
    ["relaxed SIMD", { bodies: [[0, 0xfd, 0x80, 0x02, 0x0b]] }],
    ["tail calls", { bodies: [[0, 0x12, 0, 0x0b]] }],
    ["garbage collection, by its types", { types: [1, 0x5f, 0] }],
    ["garbage collection, by its instructions", { bodies: [[0, 0xfb, 0x00, 0x00, 0x0b]] }],
    ["growing tables", { tables: [1, 0x70, 0, 1], bodies: [[0, 0xd0, 0x70, 0x41, 1, 0xfc, 15, 0, 0x1a, 0x0b]] }],
  ];
  for (const [what, parts] of features) {
    it(`refuses ${what}`, () => expect(refusal(assemble(parts))?.code).to.equal("PROGRAM_FEATURE_FORBIDDEN"));
  }

  const loops = (count: number): number[] => Array<number[]>(count).fill([0x03, 0x40]).flat();
  const ends = (count: number): number[] => Array<number>(count).fill(0x0b);
  const bombs: [string, ModuleParts][] = [
    ["a huge table", { tables: [1, 0x70, 0, 0xff, 0xff, 0xff, 0x7f] }],
    ["a hundred tables", { tables: [100, ...Array<number[]>(100).fill([0x70, 0, 1]).flat()] }],
    ["a million functions", { functions: [0xc0, 0x84, 0x3d] }],
    ["loops a hundred deep", { bodies: [[0, ...loops(100), ...ends(100), 0x0b]] }],
    ["five thousand loops", { bodies: [[0, ...Array<number[]>(5000).fill([0x03, 0x40, 0x0b]).flat(), 0x0b]] }],
    [
      "many branches over many locals",
      { bodies: [[1, 0x90, 0x4e, 0x7f, ...Array<number[]>(6000).fill([0x02, 0x40, 0x0b]).flat(), 0x0b]] },
    ],
    ["a million locals", { bodies: [[1, 0xc0, 0x84, 0x3d, 0x7f, 0x0b]] }],
  ];
  for (const [what, parts] of bombs) {
    it(`refuses ${what}`, () => expect(refusal(assemble(parts))?.code).to.equal("PROGRAM_TOO_LARGE"));
  }

  it("accepts what lies just within those limits", () => {
    expect(refusal(assemble({ bodies: [[0, ...loops(64), ...ends(64), 0x0b]] }))).to.equal(undefined);
  });

  it("refuses a function of two megabytes", () => {
    const empty = assemble({ bodies: [] });
    const head = empty.subarray(0, empty.length - 3);
    const code = Uint8Array.of(10, 0x85, 0x80, 0x80, 0x01, 1, 0x80, 0x80, 0x80, 0x01);
    const program = Buffer.concat([head, code, new Uint8Array(2 << 20).fill(1)]);
    expect(refusal(program)?.code).to.equal("PROGRAM_TOO_LARGE");
  });

  it("refuses a module of more than 32 MiB", () => {
    const program = new Uint8Array((32 << 20) + 1);
    program.set(assemble({}));
    expect(refusal(program)?.code).to.equal("PROGRAM_TOO_LARGE");
  });

  it("refuses a library", () => {
    expect(refusal(assemble({ exports: [0] }))?.code).to.equal("PROGRAM_NO_ENTRY");
    expect(refusal(assemble({ types: [1, 0x60, 1, 0x7f, 0] }))?.code).to.equal("PROGRAM_NO_ENTRY");
  });

  it("refuses what only the validator sees", () => {
    expect(refusal(assemble({ bodies: [[0, 0x41, 1, 0x0b]] }))?.code).to.equal("PROGRAM_INVALID");
    // A reach for the meter's own counters: global 0 would be there once metered.
    expect(refusal(assemble({ bodies: [[0, 0x42, 0, 0x24, 0, 0x0b]] }))?.code).to.equal("PROGRAM_INVALID");
  });

  it("accepts names like those of the meter's exports", () => {
    const name = [11, ...Buffer.from("surety:fuel")];
    const program = assemble({ exports: [2, ...name, 0, 0, 6, ...Buffer.from("_start"), 0, 0] });
    expect(refusal(program)).to.equal(undefined);
  });
});
