import type { Devnet } from "../agents/devnet/devnet.ts";
import { useOf } from "./process.ts";

/** Of all compute nodes together, and of the requester's agent. */
export interface ByAgent {
  nodes: number;
  requester: number;
}

/** CPU seconds that a devnet's agents have used so far; undefined where the system does not tell. */
export function cpuOf({ agents }: Devnet): ByAgent | undefined {
  const total = { nodes: 0, requester: 0 };
  for (const [name, { pid }] of agents) {
    const use = useOf(pid);
    if (!use) return undefined;
    total[name === "requester" ? "requester" : "nodes"] += use.cpu;
  }
  return total;
}
