import { expect } from "chai";
import { parseSchemaFile, type ContainerSchemaFile, type WasmSchemaFile } from "#sdk/schema-file.ts";
import {
  buildDigest,
  checkReleaseFile,
  containerRelease,
  digestOf,
  encodeRelease,
  parseRelease,
  schemaTermsOf,
  wasmRelease,
  type WasmRelease,
} from "#sdk/schema-release.ts";
import { code } from "../support/error-code.ts";

const least = "name: roots\ndeposit: 10\nchallengeFee: 1\n";
const digest = (text: string): string => digestOf(new TextEncoder().encode(text));

describe("schema.yaml", () => {
  it("needs a name, a deposit and a challenge fee", () => {
    expect(parseSchemaFile(least)).to.deep.equal({
      ...{ runtime: "wasm", name: "roots", proto: "job_schema.proto", verification: "solution" },
      rewards: ["even", "winner-takes-all", "by-rank", "by-score", "list"],
      ...{ deposit: "10", challengeFee: "1", worker: "worker.wasm", evaluator: "evaluator.wasm" },
      limits: { fuel: 1e10, memory: 2 ** 28, seconds: 60, output: 2 ** 24, files: 100 },
    });
  });

  it("says all that there is to say of an image", () => {
    const written = `${least}runtime: container\nimage: image.tar\nimageId: sha256:${"0a".repeat(32)}
verification: execution\nrewards: [list, even]\nbuild: sha256:${"0b".repeat(32)}
source: { repository: "https://example.org/roots", commit: ${"c".repeat(40)} }
limits: { cpus: 2, memory: 1GiB, processes: 9, seconds: 5m, disk: 0, output: 1MiB, files: 3 }\n`;
    const file = parseSchemaFile(written) as ContainerSchemaFile;
    expect(file.image).to.deep.equal({ path: "image.tar", id: `sha256:${"0a".repeat(32)}` });
    expect(file.limits).to.deep.equal({
      ...{ cpus: 2, memory: 2 ** 30, processes: 9, seconds: 300, disk: 0, output: 2 ** 20, files: 3 },
    });
    expect(file.source).to.deep.equal({ repository: "https://example.org/roots", commit: "c".repeat(40) });
    const registry = parseSchemaFile(`${least}image: roots@sha256:${"0d".repeat(32)}\nruntime: container\n`);
    expect((registry as ContainerSchemaFile).image).to.deep.equal({ reference: `roots@sha256:${"0d".repeat(32)}` });
  });

  const wrong: [what: string, written: string][] = [
    ["nothing", ""],
    ["no YAML", "name: [roots"],
    ["no name", "deposit: 10\nchallengeFee: 1\n"],
    ["an unknown key", `${least}colour: red\n`],
    ["a deposit that is not above the fee", "name: roots\ndeposit: 1.0\nchallengeFee: 1\n"],
    ["a fee of nothing", "name: roots\ndeposit: 1\nchallengeFee: 0\n"],
    ["an amount that is none", "name: roots\ndeposit: ten\nchallengeFee: 1\n"],
    ["an unknown verification", `${least}verification: trust\n`],
    ["no rewards", `${least}rewards: []\n`],
    ["a reward twice", `${least}rewards: [even, even]\n`],
    ["a path that leads out", `${least}worker: ../worker.wasm\n`],
    ["an absolute path", `${least}proto: /etc/passwd\n`],
    ["a commit that is none", `${least}source: { repository: "https://example.org/roots", commit: main }\n`],
    ["a repository that is none", `${least}source: { repository: "file:///roots", commit: ${"c".repeat(40)} }\n`],
    ["an image and modules", `${least}image: image.tar\nruntime: container\nworker: worker.wasm\n`],
    ["an image by its tag", `${least}image: roots:latest\nruntime: container\n`],
    ["too little memory", `${least}limits: { memory: 1 }\n`],
  ];
  for (const [what, written] of wrong) {
    it(`is refused for ${what}`, () => expect(code(() => parseSchemaFile(written))).to.equal("SCHEMA_FILE_INVALID"));
  }
});

describe("a release", () => {
  const file = parseSchemaFile(`${least}rewards: [list, even]\n`) as WasmSchemaFile;
  const programs = {
    worker: { path: "worker.wasm", digest: digest("worker") },
    evaluator: { path: "evaluator.wasm", digest: digest("evaluator") },
  };
  const proto = { path: "job_schema.proto", digest: digest("proto") };
  const release = (): WasmRelease => wasmRelease(file, { proto, tests: ["test/b.json", "test/a.json"], programs });

  it("comes back as it was written, in one form only", () => {
    const bytes = encodeRelease(release());
    expect(encodeRelease(parseRelease(bytes))).to.deep.equal(bytes);
    expect(parseRelease(bytes).rewards, "in the order of the contracts").to.deep.equal(["even", "list"]);
    const spaced = new TextEncoder().encode(JSON.stringify(release(), null, 1));
    expect(code(() => parseRelease(spaced))).to.equal("SCHEMA_RELEASE_INVALID");
  });

  it("has the build digest of its programs, or is refused", () => {
    expect(release().build).to.equal(buildDigest([programs.worker.digest, programs.evaluator.digest]));
    const other = { ...release(), build: digest("another build") };
    expect(code(() => encodeRelease(other))).to.equal("SCHEMA_RELEASE_MISMATCH");
  });

  it("is not made where schema.yaml says another build digest", () => {
    const claimed = { ...file, build: digest("another build") };
    expect(code(() => wasmRelease(claimed, { proto, tests: [], programs }))).to.equal("SCHEMA_BUILD_MISMATCH");
    const built = { ...file, build: release().build };
    expect(wasmRelease(built, { proto, tests: [], programs }).build).to.equal(release().build);
  });

  it("of an image is built to its id, or the digest of its manifest", () => {
    const id = `sha256:${"0a".repeat(32)}`;
    const image = parseSchemaFile(`${least}image: image.tar\nruntime: container\n`) as ContainerSchemaFile;
    const parts = { proto, tests: [] };
    const saved = containerRelease(image, { ...parts, image: { path: "image.tar", id } });
    const named = containerRelease(image, { ...parts, image: { reference: `roots@${id}` } });
    for (const made of [saved, named]) expect(parseRelease(encodeRelease(made)).build).to.equal(id);
  });

  it("says what to register of it", () => {
    const terms = schemaTermsOf(release(), { digest: `0x${"0a".repeat(32)}`, decimals: 6 });
    expect(terms).to.deep.equal({
      ...{ release: `0x${"0a".repeat(32)}`, minimumDeposit: 10_000_000n, challengeFee: 1_000_000n },
      ...{ rewardFunctions: 0b10001, nonce: 0n },
    });
    const fine = { ...release(), challengeFee: "0.0000001" };
    expect(code(() => schemaTermsOf(fine, { digest: terms.release, decimals: 6 }))).to.equal("AMOUNT_INVALID");
  });

  it("takes no file that is not the one it says", () => {
    checkReleaseFile(proto, new TextEncoder().encode("proto"));
    expect(code(() => checkReleaseFile(proto, new TextEncoder().encode("prot0")))).to.equal("SCHEMA_RELEASE_MISMATCH");
  });
});
