import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { ParticipantConfig } from "../config.ts";
import { REQUEST_KEYS } from "./request-text.ts";
import { ConsoleSession } from "./session.ts";

/** How a console is run. */
export interface ConsoleSettings {
  /** The configuration that address books are used with. */
  config?: ParticipantConfig;
  /** What to connect to before the first line. */
  network?: string;
  /** File that lines are remembered in. Default: nowhere. */
  history?: string;
  input: Readable;
  output: Writable;
  /** Whether a person sits there: lines can be edited, and errors end nothing. */
  isTerminal: boolean;
  /** Prints an error. */
  complain: (error: unknown) => void;
  signal: AbortSignal;
}

const MAX_HISTORY = 500;

/** What can be typed, and what help says of it. */
const COMMANDS: Record<string, string> = {
  connect: "connect <devnet folder, configuration, address book, or name of one>",
  registerJob: "registerJob job_schema.proto worker.<wasm|ts> evaluator.<wasm|ts>, or registerJob <package folder>",
  releaseJob:
    "releaseJob <job> job_schema.proto worker.<wasm|ts> evaluator.<wasm|ts>, or releaseJob <job> <package folder>",
  jobs: "jobs: all that are registered",
  stats: "stats <job>: who takes part in it",
  wait: "wait [job] [evaluators] [workers]: until so many take part, or nobody new comes; so does a line like .. this ..",
  requestJob: "requestJob {job_id: 0x…, job_input: {y: 4}, reward: [10, 10], time_limit: 3000}",
  requests: "requests: those that have not ended",
  result: "result <request>: waits for it, and says what came of it",
  account: "account: whose it is, and what it has",
  help: "help [command]",
  exit: "exit",
};

const REQUEST_HELP = `requestJob {job_id: 0x…, job_input: {y: 4}, reward: [10, 10], time_limit: 3000}
  job_id            the job; the beginning of its id is enough
  job_input         the worker's message
  reward            tokens: [evaluator, first, second, …], or {function: even, evaluator: 1, workers: 10}; functions are
                    even, winner-takes-all, by-rank, by-score, and list with list: [6, 4]
  time_limit        to compute, milliseconds; what is too short for the chain is raised
  evaluator_node    who may evaluate, a list of addresses; default: any evaluator
  worker_node       who may work, a list of addresses; default: any worker
  skip_evaluation   true: all of worker_node are trusted, and share evenly what reward: [0, 10] gives
  min_workers, max_workers       fewest to begin with, 1; most that may accept, 12
  accept_window, step_window     milliseconds to accept, and for each later step; default: what the chain takes
  deposit, challenge_fee         tokens; default: the job's
  visibility        sealed, for those who take part only, or open
  test_data         a folder that the evaluator sees once everybody has committed to a result
  root              whose tree is trusted; default: who registered the job`;

/**
 * A console on a terminal or a pipe: reads lines and does what they say, one after the other, until `exit`, the end of
 * the input, or the signal.
 *
 * @returns how many lines failed
 */
export async function runConsole(settings: ConsoleSettings): Promise<number> {
  const { input, output, isTerminal, history, signal, complain, network, config } = settings;
  const remembered = history === undefined ? [] : readHistory(history);
  const say = (line: string): void => void output.write(`${printable(line)}\n`);
  const session = new ConsoleSession({ signal, say, ...(config ? { config } : {}) });
  const lines = createInterface({
    ...{ input, output: isTerminal ? output : undefined, terminal: isTerminal, history: remembered },
    ...{ historySize: MAX_HISTORY, removeHistoryDuplicates: true },
    completer: (line: string) => completions(line, session),
  });
  // From now on, or what is piped in while the first network is connected to would be lost.
  const typed = lines[Symbol.asyncIterator]();
  if (history !== undefined) lines.on("history", (all: string[]) => writeHistory(history, all));
  const prompt = (): string => (session.network === undefined ? "$ " : `${session.network}> `);
  const console = new Console({ session, lines, say, signal });
  // Who edits lines gets no signal of the process.
  lines.on("SIGINT", () => console.interrupt());
  let failures = 0;
  const attempt = async (line: string): Promise<boolean> => {
    try {
      return await console.do(line);
    } catch (error) {
      if (signal.aborted) return false;
      failures += 1;
      complain(error);
      return true;
    }
  };
  const abort = (): void => lines.close();
  signal.addEventListener("abort", abort, { once: true });
  try {
    if (network !== undefined && !(await attempt(`connect ${quoted(network)}`))) return failures;
    lines.setPrompt(prompt());
    if (isTerminal) lines.prompt();
    for await (const line of typed) {
      // So that what a pipe leaves behind reads as what a terminal shows.
      if (!isTerminal) say(`${prompt()}${line}`);
      if (!(await attempt(line)) || signal.aborted) break;
      lines.setPrompt(prompt());
      if (isTerminal) lines.prompt();
    }
  } finally {
    signal.removeEventListener("abort", abort);
    lines.close();
    await session.close();
  }
  return failures;
}

/** What each command does. */
class Console {
  readonly #session: ConsoleSession;
  readonly #lines: Interface;
  readonly #say: (line: string) => void;
  readonly #signal: AbortSignal;
  /** Ends the waiting that goes on. */
  #interrupt: (() => void) | undefined;

  constructor({
    session,
    lines,
    say,
    signal,
  }: {
    session: ConsoleSession;
    lines: Interface;
    say: (line: string) => void;
    signal: AbortSignal;
  }) {
    this.#session = session;
    this.#lines = lines;
    this.#say = say;
    this.#signal = signal;
  }

  /** @returns whether to go on */
  async do(line: string): Promise<boolean> {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) return true;
    if (text.startsWith("..")) {
      await this.#interruptible((signal) => this.#session.wait(undefined, {}, { signal }));
      return true;
    }
    const [command = "", ...words] = wordsOf(text);
    const [first] = words;
    switch (command) {
      case "connect":
        await this.#session.connect(needed(first, command));
        return true;
      case "registerJob":
        await this.#session.register(words);
        return true;
      case "releaseJob":
        await this.#session.release(needed(first, command), words.slice(1));
        return true;
      case "jobs":
        this.#session.listJobs();
        return true;
      case "stats":
        this.#session.stats(needed(first, command));
        return true;
      case "wait": {
        const [job, evaluators, workers] =
          /^\d/.test(first ?? "") && !first!.startsWith("0x") ? [undefined, ...words] : words;
        const wanted = { ...countFrom("evaluators", evaluators), ...countFrom("workers", workers) };
        await this.#interruptible((signal) => this.#session.wait(job, wanted, { signal }));
        return true;
      }
      case "requestJob": {
        const typed = text.slice(command.length);
        await this.#interruptible((signal) => this.#session.request(typed, { signal }));
        return true;
      }
      case "requests":
        this.#session.requests();
        return true;
      case "result":
        await this.#interruptible((signal) => this.#session.result(needed(first, command), { signal }));
        return true;
      case "account":
        await this.#session.account();
        return true;
      case "help":
        this.#say(
          first === "requestJob" ? REQUEST_HELP : (COMMANDS[first ?? ""] ?? Object.values(COMMANDS).join("\n")),
        );
        return true;
      case "exit":
      case "quit":
        return false;
      default:
        throw new SuretyError(
          "CONSOLE_COMMAND_UNKNOWN",
          `there is no command ${JSON.stringify(command.slice(0, 40))}`,
          {
            fix: `There are ${Object.keys(COMMANDS).join(", ")}.`,
            exit: ExitStatus.badInput,
          },
        );
    }
  }

  /** Ctrl-C: ends the waiting, if somebody waits, and else the console. */
  interrupt(): void {
    if (this.#interrupt) this.#interrupt();
    else this.#lines.close();
  }

  async #interruptible(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const interrupted = new AbortController();
    this.#interrupt = () =>
      interrupted.abort(
        new SuretyError("CONSOLE_INTERRUPTED", "stopped waiting; it goes on by itself", { fix: "See requests." }),
      );
    try {
      await work(AbortSignal.any([this.#signal, interrupted.signal]));
    } finally {
      this.#interrupt = undefined;
    }
  }
}

/** The words of a line: what is in quotes is one. */
function wordsOf(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, plain]) => double ?? single ?? plain!,
  );
}

function quoted(word: string): string {
  return word.includes('"') ? `'${word}'` : `"${word}"`;
}

function needed(word: string | undefined, command: string): string {
  if (word !== undefined) return word;
  throw new SuretyError("CONSOLE_USAGE", `${command} needs something to be about`, {
    fix: COMMANDS[command]!,
    exit: ExitStatus.badInput,
  });
}

function countFrom(name: "evaluators" | "workers", word: string | undefined): Partial<Record<typeof name, number>> {
  if (word === undefined) return {};
  if (/^\d{1,4}$/.test(word)) return { [name]: Number(word) };
  throw new SuretyError("CONSOLE_USAGE", `${JSON.stringify(word.slice(0, 40))} is no number of ${name}`, {
    fix: COMMANDS["wait"]!,
    exit: ExitStatus.badInput,
  });
}

function completions(line: string, session: ConsoleSession): [string[], string] {
  const word = /[^\s{,[:]*$/.exec(line)![0];
  const isFirst = line.trimStart() === word;
  const known = isFirst
    ? Object.keys(COMMANDS).map((each) => `${each} `)
    : [...session.jobs, ...(line.includes("{") ? REQUEST_KEYS.map((key) => `${key}: `) : [])];
  return [known.filter((each) => each.startsWith(word)), word];
}

function readHistory(file: string): string[] {
  try {
    // Newest first, as readline has it.
    return readFileSync(file, "utf8").split("\n").filter(Boolean).slice(-MAX_HISTORY).reverse();
  } catch {
    return [];
  }
}

/** A console that cannot remember is still a console. */
function writeHistory(file: string, newestFirst: readonly string[]): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${newestFirst.toReversed().join("\n")}\n`, { mode: 0o600 });
  } catch {
    // Next time.
  }
}

/** What strangers' programs say may carry escapes that a terminal obeys. */
function printable(text: string): string {
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "?");
}
