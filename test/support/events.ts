import type { BlockRef, RawEvent } from "#sdk/event-store.ts";

const word = (value: number): string => `0x${value.toString(16).padStart(64, "0")}`;

/** A block whose hash tells its number and the branch it is on. */
export function blockOn(branch: number, number: number): BlockRef {
  return {
    number,
    hash: word(branch * 1_000_000 + number),
    parentHash: word(branch * 1_000_000 + number - 1),
    timestamp: 1_700_000_000 + number,
  };
}

/** A log in that block. */
export function eventIn(block: BlockRef, logIndex: number): RawEvent {
  return {
    blockNumber: block.number,
    blockHash: block.hash,
    transactionHash: word(logIndex),
    logIndex,
    address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    topics: logIndex === 0 ? [] : [word(1), word(2)],
    data: `0x${"ab".repeat(logIndex)}`,
    timestamp: block.timestamp,
  };
}
