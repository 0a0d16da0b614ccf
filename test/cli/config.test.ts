import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { getAddress } from "ethers";
import { SuretyError } from "#sdk/errors.ts";
import { readComputeConfig, readRequesterConfig } from "../../agents/config.ts";
import { readKey } from "../../agents/key/private-key.ts";

const KEY = `0x${"11".repeat(32)}`;
const CLASS = `0x${"22".repeat(32)}`;

const compute = `
home: ./home
rpc: [http://127.0.0.1:8545]
deployment: ./surety.json
key: { file: ./key }
storage: { kind: embedded, gateways: [http://127.0.0.1:8080] }
class: ${CLASS}
stake: 1000.5
`;

describe("configuration", () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-config-"));
  });

  after(() => rm(folder, { recursive: true, force: true }));

  async function write(content: string, name = "config.yaml"): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  }

  async function refusal(reading: Promise<unknown>): Promise<SuretyError> {
    const error = await reading.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(SuretyError);
    return error as SuretyError;
  }

  it("refuses files that are not there, no YAML or no settings, with exit status 2", async () => {
    const paths = [join(folder, "none.yaml"), await write("a: [", "broken.yaml"), await write("[]", "list.yaml")];
    for (const path of paths) {
      const error = await refusal(readComputeConfig(path));
      expect([error.code, error.exit]).to.deep.equal(["CONFIG_INVALID", 2]);
    }
  });

  it("lists every problem at once", async () => {
    const path = await write(compute.replace("http://127.0.0.1:8545", "nowhere").replace("1000.5", "-1") + "slot: 3\n");
    const { details, message } = await refusal(readComputeConfig(path));
    expect(details.problems).to.equal(3);
    for (const place of ["rpc.0", "stake", "slot"]) expect(message).to.include(place);
  });

  it("never shows a key that is wrong", async () => {
    const path = await write(compute.replace("{ file: ./key }", "{ hex: 0xdeadbeef }"));
    const error = await refusal(readComputeConfig(path));
    expect(error.code).to.equal("CONFIG_INVALID");
    expect(JSON.stringify(error)).to.not.include("deadbeef");
  });

  it("reads YAML without quotes, fills in what was left out, and counts paths from its folder", async () => {
    const config = await readComputeConfig(await write(compute));
    expect(config).to.deep.include({
      class: CLASS,
      stake: "1000.5",
      slots: 1,
      workers: 1,
      maxAssignments: 1,
      minPrice: "0",
    });
    expect(config).to.deep.include({
      pollMs: 500,
      logLevel: "info",
      home: join(folder, "home"),
      key: { file: join(folder, "key") },
    });
    expect(config.deployment).to.equal(join(folder, "surety.json"));
  });

  it("reads JSON, and keys without quotes", async () => {
    const base = { home: "/home", rpc: ["http://127.0.0.1:1"], deployment: "/surety.json", plantShare: 10_000 };
    const storage = { kind: "kubo", url: "http://127.0.0.1:5001" };
    const path = await write(JSON.stringify({ ...base, storage, key: { env: "A_KEY" } }), "config.json");
    expect(await readRequesterConfig(path)).to.deep.include({ ...base, storage });
    const yaml = await write(compute.replace("{ file: ./key }", `{ hex: ${KEY} }`));
    expect((await readComputeConfig(yaml)).key).to.deep.equal({ hex: KEY });
  });

  it("reads encrypted keys, signers and owners, and refuses half of one", async () => {
    const [node, owner] = [`0x${"ab".repeat(20)}`, `0x${"cd".repeat(20)}`];
    const read = async (key: string) => readComputeConfig(await write(compute.replace("{ file: ./key }", key)));
    expect((await read("{ keystore: ./key.json, password: { file: ./password } }")).key).to.deep.equal({
      keystore: join(folder, "key.json"),
      password: { file: join(folder, "password") },
    });
    const signer = "http://127.0.0.1:9000";
    const config = await read(`{ signer: ${signer}, address: ${node}, token: { env: TOKEN } }\nowner: ${owner}`);
    const address = getAddress(node);
    expect(config.key).to.deep.equal({ signer, address, token: { env: "TOKEN" }, timeoutMs: 10_000 });
    expect(config.owner).to.equal(getAddress(owner));
    const halves = [
      "{ keystore: ./key.json }",
      "{ keystore: ./key.json, password: secret }",
      `{ signer: ${signer} }`,
      `{ signer: ${signer}, address: 0x12 }`,
      `{ signer: "file:///key", address: ${node} }`,
      "{ file: ./key }\nowner: nobody",
    ];
    for (const half of halves) {
      const error = await refusal(read(half));
      expect(error.code, half).to.equal("CONFIG_INVALID");
      expect(JSON.stringify(error)).to.not.include("secret");
    }
  });

  it("finds keys in variables and files, and refuses what is none", async () => {
    const file = await write(`${KEY.slice(2)}\n`, "key");
    expect(await readKey({ file })).to.equal(KEY);
    expect(await readKey({ env: "A_KEY" }, { A_KEY: KEY })).to.equal(KEY);
    const sources = [
      { file: join(folder, "none") },
      { env: "A_KEY" },
      { hex: `0x${"00".repeat(32)}` },
      { hex: "0x12" },
    ];
    for (const source of sources) {
      const error = await refusal(readKey(source, {}));
      expect([error.code, error.exit]).to.deep.equal(["KEY_UNREADABLE", 2]);
    }
  });
});
