import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { EventTable } from "./event-table.ts";
import { IntentTable } from "./intent-table.ts";
import { keyLockFile, sharedLockDirectory, takeLock, type Lock } from "./lock.ts";
import { decode, encode } from "./record.ts";
import { migrate } from "./schema.ts";

/** Of Unicode, and so of every id. */
const LAST_CHARACTER = "\u{10ffff}";

/** Whose journal to open. */
export interface JournalOptions {
  /** The agent's folder; made if missing. */
  home: string;
  /** The account that sends with this journal; two agents must never send with one. */
  key?: {
    address: string;
    /** Names the chain so that no other has the same name, e.g. chain id and hash of block 0. */
    chain: string;
  };
  /** Where keys are locked. Default: {@link sharedLockDirectory}. */
  lockDirectory?: string;
}

/**
 * What an agent must not forget: the events it saw, the transactions it means to send, and its own notes. Whatever
 * was written is on the disk when the call returns, and survives `kill -9` and loss of power, but for what
 * {@link Journal.putSoon} writes.
 *
 * @example
 * ```ts
 * const journal = Journal.open({ home, key: { address, chain: `${chainId}:${genesisHash}` } });
 * journal.transaction(() => {
 *   journal.put("assignment", "12:3", { state: "running" });
 * });
 * journal.close();
 * ```
 */
export class Journal {
  /** The follower's part. */
  readonly events: EventTable;
  /** The sender's part. */
  readonly intents: IntentTable;
  readonly #database: DatabaseSync;
  readonly #locks: Lock[];

  private constructor(database: DatabaseSync, locks: Lock[]) {
    this.#database = database;
    this.#locks = locks;
    this.events = new EventTable(this, database);
    this.intents = new IntentTable(this, database);
  }

  /**
   * Opens the journal in a home, after locking the home and the key.
   *
   * @throws SuretyError `JOURNAL_LOCKED` (exit 5) if another agent works with the home or the key
   * @throws SuretyError `JOURNAL_VERSION` if a newer program wrote it
   * @throws SuretyError `JOURNAL_INVALID` if the file is something else or damaged
   * @throws SuretyError `JOURNAL_UNWRITABLE` if the folder or the file cannot be written
   */
  static open(options: JournalOptions): Journal {
    const { home, key, lockDirectory = sharedLockDirectory } = options;
    const locks: Lock[] = [];
    let database: DatabaseSync | undefined;
    try {
      mkdirSync(home, { recursive: true, mode: 0o700 });
      locks.push(takeLock(join(home, "journal.lock"), `home ${home}`));
      if (key) locks.push(takeLock(keyLockFile(lockDirectory, key.chain, key.address), `key ${key.address}`));
      database = new DatabaseSync(join(home, "journal.sqlite"), { timeout: 5_000 });
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
      migrate(database);
      return new Journal(database, locks);
    } catch (error) {
      database?.close();
      for (const lock of locks) lock.release();
      throw explained(error);
    }
  }

  /**
   * Does all of `work` or, if it throws, nothing. Inside another transaction it becomes part of that one.
   *
   * @param work must be synchronous: what is awaited would be outside
   * @throws what `work` throws
   * @throws SuretyError `JOURNAL_UNWRITABLE` (retryable) if the disk is full or fails; nothing was written
   */
  transaction<T>(work: () => T): T {
    if (this.#database.isTransaction) return work();
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      const result = work();
      if (result instanceof Promise) {
        // Its outcome is of no interest any more, and must not become an unhandled rejection.
        result.catch(() => undefined);
        throw new TypeError("a transaction cannot wait");
      }
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      // SQLite has rolled back by itself where the disk failed.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw explained(error);
    }
  }

  /** The note of that kind and id; undefined if there is none. */
  get(kind: string, id: string): unknown {
    const row = this.#database.prepare("SELECT json FROM records WHERE kind = ? AND id = ?").get(kind, id);
    return row && decode(String(row.json));
  }

  /** Writes a note, over the one that was there. Bigints may be in it; undefined, dates and functions may not. */
  put(kind: string, id: string, value: unknown): void {
    this.transaction(() =>
      this.#database
        .prepare(
          `INSERT INTO records (kind, id, json) VALUES (?, ?, ?)
           ON CONFLICT (kind, id) DO UPDATE SET json = excluded.json`,
        )
        .run(kind, id, encode(value)),
    );
  }

  /**
   * Writes a note as {@link Journal.put} does, but does not wait for the disk: `kill -9` leaves it, a loss of power may
   * take it and what was noted so after it. What is put later is on the disk only when this is, too. For what can be
   * found out again, and is noted often.
   */
  putSoon(kind: string, id: string, value: unknown): void {
    if (this.#database.isTransaction) return this.put(kind, id, value);
    this.#database.exec("PRAGMA synchronous = NORMAL");
    try {
      this.put(kind, id, value);
    } finally {
      this.#database.exec("PRAGMA synchronous = FULL");
    }
  }

  /** Forgets a note, if it is there. */
  delete(kind: string, id: string): void {
    this.transaction(() => this.#database.prepare("DELETE FROM records WHERE kind = ? AND id = ?").run(kind, id));
  }

  /** All notes of a kind, by id; or those whose ids begin with a prefix. */
  list(kind: string, { prefix = "" }: { prefix?: string } = {}): Map<string, unknown> {
    const rows = this.#database
      .prepare("SELECT id, json FROM records WHERE kind = ? AND id >= ? AND id < ? ORDER BY id")
      .all(kind, prefix, `${prefix}${LAST_CHARACTER}`);
    return new Map(rows.map((row) => [String(row.id), decode(String(row.json))]));
  }

  /** Closes the file and releases the locks. Nothing may be called afterwards; closing again does nothing. */
  close(): void {
    if (this.#database.isOpen) this.#database.close();
    for (const lock of this.#locks.splice(0)) lock.release();
  }
}

/** SQLite's result codes (https://sqlite.org/rescode.html) in the agent's terms. */
function explained(error: unknown): unknown {
  if (error instanceof SuretyError) return error;
  const { errcode, code, message } = error as { errcode?: number; code?: string; message?: string };
  const primary = errcode === undefined ? undefined : errcode & 0xff;
  const unwritable = [8, 10, 13, 14].includes(primary ?? -1);
  if (unwritable || ["EACCES", "EROFS", "ENOSPC", "ENOTDIR", "EEXIST", "EPERM"].includes(code ?? "")) {
    return new SuretyError("JOURNAL_UNWRITABLE", `the journal cannot be written: ${message}`, {
      details: { sqlite: primary },
      fix: "See that the disk has room and that the agent may write to its home.",
      cause: error,
      kind: "retryable",
      exit: ExitStatus.unavailable,
    });
  }
  if (primary === 11 || primary === 26) {
    return new SuretyError("JOURNAL_INVALID", `the journal is damaged or something else: ${message}`, {
      details: { sqlite: primary },
      fix: "Put back a copy of it, or move it away and let the agent read the chain anew.",
      cause: error,
      exit: ExitStatus.badInput,
    });
  }
  return error;
}
