import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { version } from "../agents/version.ts";

/** What figures were measured on. */
export interface Machine {
  processor: string;
  processors: number;
  /** GiB. */
  memory: number;
  system: string;
  /** Processes that wanted to run in the minute before: above zero, times are worth less. */
  load: number;
}

export function machine(): Machine {
  const all = cpus();
  return {
    processor: all[0]?.model.trim() ?? "unknown",
    processors: all.length,
    memory: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    system: `${platform()} ${arch()} ${release().split("-")[0]!}`,
    load: Math.round(loadavg()[0]! * 10) / 10,
  };
}

const root = fileURLToPath(new URL("..", import.meta.url));
const MEASURED_WITH = ["hardhat", "solc", "ethers", "@iexec/poco"];

/** Of the project, its commit, and what was measured with, by name. */
export function versions(): Record<string, string> {
  const installed = (name: string): string =>
    (JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")) as { version: string }).version;
  return {
    surety: version,
    commit: commit(),
    node: process.versions.node,
    ...Object.fromEntries(MEASURED_WITH.map((name) => [name, installed(name)])),
  };
}

function commit(): string {
  const git = (...args: string[]): string =>
    execFileSync("git", args, {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    // What is measured, not what is written about it.
    const changed = git("status", "--porcelain", "--", "contracts", "sdk/src", "agents", "examples") !== "";
    return `${git("rev-parse", "--short=12", "HEAD")}${changed ? ", changed" : ""}`;
  } catch {
    return "unknown";
  }
}
