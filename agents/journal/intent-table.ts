import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import type { Journal } from "./journal.ts";
import { decode, encode } from "./record.ts";

/**
 * How far a transaction has come.
 *
 * - `planned`: wanted, nothing signed
 * - `signed`: a signed transaction is in the journal, maybe nobody else has it
 * - `sent`: a node took it
 * - `mined`: it is in a block that a reorganisation may still remove
 * - `final`: it is in a final block and succeeded
 * - `failed`: it will never succeed; see {@link Intent.failure}
 */
export type IntentStatus = "planned" | "signed" | "sent" | "mined" | "final" | "failed";

/** One signed version of an intent's transaction: a bump makes another with the same nonce. */
export interface Attempt {
  /** Of the signed transaction, 32 bytes, hex. */
  hash: string;
  /** The signed transaction, hex. */
  raw: string;
  /** `cancel` is an empty transfer to oneself, which frees a nonce whose call came too late. */
  purpose: "call" | "cancel";
  nonce: number;
  /** Wei per gas. */
  maxFeePerGas: bigint;
  maxPriorityFeePerGas: bigint;
  /** The head's number when it was signed. */
  signedAt: number;
}

/** Where an intent's transaction was mined. */
export interface Inclusion {
  hash: string;
  blockNumber: number;
  blockHash: string;
  succeeded: boolean;
  gasUsed: bigint;
  /** Wei per gas that was paid. */
  gasPrice: bigint;
  purpose: Attempt["purpose"];
}

/** Why an intent failed, or would if the block stays. */
export interface IntentFailure {
  /** `CALL_REVERTED`, `DEADLINE_PASSED` or `SENDER_UNFUNDED`. */
  code: string;
  message: string;
  /** The contract's error, if it could be decoded. */
  errorName?: string;
  args?: Record<string, string>;
}

/** Why a node did not take a transaction. */
export interface BroadcastTrouble {
  /** `underpriced`: another has the nonce, or the base fee is higher; `unfunded`: the account has too little. */
  kind: "underpriced" | "unfunded" | "other";
  message: string;
}

/** A transaction that the agent wants, from the wish to its final block. */
export interface Intent {
  /** What it is for, unique for the account: `claim:12:3`. */
  key: string;
  /** The sender, EIP-55. */
  account: string;
  to: string;
  data: string;
  /** Wei. */
  value: bigint;
  status: IntentStatus;
  /** Units of gas; undefined until estimated. */
  gas?: bigint;
  /** Unix seconds of chain time from which on the call is of no use. */
  deadline?: number;
  /** Set with the first signature. */
  nonce?: number;
  /** The newest last. Those of a nonce that another transaction took are in {@link Intent.dead}. */
  attempts: Attempt[];
  /** Attempts that can never be mined any more, as a final block holds a transaction with their nonce. */
  dead: Attempt[];
  inclusion?: Inclusion;
  /** Where it was mined before and the contract refused it, each in a final block; its attempts are in {@link Intent.dead}. */
  reverted?: Inclusion[];
  failure?: IntentFailure;
  /** What the last broadcast was answered, if the node did not take it. */
  trouble?: BroadcastTrouble;
}

/** The intents in an agent's {@link Journal}. */
export class IntentTable {
  readonly #journal: Journal;
  readonly #database: DatabaseSync;

  constructor(journal: Journal, database: DatabaseSync) {
    this.#journal = journal;
    this.#database = database;
  }

  /** The intent of that account and purpose, if there is one. */
  get(account: string, key: string): Intent | undefined {
    const statement = "SELECT json FROM intents WHERE account = ? AND key = ?";
    return intentOf(this.#database.prepare(statement).get(account, key));
  }

  /** Those neither final nor failed, lowest nonce first, planned ones last and in the order of their planning. */
  open(account: string): Intent[] {
    return this.#database
      .prepare(
        `SELECT json FROM intents WHERE account = ? AND status NOT IN ('final', 'failed')
         ORDER BY nonce IS NULL, nonce, id`,
      )
      .all(account)
      .map((row) => intentOf(row) as Intent);
  }

  /** Adds the intent or replaces the one of the same account and key. */
  put(intent: Intent): void {
    this.#journal.transaction(() =>
      this.#database
        .prepare(
          `INSERT INTO intents (account, key, status, nonce, json) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (account, key) DO UPDATE SET status = excluded.status, nonce = excluded.nonce, json = excluded.json`,
        )
        .run(intent.account, intent.key, intent.status, intent.nonce ?? null, encode(intent)),
    );
  }

  /** The lowest nonce above all that this journal has signed for; 0 if there is none. */
  nextNonce(account: string): number {
    const row = this.#database.prepare("SELECT max(nonce) AS nonce FROM intents WHERE account = ?").get(account);
    return row?.nonce == null ? 0 : Number(row.nonce) + 1;
  }
}

function intentOf(row: Record<string, SQLOutputValue> | undefined): Intent | undefined {
  return row && (decode(String(row.json)) as Intent);
}
