import { expect } from "chai";
import type { TaskResult } from "../../agents/executor/executor.ts";
import { outputDirectory, parseOutputDirectory } from "../../agents/executor/outcome.ts";

const result: TaskResult = {
  exit: { code: 0 },
  stdout: Buffer.from("out"),
  stderr: Buffer.from("err"),
  files: new Map([
    ["b", Buffer.from("2")],
    ["a/c", Buffer.from("1")],
  ]),
};

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "none";
}

describe("output directory", () => {
  it("has the exit, both streams and each file, in one order", () => {
    const directory = outputDirectory(result);
    expect([...directory.keys()]).to.deep.equal(["exit", "stderr", "stdout", "out/a/c", "out/b"]);
    expect(Buffer.from(directory.get("exit")!).toString()).to.equal('{"code":0}');
  });

  it("comes back as it was, for every kind of exit", () => {
    for (const exit of [
      { code: 0 },
      { code: 4294967295 },
      { limit: "fuel" },
      { limit: "memory" },
      { trap: "stack-overflow" },
    ] as const) {
      const back = parseOutputDirectory(outputDirectory({ ...result, exit }));
      expect(back.exit).to.deep.equal(exit);
      expect([...back.files]).to.deep.equal([...result.files].reverse());
      expect(back.stdout).to.deep.equal(result.stdout);
    }
  });

  it("says nothing about what the machine took", () => {
    const usage = { fuel: 1n, peakMemoryBytes: 1, milliseconds: 1 };
    expect(outputDirectory({ ...result, usage } as TaskResult)).to.deep.equal(outputDirectory(result));
  });

  it("refuses exits that are not written as they should be", () => {
    const bad = [
      "",
      "{}",
      "null",
      "[]",
      "0",
      '{"code": 0}',
      '{"code":-1}',
      '{"code":1.5}',
      '{"code":4294967296}',
      '{"code":0,"x":1}',
      '{"limit":"patience"}',
      '{"trap":"Line\\nbreak"}',
      '{"trap":""}',
      '{"code":1e0}',
      '{"code":0}\n',
      '{"code":0,"code":0}',
    ];
    for (const text of bad) {
      const directory = outputDirectory(result).set("exit", Buffer.from(text));
      expect(
        codeOf(() => parseOutputDirectory(directory)),
        text,
      ).to.equal("OUTPUT_INVALID");
    }
  });

  it("refuses files that are missing, strange or named to harm", () => {
    for (const missing of ["exit", "stdout", "stderr"]) {
      const directory = outputDirectory(result);
      directory.delete(missing);
      expect(
        codeOf(() => parseOutputDirectory(directory)),
        missing,
      ).to.equal("OUTPUT_INVALID");
    }
    for (const path of [
      "other",
      "out/",
      "out/../x",
      "out//x",
      "/out/x",
      "out/a\\b",
      "out/a\u0000",
      "out/\ud800",
      "out/.",
    ]) {
      const directory = outputDirectory(result).set(path, Buffer.alloc(1));
      expect(
        codeOf(() => parseOutputDirectory(directory)),
        path,
      ).to.equal("OUTPUT_INVALID");
    }
  });
});
