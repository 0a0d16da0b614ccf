import type { JobRequest, Ruling } from "#sdk/request-terms.ts";
import type { Journal } from "../journal/journal.ts";
import type { RequestAnswer } from "./request-answer.ts";

/** Journal's name of the notes about requests of one's own. */
const KIND = "request";

/** A request of one's own, as the journal keeps it. */
export interface OwnRequest {
  id: string;
  request: JobRequest;
  /** What opens the input, 32 bytes, hexadecimal; missing where the input is for everybody. */
  key?: string;
  /** Test data that are shown once everybody has committed. */
  testData?: { digest: string; salt: string };
  /** Lists of keys that were granted, and for whom. */
  grants: { content: string; nodes: string[] }[];
  /** What its requester would rule. */
  judged?: Ruling;
  /** How it ended, and what came of it. */
  answer?: RequestAnswer;
}

/** The requests of an account, in its journal. */
export class OwnRequests {
  readonly #journal: Journal;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** All, oldest first. */
  get all(): OwnRequest[] {
    return [...this.#journal.list(KIND).values()] as OwnRequest[];
  }

  /** One; undefined if there is none. */
  find(id: string): OwnRequest | undefined {
    return this.#journal.get(KIND, id) as OwnRequest | undefined;
  }

  save(own: OwnRequest): void {
    this.#journal.put(KIND, own.id, own);
  }

  /** Forgets a request that was never posted. */
  remove(id: string): void {
    this.#journal.delete(KIND, id);
  }
}
