import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../agents/cli/main.ts", import.meta.url));

/** How a call of the command line ended. */
export interface Ended {
  exit: number | null;
  stdout: string;
  stderr: string;
}

/** `surety …` in a process of its own. */
export function startSurety(
  args: readonly string[],
  { env = {}, cwd, uid }: { env?: NodeJS.ProcessEnv; cwd?: string; uid?: number } = {},
): ChildProcess {
  // Not as an option of spawn: another user may not be able to reach this Node.
  const become = `data:text/javascript,process.setgroups([]);process.setgid(${uid});process.setuid(${uid})`;
  const asUser = uid === undefined ? [] : ["--import", become];
  return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...asUser, script, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
    cwd,
  });
}

/** Runs `surety …` to its end. */
export async function surety(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<Ended> {
  return end(startSurety(args, options));
}

/** Waits until a process has ended and its output was read. */
export async function end(child: ChildProcess): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  await once(child, "close");
  return { exit: child.exitCode, stdout, stderr };
}

/** The code of the error that a call ended with, from `error CODE: …`. */
export function errorCode({ stderr }: Ended): string | undefined {
  return /^error ([A-Z_]+):/m.exec(stderr)?.[1];
}

/** The JSON object that a call with `--json` ended its output with. */
export function lastJson({ stdout }: Ended): Record<string, unknown> {
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
}
