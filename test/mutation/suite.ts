import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Project } from "./project.ts";
import type { Message, Request } from "./worker.ts";

/** The fixture that most tests begin from: the tracing run tells of it as of a test. */
export const BASE = "deployMarket";

/** How long nothing may be heard before the run counts as hanging. */
const SILENCE_MS = 600_000;
/** A process that ran so many times is replaced, since chains keep their past in memory. */
const RUNS_PER_PROCESS = 150;

export interface Told {
  title: string;
  milliseconds: number;
  failure?: string;
  reached?: string[];
}

/** How a run of tests ended. */
export interface Run {
  told: Told[];
  /** Whether it hung or its process died. */
  hung: boolean;
}

/** The tests of a project in a long-lived process, which is started when it is needed and again after it hung. */
export class Suite {
  readonly #project: Project;
  readonly #tracing: boolean;
  #process: ChildProcess | undefined;
  #runs = 0;

  constructor(project: Project, tracing: boolean) {
    this.#project = project;
    this.#tracing = tracing;
  }

  /** Runs the tests and says how each ended. */
  async run(request: Omit<Request, "tracing">, onTest?: (told: Told) => void): Promise<Run> {
    const worker = (this.#process ??= await this.#start());
    const told: Told[] = [];
    this.#runs += 1;
    const hung = await new Promise<boolean>((resolve) => {
      let timer = setTimeout(() => end(true), SILENCE_MS);
      const hear = (message: Message): void => {
        clearTimeout(timer);
        timer = setTimeout(() => end(true), SILENCE_MS);
        if (message.kind === "test") {
          told.push(message);
          onTest?.(message);
        }
        if (message.kind === "done") end(false);
      };
      const die = (): void => end(true);
      const end = (silent: boolean): void => {
        clearTimeout(timer);
        worker.off("message", hear);
        worker.off("exit", die);
        resolve(silent);
      };
      worker.on("message", hear);
      worker.on("exit", die);
      worker.send({ ...request, tracing: this.#tracing });
    });
    // A test that ran out of time goes on behind the next one's back.
    const timedOut = told.some(({ failure }) => failure?.startsWith("Timeout of") === true);
    if (hung || timedOut || this.#runs >= RUNS_PER_PROCESS) this.stop();
    return { told, hung };
  }

  stop(): void {
    this.#process?.kill("SIGKILL");
    this.#process = undefined;
    this.#runs = 0;
  }

  async #start(): Promise<ChildProcess> {
    const { folder, tests } = this.#project;
    const fixture = join(folder, "test/contracts/market-fixture.ts");
    const worker = fork(
      fileURLToPath(new URL("worker.ts", import.meta.url)),
      [this.#tracing ? "tracing" : "plain", fixture, ...tests],
      {
        cwd: folder,
        execArgv: ["--disable-warning=ExperimentalWarning", "--max-old-space-size=3000"],
        stdio: ["ignore", "ignore", "inherit", "ipc"],
        env: { ...process.env, HARDHAT_DISABLE_TELEMETRY_PROMPT: "true" },
      },
    );
    await new Promise<void>((resolve, reject) => {
      worker.once("message", () => resolve());
      worker.once("exit", (code) => reject(new Error(`the tests could not be loaded: exit status ${code}`)));
    });
    return worker;
  }
}
