import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../agents/cli/main.ts", import.meta.url));

/** Seconds: far beyond what anything takes, on the slowest machine. */
const PATIENCE = 300;

/** Somebody who types at `surety console`, and reads what it prints. */
export class TypingConsole {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<unknown>;
  /** All that was printed, standard error included. */
  text = "";
  /** Up to where it was read. */
  #read = 0;

  constructor(args: readonly string[] = [], { cwd }: { cwd?: string } = {}) {
    this.#child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script, "console", ...args], {
      cwd,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (this.text += text));
    }
    this.#closed = once(this.#child, "close");
  }

  type(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /**
   * Types a line and waits for what it prints.
   *
   * @returns what matched, with its groups
   * @throws Error with all that was printed if it ends before, or after `seconds`
   */
  async ask(line: string, answer: RegExp, seconds = PATIENCE): Promise<RegExpExecArray> {
    this.type(line);
    return this.read(answer, seconds);
  }

  /** Waits for something to be printed after what was read before. */
  async read(answer: RegExp, seconds = PATIENCE): Promise<RegExpExecArray> {
    const ended = this.#closed.then(() => true);
    for (let wait = 0; wait < seconds * 10; wait += 1) {
      const found = answer.exec(this.text.slice(this.#read));
      if (found) {
        this.#read += found.index + found[0].length;
        return found;
      }
      const pause = new Promise<false>((resolve) => setTimeout(() => resolve(false), 100));
      if (await Promise.race([ended, pause])) break;
    }
    throw new Error(`nothing like ${answer} came of\n${this.text}`);
  }

  /** Ends the input and waits for its exit status. */
  async end(): Promise<number | null> {
    this.#child.stdin.end();
    await this.#closed;
    return this.#child.exitCode;
  }

  /** Kills it as a power cut would. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}
