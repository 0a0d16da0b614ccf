import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** Where the locks of keys lie, unless told otherwise: one place for every agent on the machine. */
export const sharedLockDirectory = join(tmpdir(), "surety-locks");

/** A lock that is held until it is released or the process ends, in whatever way. */
export interface Lock {
  release(): void;
}

/**
 * Takes the lock of a home or of a key.
 *
 * The lock is SQLite's on an empty database: the operating system drops it with the process, so that a stale lock
 * cannot exist, and SQLite knows the traps of file locks on each platform.
 *
 * @param file created if missing; never read or delete it while it may be held
 * @param what the thing that is locked, for the message
 * @returns the lock
 * @throws SuretyError `JOURNAL_LOCKED` (exit 5) if another agent has it
 * @throws SuretyError `JOURNAL_UNWRITABLE` if the file cannot be made
 */
export function takeLock(file: string, what: string): Lock {
  let database: DatabaseSync | undefined;
  try {
    openToAll(dirname(file));
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    database?.close();
    if (isBusy(cause)) {
      const holder = lockHolder(file);
      throw new SuretyError(
        "JOURNAL_LOCKED",
        `another agent${holder ? ` (process ${holder})` : ""} works with ${what}`,
        {
          details: { what, holder },
          fix: "Stop the other agent, or give this one a home and a key of its own.",
          cause,
          exit: ExitStatus.busy,
        },
      );
    }
    throw new SuretyError("JOURNAL_UNWRITABLE", `cannot lock ${what}: ${(cause as Error).message}`, {
      details: { file },
      fix: "Make the folder writable for the agent, or name another.",
      cause,
      exit: ExitStatus.unavailable,
    });
  }
  const held = database;
  writeHolder(file);
  return {
    release: () => {
      if (held.isOpen) held.close();
    },
  };
}

/** The lock of one account on one chain. `chain` names the chain so that no other has the same name. */
export function keyLockFile(directory: string, chain: string, address: string): string {
  const name = `${chain}-${address}`.toLowerCase().replaceAll(/[^0-9a-z-]/g, "_");
  return join(directory, `${name}.lock`);
}

/** The process that holds a lock now, 0 if it is not known which; undefined if none does. Changes nothing. */
export function heldBy(file: string): number | undefined {
  if (!existsSync(file)) return undefined;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec("BEGIN EXCLUSIVE; ROLLBACK");
    return undefined;
  } catch (error) {
    if (!isBusy(error)) throw error;
    return lockHolder(file) ?? 0;
  } finally {
    database?.close();
  }
}

function isBusy(error: unknown): boolean {
  const { errcode } = error as { errcode?: number };
  return errcode !== undefined && [5, 6].includes(errcode & 0xff);
}

/** Agents of several users share the folder; whoever made it must not keep the others out. */
function openToAll(directory: string): void {
  const made = mkdirSync(directory, { recursive: true });
  if (made && directory === sharedLockDirectory) chmodSync(directory, 0o1777);
}

/** Beside the lock, not in it: opening and closing the locked file would drop the lock. For messages only. */
function holderFile(file: string): string {
  return `${file}.pid`;
}

function writeHolder(file: string): void {
  try {
    writeFileSync(holderFile(file), `${process.pid}\n`);
  } catch {
    // The lock holds without it.
  }
}

/** The process that took a lock last, which may have ended since; undefined if nobody did. */
export function lockHolder(file: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(holderFile(file), "utf8"), 10) || undefined;
  } catch {
    return undefined;
  }
}
