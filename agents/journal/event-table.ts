import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import {
  outOfOrder,
  type BlockRef,
  type EventCursor,
  type EventOrigin,
  type EventStore,
  type RawEvent,
} from "#sdk/event-store.ts";
import type { Journal } from "./journal.ts";

type Row = Record<string, SQLOutputValue>;

const BLOCK = "number, hash, parent_hash AS parentHash, timestamp";
const EVENT = `block_number AS blockNumber, log_index AS logIndex, block_hash AS blockHash,
  transaction_hash AS transactionHash, address, topics, data, timestamp`;

/** The follower's journal in an agent's {@link Journal}. */
export class EventTable implements EventStore {
  readonly #journal: Journal;
  readonly #database: DatabaseSync;

  constructor(journal: Journal, database: DatabaseSync) {
    this.#journal = journal;
    this.#database = database;
  }

  origin(): EventOrigin | undefined {
    const row = this.#database.prepare("SELECT json FROM event_origin").get();
    return row && (JSON.parse(String(row.json)) as EventOrigin);
  }

  begin(origin: EventOrigin): void {
    this.#journal.transaction(() =>
      this.#database.prepare("INSERT INTO event_origin (id, json) VALUES (1, ?)").run(JSON.stringify(origin)),
    );
  }

  newest(): BlockRef | undefined {
    return blockOf(this.#database.prepare(`SELECT ${BLOCK} FROM blocks ORDER BY number DESC LIMIT 1`).get());
  }

  previous(number: number): BlockRef | undefined {
    const statement = `SELECT ${BLOCK} FROM blocks WHERE number < ? ORDER BY number DESC LIMIT 1`;
    return blockOf(this.#database.prepare(statement).get(number));
  }

  finalNumber(): number {
    return Number(this.#database.prepare("SELECT final_number FROM event_origin").get()?.final_number ?? -1);
  }

  append(block: BlockRef, events: readonly RawEvent[], finalNumber: number): void {
    this.#journal.transaction(() => {
      const newest = this.newest();
      if (newest && block.number <= newest.number) throw outOfOrder(block, newest);
      this.#database
        .prepare("INSERT INTO blocks (number, hash, parent_hash, timestamp) VALUES (?, ?, ?, ?)")
        .run(block.number, block.hash, block.parentHash, block.timestamp);
      const insert = this.#database.prepare(
        `INSERT INTO events (block_number, log_index, block_hash, transaction_hash, address, topics, data, timestamp)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (block_hash, log_index) DO NOTHING`,
      );
      for (const event of events) {
        const { blockNumber, logIndex, blockHash, transactionHash, address, topics, data, timestamp } = event;
        insert.run(blockNumber, logIndex, blockHash, transactionHash, address, topics.join(), data, timestamp);
      }
      this.#database.prepare("UPDATE event_origin SET final_number = max(final_number, ?)").run(finalNumber);
    });
  }

  rewind(number: number): void {
    this.#journal.transaction(() => {
      this.#database.prepare("DELETE FROM events WHERE block_number > ?").run(number);
      this.#database.prepare("DELETE FROM blocks WHERE number > ?").run(number);
    });
  }

  events({ after, limit = -1 }: { after?: EventCursor; limit?: number } = {}): RawEvent[] {
    const { blockNumber, logIndex } = after ?? { blockNumber: -1, logIndex: -1 };
    return this.#database
      .prepare(
        `SELECT ${EVENT} FROM events WHERE (block_number, log_index) > (?, ?)
         ORDER BY block_number, log_index LIMIT ?`,
      )
      .all(blockNumber, Math.min(logIndex, Number.MAX_SAFE_INTEGER), limit)
      .map(eventOf);
  }
}

function blockOf(row: Row | undefined): BlockRef | undefined {
  return row && ({ ...row } as unknown as BlockRef);
}

function eventOf(row: Row): RawEvent {
  const topics = String(row.topics);
  return { ...row, topics: topics === "" ? [] : topics.split(",") } as unknown as RawEvent;
}
