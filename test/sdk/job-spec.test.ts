import { expect } from "chai";

import { contentIdFromBytes32 } from "#sdk/content.ts";
import { buildJobSpec, MAX_JOB_SPEC_BYTES, parseJobSpec, taskArgs, type JobSpec } from "#sdk/job-spec.ts";
import { code } from "../support/error-code.ts";

const CID = contentIdFromBytes32(`0x${"01".repeat(32)}`);

const SPEC: JobSpec = {
  version: 1,
  name: "map tiles",
  executor: "wasm",
  program: { cid: CID, path: "tile.wasm" },
  args: ["--tile", "{index}"],
  limits: { fuel: 2_000_000_000, memory: 67_108_864, seconds: 30, output: 1_048_576, files: 10 },
};

describe("job-spec", () => {
  describe("parseJobSpec", () => {
    const text = JSON.stringify(SPEC);
    const utf8 = new TextEncoder();

    it("refuses what is malformed, or not in canonical form", () => {
      const bad = [
        "",
        "{}",
        `${text} `,
        text.replace(`"version":1`, `"version":2`),
        text.replace(`"version":1`, `"version":1,"version":1`),
        text.replace(`"version":1`, `"version":1,"more":1`),
        text.replace(`"version":1`, `"version":1,"__proto__":1`),
        text.replace('wasm"', 'docker"'),
        text.replace("tile.wasm", "../tile.wasm"),
        text.replace("tile.wasm", "/etc/passwd"),
        text.replace("tile.wasm", "a//b"),
        text.replace("tile.wasm", "a\\u0000b"),
        text.replace(CID, "bafy"),
        text.replace("map tiles", ""),
        text.replace("map tiles", "a\\u001b[2J"),
        text.replace("--tile", "a\\u0000b"),
        text.replace("2000000000", "1e400"),
        text.replace("2000000000", "2e9"),
        text.replace("2000000000", "-1"),
        text.replace("2000000000", "0"),
        text.replace("2000000000", "0.5"),
        text.replace("2000000000", "99999999999999999999"),
        text.replace("67108864", "4294967297"),
        text.replace("67108864", "1"),
        text.replace(`"seconds":30`, `"seconds":"30"`),
        JSON.stringify({ ...SPEC, args: new Array<string>(257).fill("a") }),
        JSON.stringify({ ...SPEC, args: ["a".repeat(4097)] }),
        "[".repeat(100_000),
        " ".repeat(MAX_JOB_SPEC_BYTES + 1),
      ];
      expect(code(() => parseJobSpec(utf8.encode(text)))).to.equal("nothing thrown");
      for (const each of bad) {
        expect(each).not.to.equal(text);
        expect(
          code(() => parseJobSpec(utf8.encode(each))),
          each.slice(0, 200),
        ).to.equal("JOB_SPEC_INVALID");
      }
    });

    it("refuses to build what no node would read", () => {
      expect(code(() => buildJobSpec({ ...SPEC, limits: { ...SPEC.limits, fuel: NaN } }))).to.equal("JOB_SPEC_INVALID");
      expect(code(() => buildJobSpec({ ...SPEC, program: { cid: CID, path: "" } }))).to.equal("JOB_SPEC_INVALID");
    });

    it("reads what it built, whatever the order of the keys", () => {
      const { limits, ...others } = SPEC;
      expect(parseJobSpec(buildJobSpec({ limits, ...others }))).to.deep.equal(SPEC);
    });

    it("puts the task's index into its arguments", () => {
      expect(taskArgs(["{index}", "a{index}b{index}", "{INDEX}", "$&"], 12)).to.deep.equal([
        "12",
        "a12b12",
        "{INDEX}",
        "$&",
      ]);
    });
  });
});
