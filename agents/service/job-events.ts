import { EventEmitter, once } from "node:events";
import { systemClock, type Clock } from "#sdk/clock.ts";
import type { Journal } from "../journal/journal.ts";
import type { Job, JobEvent, JobEventKind } from "./messages.ts";

/** Digits of a sequence number in the id of its note, so that notes come in the order of their numbers. */
const DIGITS = 9;

/**
 * What happened to the jobs of clients: numbered, in the journal, for whoever asks now or later.
 */
export class JobEvents {
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #newest = new Map<string, JobEvent | undefined>();
  readonly #news = new EventEmitter();

  constructor({ journal, clock = systemClock }: { journal: Journal; clock?: Clock }) {
    this.#journal = journal;
    this.#clock = clock;
    // One listener for each client that watches.
    this.#news.setMaxListeners(0);
  }

  /** The newest event of a job; undefined if there is none. */
  newest(ticket: string): JobEvent | undefined {
    if (!this.#newest.has(ticket)) this.#newest.set(ticket, this.after(ticket, 0).at(-1));
    return this.#newest.get(ticket);
  }

  /** The events of a job after the one with that number, oldest first. */
  after(ticket: string, sequence: number): JobEvent[] {
    const events = [...this.#journal.list(kindOf(ticket)).values()] as JobEvent[];
    return events.filter((event) => event.sequence > sequence);
  }

  /** Writes down what happened to a job: all of it or nothing. */
  append(ticket: string, kinds: readonly JobEventKind[], job: Job): void {
    if (kinds.length === 0) return;
    let sequence = this.newest(ticket)?.sequence ?? 0;
    const at = Math.floor(this.#clock.now());
    const events = kinds.map((kind): JobEvent => {
      sequence += 1;
      return { sequence, kind, at, job: { ...job, tasks: [], lastEvent: sequence } };
    });
    this.#journal.transaction(() => {
      for (const event of events)
        this.#journal.put(kindOf(ticket), String(event.sequence).padStart(DIGITS, "0"), event);
    });
    this.#newest.set(ticket, events.at(-1));
    this.#news.emit(ticket);
  }

  /** Resolves once a job has events after the one with that number; rejects when the signal aborts. */
  async wait(ticket: string, sequence: number, { signal }: { signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted();
    while ((this.newest(ticket)?.sequence ?? 0) <= sequence) await once(this.#news, ticket, { signal });
  }
}

function kindOf(ticket: string): string {
  return `client-event:${ticket}`;
}
