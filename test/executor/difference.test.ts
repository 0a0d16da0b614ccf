import { expect } from "chai";
import { gzipSync } from "node:zlib";
import { repeatTask } from "../../agents/executor/determinism.ts";
import { differences, type Cause } from "../../agents/executor/difference.ts";
import type { TaskInput, TaskOutcome } from "../../agents/executor/executor.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const directory = (files: Record<string, string | Uint8Array>): Map<string, Uint8Array> =>
  new Map(
    Object.entries(files).map(([path, content]) => [path, typeof content === "string" ? bytes(content) : content]),
  );

/** The causes that are given for two contents of one file. */
const causes = (one: string | Uint8Array, other: string | Uint8Array, file = "stdout"): Cause[] =>
  differences(directory({ [file]: one }), directory({ [file]: other }))[0]!.causes;

describe("differences between two runs", () => {
  it("are none between equal outputs, and the first of each file otherwise", () => {
    const one = directory({ "out/a": "same", "out/b": "abcdef", stdout: "x" });
    expect(differences(one, new Map(one))).to.deep.equal([]);
    const found = differences(one, directory({ "out/a": "same", "out/b": "abcXeX", stdout: "xy" }));
    expect(found.map(({ file, offset }) => [file, offset])).to.deep.equal([
      ["out/b", 3],
      ["stdout", 1],
    ]);
    expect(found[1]).to.deep.include({ first: { size: 1, from: 0, bytes: bytes("x") } });
    expect(found[1]).to.deep.include({ other: { size: 2, from: 0, bytes: bytes("xy") } });
  });

  it("are found wherever they are, with what lies around them", () => {
    for (const at of [0, 1, 23, 24, 25, 4095, 4096, 4097, 9999]) {
      const one = new Uint8Array(10_000).map((_, place) => place % 251);
      const other = one.slice();
      other[at]! ^= 0xff;
      const [found] = differences(directory({ f: one }), directory({ f: other }));
      expect(found!.offset).to.equal(at);
      const { from, bytes: around } = found!.other!;
      expect(from).to.equal(Math.max(0, at - 24));
      expect(around).to.deep.equal(other.slice(from, at + 40));
    }
  });

  it("are files that only one run has", () => {
    const [found] = differences(directory({ stdout: "" }), directory({ "out/a": "text", stdout: "" }));
    expect(found).to.deep.equal({
      ...{ file: "out/a", offset: 0, first: undefined, causes: ["file-missing"] },
      other: { size: 4, from: 0, bytes: bytes("text") },
    });
  });

  it("are at most 16", () => {
    const files = (text: string): Map<string, Uint8Array> =>
      directory(Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`f${String(n).padStart(2, "0")}`, text])));
    expect(differences(files("a"), files("b")).map(({ file }) => file)).to.have.length(16);
  });

  const zipped = (time: number): Uint8Array => {
    const zip = new Uint8Array(gzipSync("text"));
    new DataView(zip.buffer).setUint32(4, time, true);
    return zip;
  };
  const random = (seed: number): Uint8Array =>
    new Uint8Array(64).map((_, place) => (seed * (place + 3) ** 3 * 2_654_435_761) >>> 13);
  const png = (text: string): Uint8Array =>
    Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47]), bytes(`tEXtdate:create\0${text}`)]);
  const known: [what: string, one: string | Uint8Array, other: string | Uint8Array, causes: Cause[]][] = [
    ["a time of day", "done at 12:31:07\n", "done at 12:31:08\n", ["time"]],
    ["a date", "# 2026-11-20\n", "# 2026-11-21\n", ["time"]],
    ["seconds since 1970", "t=1795212777.52", "t=1795212779.01", ["time"]],
    ["a date as date(1) has it", "Sat Nov 21 07:28:07 UTC 2026", "Sat Nov 21 07:28:09 UTC 2026", ["time"]],
    ["an address", "<object at 0x7f3c51b9d0a0>", "<object at 0x7f9051c8e0a0>", ["address"]],
    ["a UUID", "id 3b241101-e2bb-4255-8caf-4136c566a962", "id 9f0c1101-e2bb-4255-8caf-4136c566a962", ["random"]],
    ["a name in /tmp", "read /tmp/tmp.Xa81kd0f", "read /tmp/tmp.Q02LmmXe", ["random"]],
    ["random bytes", random(7), random(11), ["random"]],
    ["lines in another order", "a\nb\nc\n", "c\na\nb\n", ["order"]],
    ["words in another order", "{'a', 'b', 'c'}", "{'c', 'b', 'a'}", ["order"]],
    ["the last digits of a number", "sum 3.1415926535897", "sum 3.1415926535899", ["rounding"]],
    ["a decimal comma", "sum 3,14", "sum 3.14", ["locale"]],
    ["the header of a gzip file", zipped(1_795_212_777), zipped(1_795_212_779), ["gzip-time"]],
    ["a picture's date", png("2026-11-21T07:28:07"), png("2026-11-21T07:28:09"), ["image-time"]],
  ];
  for (const [what, one, other, expected] of known) {
    it(`are told to come from what they look like: ${what}`, () => {
      expect(causes(one, other)).to.deep.equal(expected);
      expect(causes(other, one)).to.deep.equal(expected);
    });
  }

  it("are told to come from a limit where only one run reached one", () => {
    expect(causes('{"code":0}', '{"limit":"memory"}', "exit")).to.deep.equal(["limit"]);
    expect(causes('{"code":0}', '{"code":1}', "exit")).to.deep.equal([]);
  });

  it("are not explained where nothing is known", () => {
    expect(causes("a total of 17 items", "a total of 18 items")).to.deep.equal([]);
    expect(causes("3.5", "4.5")).to.deep.equal([]);
    expect(causes("yes", "no")).to.deep.equal([]);
  });
});

describe("a task that is run several times", () => {
  const executor = (outputs: readonly string[]): { run(): Promise<TaskOutcome>; runs: number } => ({
    runs: 0,
    async run() {
      const stdout = bytes(outputs[this.runs++ % outputs.length]!);
      const usage = { fuel: 0n, peakMemoryBytes: 0, milliseconds: this.runs };
      return { exit: { code: 0 }, stdout, stderr: bytes(""), files: new Map(), usage };
    },
  });
  const task = {} as TaskInput;

  it("is the same if every run is", async () => {
    const same = executor(["a"]);
    expect(await repeatTask(same, task, { runs: 4 })).to.deep.equal({
      ...{ runs: 4, differences: [], exit: { code: 0 }, milliseconds: [1, 2, 3, 4] },
    });
  });

  it("is run until one differs from the first", async () => {
    const changing = executor(["a", "a", "b"]);
    const { runs, differences: found } = await repeatTask(changing, task, { runs: 9 });
    expect(runs).to.equal(3);
    expect(changing.runs).to.equal(3);
    expect(found.map(({ file, offset }) => [file, offset])).to.deep.equal([["stdout", 0]]);
  });
});
