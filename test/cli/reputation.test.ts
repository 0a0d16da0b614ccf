import { expect } from "chai";
import { id as keccakOf, ZeroHash } from "ethers";
import * as requestCalls from "#sdk/request-calls.ts";
import { ROLES, schemaIdOf } from "#sdk/request-terms.ts";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";
import { LocalMarket } from "../support/local-market.ts";

describe("surety reputation", function () {
  let market: LocalMarket;

  before(async () => {
    market = await LocalMarket.start();
  });

  after(async () => {
    await market?.stop();
  });

  const reputation = (...args: string[]): Promise<Ended> =>
    surety(["reputation", ...args, "--rpc", market.chain.url, "--deployment", market.deploymentPath, "--json"]);

  it("has nothing to say of a market that nobody took part in", async () => {
    const ended = await reputation();
    expect(ended.exit).to.equal(0);
    expect(lastJson(ended)).to.deep.include({ nodes: [], requesters: [] });
  });

  it("knows a job's tree, and refuses what is no job", async () => {
    const { schemas } = market.deployment as { schemas: string };
    const [root, node] = [market.account(), market.account()];
    const terms = {
      release: keccakOf("release"),
      ...{ minimumDeposit: 5n, challengeFee: 2n, rewardFunctions: 1, nonce: 0n },
    };
    const schema = schemaIdOf({ chainId: market.deployment.chainId, schemas }, root.address, terms);
    await market.sendAs(root, [requestCalls.registerJob(schemas, { terms })]);
    const roles = ROLES.worker;
    const parent = root.address;
    await market.sendAs(node, [requestCalls.applyJob(schemas, { schema, roles, parent, qualification: ZeroHash })]);
    await market.sendAs(root, [requestCalls.approveNode(schemas, { schema, node: node.address, roles })]);

    const ended = await reputation(schema, "--transfers");
    expect(ended.exit).to.equal(0);
    const { nodes } = lastJson(ended) as { nodes: { node: string; managed: number }[] };
    expect(nodes.map(({ node: each, managed }) => [each, managed])).to.have.deep.members([
      [root.address, 1],
      [node.address, 0],
    ]);
    expect(errorCode(await reputation(keccakOf("none")))).to.equal("SCHEMA_UNKNOWN");
    expect(errorCode(await reputation("0xabcde"))).to.equal("USAGE");
  });
});
