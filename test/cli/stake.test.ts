import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { parseUnits, type Wallet } from "ethers";
import { loadDeployment } from "#sdk/deployment.ts";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";
import { LocalMarket } from "../support/local-market.ts";

const tokens = (amount: string): string => parseUnits(amount, 18).toString();

describe("surety stake and deploy", function () {
  this.timeout(60_000);
  let market: LocalMarket;
  let node: Wallet;
  let config: string;

  before(async () => {
    market = await LocalMarket.start();
    node = market.account();
    await market.give(node.address, parseUnits("3000", 18));
    ({ config } = await market.agentHome("node", node, { class: market.deployment.classes[0]?.id, stake: "2000" }));
  });

  after(() => market?.stop());

  const stake = (...args: string[]): Promise<Ended> => surety(["stake", ...args, "--config", config, "--json"]);

  async function expectRefusal(ended: Ended, code: string, exit: number): Promise<void> {
    expect(errorCode(ended), ended.stderr).to.equal(code);
    expect(ended.exit).to.equal(exit);
  }

  it("refuses to stake more than there is, or what is no amount", async () => {
    await expectRefusal(await stake("add", "3001"), "BALANCE_TOO_LOW", 4);
    await expectRefusal(await stake("add", "much"), "AMOUNT_INVALID", 2);
    expect(await market.transactionsOf(node.address)).to.equal(0);
  });

  it("passes on the contracts' own refusal", async () => {
    const ended = await stake("join");
    await expectRefusal(ended, "CALL_REVERTED", 4);
    expect(lastJson(ended)).to.have.nested.property("error.details.error");
  });

  it("adds stake, joins, leaves, and starts taking out", async () => {
    for (const args of [["add", "2000"], ["join"], ["leave", "0"], ["remove", "500"]]) {
      const ended = await stake(...args);
      expect(ended.exit, ended.stderr).to.equal(0);
    }
    const shown = lastJson(await stake("show"));
    expect(shown).to.include({ stake: tokens("1500"), wallet: tokens("1000"), backing: tokens("1000") });
    expect(shown.slots).to.deep.equal([{ slot: 0, serving: false }]);
    expect(shown).to.have.nested.property("unbonding.amount", tokens("500"));
  });

  it("withdraws nothing that is still liable", async () => {
    const ended = await stake("withdraw");
    expect(ended.exit, ended.stderr).to.equal(0);
    expect(lastJson(ended).withdrawn).to.equal("0");
    expect(lastJson(await stake("show"))).to.include({ stake: tokens("1500"), wallet: tokens("1000") });
  });

  it("deploys and writes an address book", async () => {
    const out = join(market.folder, "deployed.json");
    const env = { DEPLOYER_KEY: market.account().privateKey };
    const done = await surety(
      ["deploy", "--rpc", market.chain.url, "--key-env", "DEPLOYER_KEY", "--out", out, "--json"],
      { env },
    );
    expect(done.exit, done.stderr).to.equal(0);
    expect(loadDeployment(await readFile(out, "utf8")).market).to.not.equal(market.deployment.market);
    await rm(out);
  });

  it("refuses to deploy without a key, with other parameters, and to nowhere", async () => {
    const deploy = (...args: string[]): Promise<Ended> =>
      surety(["deploy", ...args], { env: { DEPLOYER_KEY: node.privateKey } });
    await expectRefusal(await deploy("--rpc", market.chain.url), "USAGE", 2);
    const key = ["--key-env", "DEPLOYER_KEY"];
    await expectRefusal(
      await deploy("--rpc", market.chain.url, ...key, "--parameters", "none"),
      "DEPLOY_PARAMETERS_INVALID",
      2,
    );
    await expectRefusal(await deploy("--rpc", "http://127.0.0.1:1", ...key), "RPC_UNREACHABLE", 3);
  });

  it("says what is wrong with the command line itself", async () => {
    for (const args of [["nonsense"], ["submit"], ["stake", "show"], ["devnet", "--nodes", "many"], []]) {
      await expectRefusal(await surety(args), "USAGE", 2);
    }
    const help = await surety(["submit", "--help"]);
    expect(help.exit).to.equal(0);
    expect(help.stdout).to.include("Examples:");
  });
});
