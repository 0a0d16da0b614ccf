import { readFileSync } from "node:fs";

/** What a process has used, as Linux tells. */
export interface ProcessUse {
  /** Of all its threads, user and system, seconds. */
  cpu: number;
  /** Resident memory now and at most, MiB. */
  memory: number;
  peakMemory: number;
}

/** Ticks of a second in `/proc`: what every Linux answers to `getconf CLK_TCK`. */
const TICKS = 100;

/**
 * @returns undefined if there is no such process, or no `/proc`
 */
export function useOf(pid: number): ProcessUse | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    // The name is in parentheses and may have blanks in it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const kibibytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
    return {
      cpu: (Number(fields[11]) + Number(fields[12])) / TICKS,
      memory: kibibytes("VmRSS") / 1024,
      peakMemory: kibibytes("VmHWM") / 1024,
    };
  } catch {
    return undefined;
  }
}
