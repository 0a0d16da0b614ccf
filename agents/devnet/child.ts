import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";

/** A running agent. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  /** Where its standard output and standard error go. */
  readonly log: string;
  /** Resolves when it has ended, with how: a status or the name of a signal. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** SIGTERM and, if it has not ended then, SIGKILL after `graceMs`. */
  stop(graceMs: number): Promise<void>;
  /** Sends a signal and waits for nothing. */
  kill(signal: NodeJS.Signals): void;
}

/** Young objects may take 1 MiB, not 16 that an agent at rest would slowly fill: 30 MB less, and no slower. */
const NODE_OPTIONS = ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=1"];

/**
 * Starts a script of this project in a process of its own, with a channel: when this process ends, in whatever way,
 * the channel closes and the child, told so, ends too.
 *
 * @param log File its output is appended to.
 */
export async function startChild(name: string, script: string, args: readonly string[], log: string): Promise<Child> {
  const file = await open(log, "a");
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...NODE_OPTIONS, script, ...args], {
      stdio: ["ignore", file.fd, file.fd, "ipc"],
    });
    await once(child, "spawn");
  } finally {
    await file.close();
  }
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "SIGKILL"));
  });
  return {
    name,
    pid: child.pid as number,
    log,
    ended,
    kill: (signal) => void child.kill(signal),
    stop: async (graceMs) => {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await ended;
      clearTimeout(timer);
    },
  };
}
