// `surety submit` that dies, as if by `kill -9`, right before or right after its ticket gets into the requester's inbox.
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const [moment, ...args] = process.argv.slice(2) as ["before" | "after", ...string[]];

const { rename } = promises;
promises.rename = async (from, to) => {
  const isTicket = /[\\/]inbox[\\/]/.test(String(to));
  if (isTicket && moment === "before") process.kill(process.pid, "SIGKILL");
  await rename(from, to);
  if (isTicket && moment === "after") process.kill(process.pid, "SIGKILL");
};
syncBuiltinESMExports();

process.argv.splice(2, process.argv.length, "submit", ...args);
await import("../../agents/cli/main.ts");
