import { readFileSync } from "node:fs";

import { expect } from "chai";
import fc from "fast-check";

import { contentIdFromBytes32 } from "#sdk/content.ts";
import { ExitStatus } from "#sdk/errors.ts";
import { JobFileError } from "#sdk/job-file-error.ts";
import { jobFileJsonSchema } from "#sdk/job-file-schema.ts";
import { MAX_JOB_FILE_BYTES } from "#sdk/job-file-yaml.ts";
import { parseJobFile, type JobFile } from "#sdk/job-file.ts";
import { code } from "../support/error-code.ts";

const CID = contentIdFromBytes32(`0x${"01".repeat(32)}`);
const MINIMAL = "module: ./tile.wasm\ninputs: ./inputs\n";
const NODE = "0x00000000000000000000000000000000000000a1";

/** The keys a job file is refused for; fails the test if it is not. */
const refused = (text: string): string[] => {
  try {
    parseJobFile(text);
  } catch (error) {
    expect(error).to.be.instanceOf(JobFileError);
    expect((error as JobFileError).code).to.equal("JOB_FILE_INVALID");
    return (error as JobFileError).problems.map(({ path }) => path);
  }
  return ["nothing thrown"];
};

describe("job-file", () => {
  describe("parseJobFile", () => {
    it("refuses text that is not one YAML document of keys and values", () => {
      const bad = [
        "",
        "# nothing",
        "module",
        "[]",
        "3",
        "module: [",
        "\tmodule: a",
        `${MINIMAL}---\n${MINIMAL}`,
        `${MINIMAL}module: again\n`,
        `${MINIMAL}name: !!js/function x\n`,
        `${MINIMAL}name: *nowhere\n`,
        "{{{{",
        "module: ".repeat(10),
        "[".repeat(60_000),
        "a: [".repeat(10_000),
        "- ".repeat(30_000),
        "? ".repeat(30_000),
        Array.from({ length: 300 }, (_, level) => `${" ".repeat(level)}a:`).join("\n"),
        "---\n".repeat(10_000),
        `${MINIMAL}#${"x".repeat(MAX_JOB_FILE_BYTES)}`,
        "? [a]\n: b",
      ];
      for (const text of bad) expect(refused(text), text.slice(0, 60)).not.to.include("nothing thrown");
    }).timeout(20_000);

    it("refuses aliases that multiply", () => {
      const bomb = [
        "a: &a [x,x,x,x,x,x,x,x,x]",
        "b: &b [*a,*a,*a,*a,*a,*a,*a,*a]",
        "c: &c [*b,*b,*b,*b,*b,*b,*b,*b]",
        "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]",
        "args: [*d,*d,*d,*d,*d,*d,*d,*d]",
      ];
      expect(refused(bomb.join("\n"))).to.deep.equal([""]);
    });

    it("refuses what is nested deeply before it is parsed", () => {
      const message = (text: string): string => {
        try {
          parseJobFile(text);
        } catch (error) {
          return (error as JobFileError).message;
        }
        return "";
      };
      for (const text of ["[".repeat(60_000), `${MINIMAL}args: ${"{a: ".repeat(40)}`, "- ".repeat(30_000)]) {
        expect(message(text)).to.contain("nested deeper");
      }
      const shallow = `${MINIMAL}args: ["[[[[", "]", "}{"] # [[[[\n`;
      expect(parseJobFile(shallow).args.length).to.equal(3);
    });

    it("lists every problem, each with its key", () => {
      const text = [
        "modul: ./tile.wasm",
        "mode: sampld",
        "rate: 3",
        "quorum: 4",
        "checking: lazy",
        "prices: { task: NaN, verifier: 0 }",
        "slash: 1e400",
        "guess: 100%",
        "fullSlash: maybe",
        "limits: { fuel: -1, memory: 8TiB, seconds: 1.5h, output: 1e400, files: .inf, memmory: 1 }",
        "windows: { claim: 0s, submit: 999999999999999999999d, reveal: soon, check: -1, judge: '', challenge: 1e9 }",
        "minSlice: 0",
        "maxShare: 0%",
        "nodes: { allow: [0x12], exclude: 3 }",
        "plant: 51%",
        "class: '!'",
        "args: [{ a: 1 }]",
        'name: "a\\e[2J"',
        "__proto__: { x: 1 }",
      ].join("\n");
      expect(refused(text)).to.have.members([
        "modul", "module", "inputs", "mode", "rate", "quorum", "checking", "prices.task", "prices.verifier", "slash",
        "guess", "fullSlash", "limits.fuel", "limits.memory", "limits.seconds", "limits.output", "limits.files",
        "limits.memmory", "windows.claim", "windows.submit", "windows.reveal", "windows.check", "windows.judge",
        "windows.challenge", "minSlice", "maxShare", "nodes.allow.0", "nodes.exclude", "plant", "class", "args.0",
        "name", "__proto__",
      ]); // prettier-ignore
    });

    it("says what a mistyped key may have meant", () => {
      const problem = (text: string): string => {
        try {
          parseJobFile(text);
        } catch (error) {
          return (error as JobFileError).problems[0]?.message ?? "";
        }
        return "";
      };
      expect(problem(`${MINIMAL}quorom: 3`)).to.contain("quorum");
      expect(problem(`${MINIMAL}limits: { memmory: 1 }`))
        .to.contain("memory")
        .and.not.to.contain("fuel");
      expect(problem(`${MINIMAL}zzzzzzzzzz: 1`)).to.contain("module");
    });

    it("ends a process as bad input, and prints no escapes of the file", () => {
      try {
        parseJobFile(`${MINIMAL}"\\e[2J\\nkey": 1\nmode: "\\e[31m"\n`);
        expect.fail("nothing thrown");
      } catch (error) {
        expect((error as JobFileError).exit).to.equal(ExitStatus.badInput);
        expect((error as JobFileError).problems.every(({ path, message }) => !/\p{C}/u.test(path + message))).to.equal(
          true,
        );
        expect(JSON.parse(JSON.stringify(error)))
          .to.have.property("problems")
          .with.length(2);
      }
    });

    it("refuses settings that contradict each other", () => {
      expect(refused(`${MINIMAL}mode: trusted\nrate: 3%`)).to.deep.equal(["rate", "nodes.allow"]);
      expect(refused(`${MINIMAL}mode: replicated\nrate: 3%`)).to.deep.equal(["rate"]);
      expect(refused(`${MINIMAL}mode: replicated\nchecking: adaptive`)).to.deep.equal(["checking"]);
      expect(refused(`${MINIMAL}nodes: { allow: ['${NODE}'] }`)).to.deep.equal(["nodes.allow"]);
      expect(refused(`${MINIMAL}prices: { task: 2, verifier: 1 }`)).to.deep.equal(["prices.verifier"]);
    });

    it("refuses inputs that are none", () => {
      expect(refused("module: a\ninputs: []")).to.deep.equal(["inputs"]);
      expect(refused("module: a\ninputs: ''")).to.deep.equal(["inputs"]);
      expect(refused("module: a\ninputs: {}")).to.deep.equal(["inputs"]);
      expect(refused(`module: a\ninputs: ${CID}`)).to.deep.equal(["inputs"]);
      expect(refused("module: a\ninputs: [a, '']")).to.deep.equal(["inputs.1"]);
      expect(refused("module: ipfs://nonsense\ninputs: a")).to.deep.equal(["module"]);
      expect(refused(`module: ${CID}/../x\ninputs: a`)).to.deep.equal(["module"]);
    });

    it("needs a module and inputs only", () => {
      const expected: JobFile = {
        name: "tile",
        executor: "wasm",
        module: { kind: "path", path: "/home/ada/tile.wasm" },
        args: [],
        inputs: { kind: "folder", path: "/home/ada/inputs" },
        mode: "sampled",
        rate: 30_000,
        quorum: 3,
        checking: "adaptive",
        prices: { task: 10_000_000_000_000_000n, verifier: 10_000_000_000_000_000n },
        guess: 0,
        fullSlash: true,
        limits: { fuel: 100_000_000_000, memory: 268_435_456, seconds: 60, output: 67_108_864, files: 1000 },
        windows: { claim: 600, submit: 1800, reveal: 600, check: 1800, judge: 600, challenge: 1800 },
        minSlice: 1,
        maxShare: 200_000,
        nodes: { allow: [], exclude: [] },
        plant: 0,
        class: "wasm",
      };
      expect(parseJobFile(MINIMAL, { baseFolder: "/home/ada/" })).to.deep.equal(expected);
    });

    it("reads everything a person can write, in YAML and JSON", () => {
      const file = {
        name: "map",
        executor: "wasm",
        module: `ipfs://${CID}/bin/tile.wasm`,
        args: ["--tile", "{index}", 3, 0.5, true],
        inputs: ["a.json", "/abs/b", `./${CID}`, CID, `${CID}/c.json`],
        mode: "sampled",
        rate: 0.1,
        quorum: 5,
        checking: "fixed",
        prices: { task: 0.5, verifier: "0.75" },
        slash: 50,
        guess: "50%",
        fullSlash: false,
        limits: { fuel: "2G", memory: "64MiB", seconds: "30s", output: "1MB", files: 0 },
        windows: { claim: "1m", submit: 90, reveal: "1h30m", check: "1d", judge: "5m", challenge: "2h" },
        minSlice: 2,
        maxShare: "50%",
        nodes: { allow: [], exclude: [NODE] },
        plant: "1%",
        class: `0x${"ab".repeat(32)}`,
      };
      const expected: JobFile = {
        name: "map",
        executor: "wasm",
        module: { kind: "content", cid: CID, path: "bin/tile.wasm" },
        args: ["--tile", "{index}", "3", "0.5", "true"],
        inputs: {
          kind: "list",
          sources: [
            { kind: "path", path: "/base/a.json" },
            { kind: "path", path: "/abs/b" },
            { kind: "path", path: `/base/${CID}` },
            { kind: "content", cid: CID },
            { kind: "content", cid: CID, path: "c.json" },
          ],
        },
        mode: "sampled",
        rate: 100_000,
        quorum: 5,
        checking: "fixed",
        prices: { task: 500_000n, verifier: 750_000n },
        slash: 50_000_000n,
        guess: 500_000,
        fullSlash: false,
        limits: { fuel: 2_000_000_000, memory: 67_108_864, seconds: 30, output: 1_000_000, files: 0 },
        windows: { claim: 60, submit: 90, reveal: 5400, check: 86_400, judge: 300, challenge: 7200 },
        minSlice: 2,
        maxShare: 500_000,
        nodes: { allow: [], exclude: ["0x00000000000000000000000000000000000000A1"] },
        plant: 10_000,
        class: `0x${"ab".repeat(32)}`,
      };
      expect(parseJobFile(JSON.stringify(file), { baseFolder: "/base", decimals: 6 })).to.deep.equal(expected);
    });

    it("needs an image and inputs only", () => {
      const expected: JobFile = {
        name: "tool",
        executor: "container",
        image: { kind: "path", path: "/home/ada/tool.tar" },
        args: [],
        inputs: { kind: "folder", path: "/home/ada/inputs" },
        mode: "sampled",
        rate: 30_000,
        quorum: 3,
        checking: "adaptive",
        prices: { task: 10_000_000_000_000_000n, verifier: 10_000_000_000_000_000n },
        guess: 0,
        fullSlash: false,
        limits: {
          ...{ cpus: 1, memory: 268_435_456, processes: 64, seconds: 600 },
          ...{ disk: 67_108_864, output: 67_108_864, files: 1000 },
        },
        windows: { claim: 600, submit: 1800, reveal: 600, check: 1800, judge: 600, challenge: 1800 },
        minSlice: 1,
        maxShare: 200_000,
        nodes: { allow: [], exclude: [] },
        plant: 0,
        class: "container",
      };
      expect(parseJobFile("image: ./tool.tar\ninputs: ./inputs\n", { baseFolder: "/home/ada/" })).to.deep.equal(
        expected,
      );
    });

    it("reads everything a person can write of an image", () => {
      const id = `sha256:${"ab".repeat(32)}`;
      const file = {
        ...{ executor: "container", image: `${CID}/tool.tar`, imageId: id, inputs: "in", fullSlash: true },
        ...{ entrypoint: ["/bin/tool", "-v"], args: ["{index}"], environment: { LC_ALL: "C", A: "1" } },
        gpu: { count: 2, memory: "8GiB", capabilities: ["compute"] },
        limits: { cpus: 2, memory: "1GiB", processes: 8, seconds: "1h", disk: 0, output: "1MiB", files: 1 },
      };
      const parsed = parseJobFile(JSON.stringify(file), { baseFolder: "/base" });
      expect(parsed).to.deep.include({
        ...{ name: "tool", image: { kind: "content", cid: CID, path: "tool.tar", id }, fullSlash: true },
        ...{ entrypoint: ["/bin/tool", "-v"], args: ["{index}"], environment: { A: "1", LC_ALL: "C" } },
        gpu: { count: 2, memory: 8 * 2 ** 30, capabilities: ["compute"] },
        limits: { cpus: 2, memory: 2 ** 30, processes: 8, seconds: 3600, disk: 0, output: 2 ** 20, files: 1 },
      });
      const reference = `registry.example/a/tool@sha256:${"cd".repeat(32)}`;
      expect(parseJobFile(`image: ${reference}\ninputs: in\ngpu: {}`)).to.deep.include({
        ...{ name: "tool", image: { kind: "reference", reference } },
        gpu: { count: 1, capabilities: ["compute", "utility"] },
      });
    });

    it("refuses what an image cannot be run with", () => {
      const image = "image: a.tar\ninputs: in\n";
      expect(refused(`${image}module: a.wasm`)).to.deep.equal(["module"]);
      expect(refused("executor: container\ninputs: in")).to.deep.equal(["image"]);
      expect(refused(`executor: wasm\n${image}`)).to.deep.equal(["executor"]);
      expect(refused(`${image}limits: { fuel: 1, cpus: 0, processes: 0, memory: 1 }`)).to.have.members([
        ...["limits.fuel", "limits.cpus", "limits.processes", "limits.memory"],
      ]);
      expect(refused(`${image}imageId: sha256:12`)).to.deep.equal(["imageId"]);
      expect(refused(`image: ${CID}/a.tar\ninputs: in`)).to.deep.equal(["imageId"]);
      expect(refused(`image: ${CID}\ninputs: in\nimageId: sha256:${"ab".repeat(32)}`)).to.deep.equal(["image"]);
      expect(
        refused(`image: a@sha256:${"ab".repeat(32)}\ninputs: in\nimageId: sha256:${"ab".repeat(32)}`),
      ).to.deep.equal(["imageId"]);
      expect(refused(`${image}entrypoint: []`)).to.deep.equal(["entrypoint"]);
      expect(refused(`${image}environment: { 1A: x }`)).to.deep.equal(["environment"]);
      expect(refused(`${image}environment: { CUDA_VISIBLE_DEVICES: 0 }`)).to.deep.equal(["environment"]);
      expect(refused(`${image}gpu: { count: 0, capabilities: [] }`)).to.include("gpu.count");
      expect(refused(`${image}gpu: { capabilities: [] }`)).to.deep.equal(["gpu"]);
    });

    it("derives rate and checking from the mode", () => {
      const replicated = parseJobFile(`${MINIMAL}mode: replicated`);
      expect([replicated.rate, replicated.checking]).to.deep.equal([1_000_000, "fixed"]);
      const trusted = parseJobFile(`${MINIMAL}mode: trusted\nnodes: { allow: ['${NODE}'] }`);
      expect([trusted.rate, trusted.checking]).to.deep.equal([0, "fixed"]);
      expect(trusted.nodes.allow.length).to.equal(1);
    });

    it("reads amounts to the last digit, with or without quotes", () => {
      for (const written of ["0.123456789012345678", "'0.123456789012345678'"]) {
        expect(parseJobFile(`${MINIMAL}prices: { task: ${written} }`).prices.task).to.equal(123_456_789_012_345_678n);
      }
      expect(refused(`${MINIMAL}prices: { task: 0.1234567890123456789 }`)).to.deep.equal(["prices.task"]);
      expect(refused(`${MINIMAL}prices: { task: ${2n ** 96n} }`)).to.deep.equal(["prices.task"]);
    });

    it("throws its own error for whatever it is given", () => {
      const keys = ["module", "inputs", "rate", "limits", "windows", "args", "nodes", "__proto__", "toString"];
      const some = fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 3 }), { noNullPrototype: true });
      const texts = fc.oneof(
        fc.string({ unit: "binary" }),
        fc.json(),
        some.map((value) => JSON.stringify(value)),
      );
      fc.assert(
        fc.property(texts, (text) => {
          expect(code(() => parseJobFile(text))).to.be.oneOf(["JOB_FILE_INVALID", "nothing thrown"]);
        }),
        { numRuns: 100 },
      );
    }).timeout(20_000);

    it("has its JSON Schema published as it is (write it with sdk/scripts/write-job-file-schema.ts)", () => {
      const published = readFileSync(new URL("../../sdk/job-file.schema.json", import.meta.url), "utf8");
      expect(JSON.parse(published)).to.deep.equal(jobFileJsonSchema());
      const [wasm, container] = JSON.parse(published).anyOf;
      for (const kind of [wasm, container])
        expect(kind).to.have.nested.property("properties.prices.properties.verifier");
      expect(wasm.required).to.deep.equal(["module", "inputs"]);
      expect(container.required).to.deep.equal(["image", "inputs"]);
    });
  });
});
