import { readFile } from "node:fs/promises";
import { expect } from "chai";
import { BrowserProvider, parseEther, Wallet, ZeroAddress } from "ethers";
import { network } from "hardhat";

import { computeContentId, contentIdToBytes32 } from "#sdk/content.ts";
import { classNamed, formatDeployment, loadDeployment, verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import { fromEip1193 } from "#sdk/json-rpc.ts";
import { vaultInterface } from "#sdk/market-abi.ts";
import * as reads from "#sdk/reads.ts";
import { deployedClasses } from "../../deploy/address-book.ts";
import { deploySurety } from "../../deploy/deploy.ts";
import Surety from "../../deploy/modules/Surety.ts";
import SuretyOnToken from "../../deploy/modules/SuretyOnToken.ts";
import { parseDeployParameters, readDeployParameters } from "../../deploy/parameters.ts";
import { codeOf } from "../support/error-code.ts";

const folder = new URL("../../deploy/", import.meta.url);
const readText = (path: string): Promise<string> => readFile(new URL(path, folder), "utf8");

describe("deployment", function () {
  this.timeout(300_000);

  describe("parameters", () => {
    it("refuses values that do not fit each other", async () => {
      const text = await readText("parameters/local.json");
      const change = (from: string, to: string): string => {
        expect(text, from).to.include(from);
        return text.replace(from, to);
      };
      const flawed = {
        json: "{",
        "unknown module": change('"Surety"', '"Other"'),
        "unknown key": change('"minWindow"', '"minimumWindow"'),
        "zero bond": change('"bondFixed": "1000000000000000000n"', '"bondFixed": "0n"'),
        "amount as a number": change('"bondFixed": "1000000000000000000n"', '"bondFixed": 1'),
        "share above all": change("50000", "1000001"),
        "depth beyond the hashes": change('"finalDepth": 2', '"finalDepth": 129'),
        "windows crossed": change('"minWindow": 2', '"minWindow": 86401'),
        "stake liable too briefly": change("2419200", "1987247"),
        "slot that covers no job": change(
          '"slotStake": "1000000000000000000000n"',
          '"slotStake": "1000000000000000000n"',
        ),
      };
      for (const [flaw, changed] of Object.entries(flawed)) {
        expect(await codeOf(() => parseDeployParameters(changed)), flaw).to.equal("DEPLOY_PARAMETERS_INVALID");
      }
      expect(await codeOf(() => readDeployParameters("nowhere"))).to.equal("DEPLOY_PARAMETERS_INVALID");
      expect(await codeOf(() => parseDeployParameters(change("2419200", "1987248")))).to.equal(undefined);
    });

    it("names the classes' resources by their content", async () => {
      const idOf = async (name: string): Promise<string> => {
        const text = new TextEncoder().encode(await readText(`classes/${name}/resources.json`));
        return contentIdToBytes32(await computeContentId(new Map([["resources.json", text]])));
      };
      const expected = { resources: await idOf("wasm"), containerResources: await idOf("container") };
      for (const name of ["local", "testnet", "rollup"]) {
        expect(await readDeployParameters(name), name).to.deep.include(expected);
      }
    });
  });

  async function deployFromArtifacts() {
    const connection = await network.create();
    const { ethers, provider } = connection;
    const [funder] = await ethers.getSigners();
    const wallet = Wallet.createRandom();
    await funder!.sendTransaction({ to: wallet.address, value: parseEther("10") });
    const parameters = await readDeployParameters("local");
    const steps: string[] = [];
    const request = {
      chain: { provider: new BrowserProvider(provider, undefined, { cacheTimeout: -1 }) },
      deployerKey: wallet.privateKey,
      parameters,
      onProgress: ({ step }: { step: string }) => void steps.push(step),
    };
    const deployment = await deploySurety(request);
    return { connection, deployment, request, steps, rpc: fromEip1193(provider), deployer: wallet.address };
  }

  it("puts every contract on the chain with the parameters asked for", async () => {
    const { deployment, steps, rpc, request, deployer } = await deployFromArtifacts();
    expect([...steps].sort()).to.deep.equal([
      "class container",
      "class wasm",
      "disputes",
      "juries",
      "market",
      "panels",
      "registry",
      "requests",
      "schemas",
      "token",
      "vault",
      "verdicts",
    ]);
    await verifyDeployment(rpc, deployment);
    expect(deployment.token).to.include({ symbol: "SURE", decimals: 18 });
    expect(await reads.balanceOf(rpc, deployment.token.address, deployer)).to.equal(10n ** 27n);
    const state = await reads.classState(rpc, deployment.registry, deployment.market, deployment.classes[0]!.id);
    expect(state).to.include({
      runtime: "wasm",
      slotStake: 10n ** 21n,
      priceFloor: 10n ** 14n,
      fullSlash: true,
      slots: 0,
    });
    const container = classNamed(deployment, "container");
    expect(await reads.classState(rpc, deployment.registry, deployment.market, container)).to.include({
      runtime: "container",
      slotStake: 10n ** 21n,
      priceFloor: 10n ** 14n,
      fullSlash: false,
      slots: 0,
    });
    expect(loadDeployment(formatDeployment(deployment))).to.deep.equal(deployment);

    const second = await deploySurety({
      ...request,
      parameters: { ...request.parameters, token: { address: deployment.token.address } },
    });
    await verifyDeployment(rpc, second);
    expect(second.token.address).to.equal(deployment.token.address);
    expect(second.market).not.to.equal(deployment.market);
  });

  it("says which step the chain refused", async () => {
    const { request } = await deployFromArtifacts();
    const parameters = { ...request.parameters, unbondingPeriod: 1 };
    expect(await codeOf(() => deploySurety({ ...request, parameters }))).to.equal("DEPLOY_REVERTED");
  });

  it("is not mistaken for another", async () => {
    const { deployment, rpc, connection, request } = await deployFromArtifacts();
    const verify = (changes: Partial<Deployment>) => codeOf(() => verifyDeployment(rpc, { ...deployment, ...changes }));
    expect(await verify({})).to.equal(undefined);
    expect(await verify({ chainId: 1 })).to.equal("CHAIN_MISMATCH");
    expect(await verify({ vault: (await connection.ethers.getSigners())[3]!.address })).to.equal(
      "DEPLOYMENT_NOT_FOUND",
    );
    expect(await verify({ panels: ZeroAddress })).to.equal("DEPLOYMENT_NOT_FOUND");
    expect(await verify({ panels: deployment.vault })).to.equal("DEPLOYMENT_MISMATCH");
    expect(await verify({ parameters: { ...deployment.parameters, bondFixed: 1n } })).to.equal("DEPLOYMENT_MISMATCH");
    expect(await verify({ parameters: { ...deployment.parameters, minStake: 1n } })).to.equal("DEPLOYMENT_MISMATCH");
    const others = (await deployFromArtifacts()).deployment;
    expect(await verify({ requests: others.requests! })).to.equal("DEPLOYMENT_NOT_FOUND");
    const other = await deploySurety(request);
    expect(await verify({ requests: other.requests!, schemas: other.schemas! })).to.equal("DEPLOYMENT_MISMATCH");
    expect(await verify({ schemas: other.schemas! })).to.equal("DEPLOYMENT_MISMATCH");
    // As written before there were evaluated jobs.
    const { schemas: _schemas, requests: _requests, ...older } = deployment;
    await verifyDeployment(rpc, loadDeployment(formatDeployment(older)));
    const classes = [{ ...deployment.classes[0]!, id: `0x${"11".repeat(32)}` }];
    expect(await verify({ classes })).to.equal("DEPLOYMENT_MISMATCH");
  });

  it("reads no file that contradicts itself", async () => {
    const { deployment } = await deployFromArtifacts();
    const text = formatDeployment(deployment);
    for (const flawed of [
      "",
      "[]",
      "{}",
      text.replace('"chainId": 31337', '"chainId": "31337"'),
      text.replace('"wasm"', '"Wasm"'),
      text.replace('"schemas"', '"unknown"'),
      text.replace(/ *"schemas".*\n/, ""),
    ]) {
      expect(await codeOf(() => loadDeployment(flawed)), flawed.slice(0, 40)).to.equal("DEPLOYMENT_INVALID");
    }
    const [first] = deployment.classes;
    const renamed = { ...deployment, classes: [{ ...first!, terms: { ...first!.terms, priceFloor: 1n } }] };
    expect(await codeOf(() => loadDeployment(formatDeployment(renamed)))).to.equal("DEPLOYMENT_INVALID");
  });

  it("comes out the same through Ignition", async () => {
    const { ethers, ignition, provider } = await network.create();
    const rpc = fromEip1193(provider);
    const file = new URL("parameters/local.json", folder).pathname;
    const { token, vault, registry, panels, market, schemas, requests } = await ignition.deploy(Surety, {
      parameters: file,
    });
    const addressOf = async (contract: { getAddress(): Promise<string> }) => contract.getAddress();
    const fromArtifacts = (await deployFromArtifacts()).deployment;
    const deployment: Deployment = {
      ...fromArtifacts,
      token: { ...fromArtifacts.token, address: await addressOf(token) },
      vault: await addressOf(vault),
      registry: await addressOf(registry),
      panels: await addressOf(panels),
      market: await addressOf(market),
      schemas: await addressOf(schemas),
      requests: await addressOf(requests),
      classes: deployedClasses(await addressOf(market), await readDeployParameters("local")),
    };
    await verifyDeployment(rpc, deployment);
    const created = await registry.queryFilter(registry.filters.ClassCreated!());
    const ids = created.map((event) => (event as unknown as { args: { classId: string } }).args.classId);
    expect(ids).to.have.members(deployment.classes.map(({ id }) => id));

    const { Surety: values } = JSON.parse(await readText("parameters/local.json")) as {
      Surety: Record<string, string | number>;
    };
    const { tokenSupply: _supply, ...others } = values;
    const bigints = Object.entries({ ...others, token: deployment.token.address }).map(([name, value]) => [
      name,
      typeof value === "string" && value.endsWith("n") ? BigInt(value.slice(0, -1)) : value,
    ]);
    const again = await ignition.deploy(SuretyOnToken, { parameters: { SuretyOnToken: Object.fromEntries(bigints) } });
    const used = await reads.read(rpc, await again.vault.getAddress(), vaultInterface, "token", []);
    expect(used).to.equal(deployment.token.address);
    expect(await ethers.provider.getCode(await again.market.getAddress())).not.to.equal("0x");
  });
});
