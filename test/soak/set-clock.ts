// Loaded before an agent (`node --import`): sets its clock off by as many milliseconds as a file beside the agent's
// configuration says, and again whenever that changes. Timers run as they do.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const file = join(dirname(process.argv.at(-1) ?? "."), "clock");
const RealDate = Date;
let offset = 0;

function look(): void {
  try {
    offset = Number(readFileSync(file, "utf8")) || 0;
  } catch {
    offset = 0;
  }
}

look();
setInterval(look, 200).unref();
const now = (): number => RealDate.now() + offset;
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: unknown[], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object,
  get: (target, key) => (key === "now" ? now : (Reflect.get(target, key) as unknown)),
});
