import { expect } from "chai";
import { ZeroAddress, type Interface, type ParamType } from "ethers";
import { pino } from "pino";
import type { RawEvent } from "#sdk/event-store.ts";
import { marketInterface } from "#sdk/market-abi.ts";
import { MarketFold } from "../../agents/market-fold.ts";

const word = (value: number): string => `0x${value.toString(16).padStart(64, "0")}`;
const market = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const node = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
const JOB = word(7);
const [good, bad] = [word(1), word(2)] as [string, string];

/** Nothing, as a value of a type. */
function nothing(param: ParamType): unknown {
  if (param.isArray()) return [];
  if (param.isTuple()) return param.components.map(nothing);
  if (param.type === "address") return ZeroAddress;
  if (param.type === "bytes32") return word(0);
  if (param.type === "bytes") return "0x";
  return param.type === "bool" ? false : 0n;
}

/** A log of the market in which all is nothing but what is given. */
function log(name: string, values: Record<string, unknown>): RawEvent {
  const fragment = (marketInterface as Interface).getEvent(name)!;
  const all = fragment.inputs.map((param) => values[param.name] ?? nothing(param));
  const { topics, data } = marketInterface.encodeEventLog(fragment, all);
  const place = { blockNumber: 1, blockHash: word(1), transactionHash: word(1), logIndex: 0, timestamp: 1 };
  return { ...place, address: market, topics: topics as string[], data };
}

describe("what an agent knows of the market", () => {
  const opened = log("JobOpened", { job: JOB });
  const posted = (id: string): RawEvent => log("BatchPosted", { id, job: JOB });
  const claimed = (id: string, assignment: number): RawEvent => log("Claimed", { id, assignment, node, count: 1 });
  const torn = (event: RawEvent): RawEvent => ({ ...event, data: event.data.slice(0, -64) });

  function fold() {
    const told: string[] = [];
    const logger = pino({ base: null }, { write: (line) => void told.push((JSON.parse(line) as { msg: string }).msg) });
    return { fold: new MarketFold({ market, registry: ZeroAddress, account: node }, { logger }), told };
  }

  for (const [name, poison] of [
    ["with a torn event", [torn(claimed(bad, 0))]],
    ["whose first claim nobody saw", [claimed(bad, 1)]],
  ] as const) {
    it(`sets aside a batch ${name}, says so, and goes on with the others`, () => {
      const { fold: known, told } = fold();
      known.add([opened, posted(good), posted(bad), claimed(good, 0), ...poison, claimed(good, 1), claimed(bad, 2)]);
      expect(known.state.open.map(({ id }) => id)).to.deep.equal([good]);
      expect(known.state.batches.get(good)?.assignments).to.have.length(2);
      expect(told).to.deep.equal(["set aside an event that makes no sense"]);
    });
  }

  it("takes a batch up again when a reorganisation removed what made no sense", () => {
    const { fold: known } = fold();
    known.add([opened, posted(bad), torn(claimed(bad, 0))]);
    expect(known.state.open).to.deep.equal([]);
    known.restart();
    known.add([opened, posted(bad), claimed(bad, 0)]);
    expect(known.state.batches.get(bad)?.assignments).to.have.length(1);
  });

  it("lets a slice be claimed again", () => {
    const { fold: known, told } = fold();
    known.add([opened, posted(good), claimed(good, 0), claimed(good, 1), claimed(good, 0)]);
    expect(known.state.batches.get(good)?.assignments).to.have.length(2);
    expect(told).to.deep.equal([]);
  });
});
