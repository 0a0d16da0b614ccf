import type { DatabaseSync } from "node:sqlite";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** Marks the file as a journal of this project: "Srty". */
export const APPLICATION_ID = 0x53727479;

/**
 * What turned each version into the next; the first makes version 1 out of nothing. Never change an entry that was
 * released, add one.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE event_origin (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    json TEXT NOT NULL,
    final_number INTEGER NOT NULL DEFAULT -1
  ) STRICT;

  CREATE TABLE blocks (
    number INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    parent_hash TEXT NOT NULL,
    timestamp INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE events (
    block_number INTEGER NOT NULL,
    log_index INTEGER NOT NULL,
    block_hash TEXT NOT NULL,
    transaction_hash TEXT NOT NULL,
    address TEXT NOT NULL,
    topics TEXT NOT NULL,
    data TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (block_hash, log_index)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX events_in_order ON events (block_number, log_index);

  CREATE TABLE intents (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('planned', 'signed', 'sent', 'mined', 'final', 'failed')),
    nonce INTEGER,
    json TEXT NOT NULL,
    UNIQUE (account, key)
  ) STRICT;
  CREATE UNIQUE INDEX intents_by_nonce ON intents (account, nonce) WHERE nonce IS NOT NULL;
  CREATE INDEX intents_open ON intents (account, status) WHERE status NOT IN ('final', 'failed');

  CREATE TABLE records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (kind, id)
  ) STRICT, WITHOUT ROWID;
  `,
];

/**
 * Brings a journal to the newest version, in one transaction.
 *
 * @param steps {@link migrations}
 * @throws SuretyError `JOURNAL_VERSION` if a newer program wrote it
 * @throws SuretyError `JOURNAL_INVALID` if it is the database of another program
 */
export function migrate(database: DatabaseSync, steps: readonly string[] = migrations): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = pragma(database, "user_version");
    const application = pragma(database, "application_id");
    const { tables } = database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get() as { tables: number };
    if (application !== APPLICATION_ID && (application !== 0 || version !== 0 || tables > 0)) {
      throw new SuretyError("JOURNAL_INVALID", "the file is a database, but not an agent's journal", {
        details: { application, version, tables },
        fix: "Move the file away, or use another home.",
        exit: ExitStatus.badInput,
      });
    }
    if (version > steps.length) {
      throw new SuretyError(
        "JOURNAL_VERSION",
        `the journal has version ${version}, this program knows ${steps.length}`,
        {
          details: { actual: version, expected: steps.length },
          fix: "Use the newer program that wrote it.",
          exit: ExitStatus.badInput,
        },
      );
    }
    for (const step of steps.slice(version)) database.exec(step);
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${steps.length}`);
    database.exec("COMMIT");
  } catch (error) {
    // SQLite has rolled back by itself where the disk failed.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() as Record<string, unknown>)[0]);
}
