import type { Interface } from "ethers";

import { plainObject, type EnumNames } from "./abi-value.ts";
import { SuretyError } from "./errors.ts";
import type { RawEvent } from "./event-store.ts";

/** Where in the chain an event is. */
export type EventPlace = Omit<RawEvent, "topics" | "data">;

/** An event by its name: its arguments beside its place in the chain. */
export type DecodedLog = { name: string } & Record<string, unknown> & EventPlace;

/**
 * Makes what decodes the logs of some contracts. It goes by the events' signatures alone: give it only logs of
 * contracts you trust, as the follower does, which takes a list of addresses.
 *
 * @param enums Names of the contracts' enums; default: those of market and registry.
 * @returns a function that returns undefined for a log of another kind, and throws `EVENT_MALFORMED` for one that has a
 *   known signature and does not decode
 */
export function logDecoder(
  contracts: readonly Interface[],
  enums?: EnumNames,
): (raw: RawEvent) => DecodedLog | undefined {
  const interfaces = new Map<string, Interface>();
  for (const each of contracts) each.forEachEvent((event) => interfaces.set(event.topicHash, each));
  return ({ topics, data, ...place }) => {
    const topic = topics[0]?.toLowerCase() ?? "";
    const fragment = interfaces.get(topic)?.getEvent(topic);
    if (!fragment) return undefined;
    try {
      const values = interfaces.get(topic)!.decodeEventLog(fragment, data, topics);
      const { blockHash: entropyHash, ...rest } = plainObject(fragment.inputs, values, enums);
      // Every event has a `blockHash`, that of the block it is in; the one that some tell about is another.
      const told = entropyHash === undefined ? rest : { ...rest, entropyHash };
      return { name: fragment.name, ...told, ...place };
    } catch (cause) {
      throw new SuretyError(
        "EVENT_MALFORMED",
        `log ${place.logIndex} of block ${place.blockNumber} is no valid ${fragment.name}`,
        {
          details: { blockNumber: place.blockNumber, logIndex: place.logIndex, event: fragment.name },
          fix: "Ask another node: this one does not give logs as the contracts wrote them.",
          cause,
        },
      );
    }
  };
}
