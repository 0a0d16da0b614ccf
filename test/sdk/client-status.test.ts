import { expect } from "chai";
import type { ParamType } from "ethers";
import { SuretyClient, type ContendedAssignment } from "#sdk/client.ts";
import type { Deployment } from "#sdk/deployment.ts";
import type { SuretyEvent } from "#sdk/events.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { marketInterface } from "#sdk/market-abi.ts";
import { MATTERS, MODES, OUTCOMES, VERDICTS } from "#sdk/terms.ts";
import { DisputeSteps } from "../support/dispute-steps.ts";
import { BATCH_ID, MARKET, MarketHistory, nodeAt, REQUESTER, WINDOWS } from "../support/market-history.ts";

const ENUMS: Record<string, readonly string[]> = {
  mode: MODES,
  verdict: VERDICTS,
  outcome: OUTCOMES,
  matter: MATTERS,
};

function encoded(param: ParamType, value: unknown): unknown {
  if (param.isTuple()) {
    return param.components.map((each) => encoded(each, (value as Record<string, unknown>)[each.name]));
  }
  return typeof value === "string" && ENUMS[param.name] ? ENUMS[param.name]!.indexOf(value) : value;
}

/** A chain on which this happened. */
function chainOf(history: MarketHistory): JsonRpc {
  const logs = history.events.flatMap((event: SuretyEvent) => {
    const fragment = marketInterface.fragments.find((each) => each.type === "event" && "name" in each && each.name === event.name); // prettier-ignore
    if (!fragment) return [];
    const { inputs } = marketInterface.getEvent(event.name as "Claimed")!;
    const told = event as unknown as Record<string, unknown>;
    const values = inputs.map((param) => encoded(param, told[param.name === "blockHash" ? "entropyHash" : param.name]));
    const { topics, data } = marketInterface.encodeEventLog(event.name as "Claimed", values as never);
    return [{ ...event, topics, data }];
  });
  const timestamps = new Map(history.events.map(({ blockHash, timestamp }) => [blockHash, timestamp]));
  return {
    request: (method: string, params: unknown[]) => {
      if (method === "eth_getBlockByNumber") return Promise.resolve({ timestamp: history.now });
      if (method === "eth_getBlockByHash") return Promise.resolve({ timestamp: timestamps.get(params[0] as string) });
      const [{ topics }] = params as [{ topics: (string | null)[] }];
      const isAsked = (log: { topics: (string | null)[] }): boolean =>
        topics.every((topic, place) => topic === null || topic === log.topics[place]);
      return Promise.resolve(logs.filter(isAsked));
    },
  } as unknown as JsonRpc;
}

async function contended(history: MarketHistory): Promise<ContendedAssignment[]> {
  const deployment = { chainId: 1, market: MARKET, startBlock: 0 } as Deployment;
  return (await new SuretyClient(deployment, { rpc: chainOf(history) }).status(BATCH_ID)).contended;
}

describe("the client's status", () => {
  it("says what is under accusation or dispute, and until when", async () => {
    const history = new MarketHistory({ nodes: 30 }).post().claim(nodeAt(0), 2).claim(nodeAt(1), 4);
    history.submit(nodeAt(0), 0).submit(nodeAt(1), 1).wait(20).reveal();
    for (const assignment of [0, 1]) for (const seat of [0, 1]) history.answerFrom(assignment, 0, seat);
    expect(await contended(history)).to.deep.equal([]);

    history.judge(REQUESTER, [{ assignment: 1, verdict: "primary-differs", witness: 4, round: 0, seat: 0 }], false);
    const until = history.now + WINDOWS.challenge;
    expect(await contended(history)).to.deep.equal([{ assignment: 1, matter: "none", stage: "none", until }]);

    const steps = new DisputeSteps(history.wait(3), 1).challenge(nodeAt(1));
    const opening = { assignment: 1, matter: "exception", stage: "opening", until: history.now + WINDOWS.challenge };
    expect(await contended(history)).to.deep.equal([opening]);

    new DisputeSteps(history, 0).contestDelivery(0);
    const answering = { assignment: 0, matter: "delivery", stage: "answering", until: history.now + WINDOWS.challenge };
    expect(await contended(history)).to.deep.equal([answering, opening]);

    steps.waitOut().rule().waitOut().conclude();
    expect(await contended(history)).to.deep.equal([answering]);
  });
});
