import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parseWei } from "#sdk/wei.ts";
import { checkComputeConfig, readComputeConfig } from "../../agents/config.ts";
import { defaultChain, feeCaps, finalityFor, gasReserve } from "../../agents/config/chain.ts";
import { codeOf } from "../support/error-code.ts";

const beside = {
  home: "/home",
  deployment: "/surety.json",
  key: { env: "A_KEY" },
  storage: { kind: "embedded" },
  class: `0x${"22".repeat(32)}`,
  stake: "1000",
};
const url = "http://127.0.0.1:8545";

describe("what a configuration says of the chain", () => {
  it("leaves configurations without it as they were", () => {
    const config = checkComputeConfig({ ...beside, rpc: [url] });
    expect(config.rpc).to.deep.equal([url]);
    expect(config).not.to.have.property("chain");
    expect(feeCaps()).to.deep.equal({ feeCap: 500n * 10n ** 9n });
    expect(finalityFor(64)).to.deep.equal({ depth: 64 });
    expect(gasReserve(defaultChain)).to.equal(undefined);
  });

  it("takes one endpoint or several there, and not beside it as well", async () => {
    for (const rpc of [url, [url, "https://other.example"]]) {
      expect(checkComputeConfig({ ...beside, chain: { rpc } }).rpc).to.deep.equal([rpc].flat());
    }
    const flawed = [{ chain: { rpc: url }, rpc: [url] }, {}, { chain: {} }, { chain: { rpc: [] } }];
    for (const each of flawed) {
      expect(await codeOf(() => checkComputeConfig({ ...beside, ...each }))).to.equal("CONFIG_INVALID");
    }
  });

  it("reads all of it from YAML", async () => {
    const folder = await mkdtemp(join(tmpdir(), "surety-chain-config-"));
    const path = join(folder, "compute.yaml");
    await writeFile(
      path,
      `home: ./home
deployment: ./surety.json
key: { env: A_KEY }
storage: { kind: embedded }
class: ${beside.class}
stake: 1000
chain:
  rpc: [${url}, http://127.0.0.1:8546]
  finality: { depth: 70 }
  maxLagSeconds: 20
  fees: { maxFeePerGas: 50 gwei, maxPriorityFeePerGas: 1.5 gwei }
  gasReserve: 0.02 ether
`,
    );
    const { rpc, chain } = await readComputeConfig(path);
    await rm(folder, { recursive: true });
    expect(rpc).to.have.length(2);
    expect(chain?.maxLagSeconds).to.equal(20);
    expect(finalityFor(64, chain)).to.deep.equal({ depth: 70 });
    expect(feeCaps(chain)).to.deep.equal({ feeCap: 50n * 10n ** 9n, tipCap: 15n * 10n ** 8n });
    expect(gasReserve(chain!)).to.equal(2n * 10n ** 16n);
  });

  it("refuses what it does not know, and amounts without a unit", async () => {
    const flawed = [
      { finality: { depth: 0 } },
      { finality: { tag: "latest" } },
      { finality: { depth: 5, tag: "safe" } },
      { fees: { maxFeePerGas: "50" } },
      { fees: { maxFee: "50 gwei" } },
      { gasReserve: "-1 ether" },
      { maxLagSeconds: 1 },
      { confirmations: 3 },
    ];
    for (const chain of flawed) {
      const config = { ...beside, chain: { rpc: url, ...chain } };
      expect(await codeOf(() => checkComputeConfig(config)), JSON.stringify(chain)).to.equal("CONFIG_INVALID");
    }
  });

  it("takes nothing for final that the market does not", async () => {
    const shallow = { ...defaultChain, finality: { depth: 63 } };
    expect(await codeOf(() => finalityFor(64, shallow))).to.equal("FINALITY_TOO_SHALLOW");
    expect(finalityFor(63, shallow)).to.deep.equal({ depth: 63 });
    const tagged = { ...defaultChain, finality: { tag: "safe" as const } };
    expect(finalityFor(64, tagged)).to.deep.equal({ tag: "safe" });
  });

  it("reads amounts of the chain's own money", () => {
    const amounts: [string, bigint | undefined][] = [
      ["1 wei", 1n],
      ["1.5gwei", 1_500_000_000n],
      ["0.02 ether", 2n * 10n ** 16n],
      ["1.5 wei", undefined],
      ["1", undefined],
      ["1 gold", undefined],
    ];
    for (const [text, expected] of amounts) expect(parseWei(text), text).to.equal(expected);
  });
});
