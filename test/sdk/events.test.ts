import { expect } from "chai";
import { type EventFragment, type Interface, type ParamType } from "ethers";

import type { RawEvent } from "#sdk/event-store.ts";
import { decodeEvent } from "#sdk/events.ts";
import { marketInterface, registryInterface, tokenInterface, vaultInterface } from "#sdk/market-abi.ts";
import { codeOf } from "../support/error-code.ts";

const place = {
  blockNumber: 12,
  blockHash: `0x${"0b".repeat(32)}`,
  transactionHash: `0x${"0c".repeat(32)}`,
  logIndex: 3,
  address: "0x0000000000000000000000000000000000000099",
  timestamp: 1_700_000_000,
};

/** Not the hash of the block that the event is in. */
const OTHER_HASH = `0x${"0d".repeat(32)}`;
/** What the contracts call otherwise. */
const RENAMED: Record<string, string> = { classId: "class", blockHash: "entropyHash" };

/** The enums' second values and their names. */
const NAMES: Record<string, string> = {
  mode: "trusted",
  verdict: "primary-differs",
  outcome: "paid",
  runtime: "wasm",
  matter: "exception",
};

/** A value of a type: what the log holds, and what must come out. */
function sample(param: ParamType): [raw: unknown, plain: unknown] {
  if (param.isArray()) {
    const [raw, plain] = sample(param.arrayChildren);
    return [[raw, raw], [plain, plain]]; // prettier-ignore
  }
  if (param.isTuple()) {
    const fields = param.components.map((each) => [each.name, ...sample(each)] as const);
    return [fields.map(([, raw]) => raw), Object.fromEntries(fields.map(([name, , plain]) => [name, plain]))];
  }
  if (param.type === "uint8" && NAMES[param.name]) return [1n, NAMES[param.name]];
  if (param.type.startsWith("uint")) {
    const bits = Number(param.type.slice(4));
    const most = 2n ** BigInt(bits) - 1n;
    return [most, bits <= 48 ? Number(most) : most];
  }
  if (param.type === "bool") return [true, true];
  if (param.type === "address") return [place.address, place.address];
  if (param.type === "bytes32") return [OTHER_HASH, OTHER_HASH];
  if (param.type === "bytes") return ["0x1234", "0x1234"];
  throw new Error(`no sample of ${param.type}`);
}

function logOf(contract: Interface, fragment: EventFragment, values: unknown[]): RawEvent {
  const { topics, data } = contract.encodeEventLog(fragment, values);
  return { ...place, topics: topics as string[], data };
}

describe("events", () => {
  const contracts = { market: marketInterface, registry: registryInterface, vault: vaultInterface } as Record<
    string,
    Interface
  >;
  for (const [contractName, contract] of Object.entries(contracts)) {
    it(`of the ${contractName} decode to plain values, each of them`, () => {
      let events = 0;
      contract.forEachEvent((fragment) => {
        const samples = fragment.inputs.map(sample);
        const names = fragment.inputs.map(({ name }) => RENAMED[name] ?? name);
        const plain = Object.fromEntries(names.map((name, index) => [name, samples[index]![1]]));
        const event = decodeEvent(
          logOf(
            contract,
            fragment,
            samples.map(([raw]) => raw),
          ),
        );
        expect(event).to.deep.equal({ name: fragment.name, ...plain, ...place });
        events += 1;
      });
      expect(events).to.be.greaterThan(5);
    });
  }

  it("of other contracts are nobody's", () => {
    const transfer = logOf(tokenInterface, tokenInterface.getEvent("Transfer")!, [place.address, place.address, 1n]);
    expect(decodeEvent(transfer)).to.equal(undefined);
    expect(decodeEvent({ ...place, topics: [], data: "0x" })).to.equal(undefined);
  });

  it("that are malformed are refused", async () => {
    const judged = marketInterface.getEvent("Settled") as EventFragment;
    const good = logOf(
      marketInterface,
      judged,
      judged.inputs.map((each) => sample(each)[0]),
    );
    expect(decodeEvent(good)?.name).to.equal("Settled");
    const unknownOutcome = `0x${"63".padStart(64, "0")}${good.data.slice(66)}`;
    for (const flawed of [
      { data: "0x" },
      { data: good.data.slice(0, -64) },
      { topics: good.topics.slice(0, 2) },
      { data: unknownOutcome },
    ]) {
      expect(await codeOf(() => decodeEvent({ ...good, ...flawed }))).to.equal("EVENT_MALFORMED");
    }
  });
});
