import { appendFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeFault, scheduleOf, type Schedule } from "./schedule.ts";
import { tryOut, type Report } from "./trial.ts";
import { SoakWorld } from "./world.ts";

/*
 * Runs whole batches through random schedules of faults, and looks each time whether anything was lost.
 *
 *   npm run soak -- --schedules 200 --seed 1
 *   npm run soak -- --seed 1 --only 17        that one again
 *
 * What goes wrong, where and when follows from the seed; what processes make of it does not, to the millisecond.
 */

/** Schedules in one market, one after the other; then a new one. */
const PER_WORLD = 25;

const { values } = parseArgs({
  options: {
    schedules: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    /** The first of them. */
    from: { type: "string", default: "0" },
    /** One of them only. */
    only: { type: "string" },
    /** Appends a line of JSON for each. */
    report: { type: "string" },
  },
});
const seed = Number(values.seed);
const first = Number(values.only ?? values.from);
const count = values.only === undefined ? Number(values.schedules) : 1;
if (![seed, first, count].every(Number.isSafeInteger) || count < 1) {
  console.error("error SOAK_ARGUMENTS: --schedules, --seed, --from and --only take whole numbers");
  process.exit(2);
}

// What the world is made of is taken away when this process exits, but not when a signal ends it.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const failed: Report[] = [];
let faults = 0;
let world: SoakWorld | undefined;
let used = 0;
const started = performance.now();
for (let index = first; index < first + count; index += 1) {
  world ??= await SoakWorld.start();
  const schedule = scheduleOf(seed, index);
  const report = await tryOut(world, schedule);
  faults += report.faults;
  tell(schedule, report);
  if (values.report) await appendFile(values.report, `${JSON.stringify({ seed, ...report })}\n`);
  if (report.problem !== undefined) {
    failed.push(report);
    console.log(
      `     what the agents left behind: ${await world.keep(join(tmpdir(), `surety-soak-${seed}-${index}`))}`,
    );
  }
  used += 1;
  // After a failure nothing is as the next one expects it.
  if (report.problem !== undefined || used === PER_WORLD) {
    await world.stop();
    world = undefined;
    used = 0;
  }
}
await world?.stop();
const minutes = ((performance.now() - started) / 60_000).toFixed(1);
console.log(`\nseed ${seed}: ${count} schedules, ${faults} faults, ${failed.length} lost something (${minutes} min)`);
for (const { index } of failed) console.log(`  npm run soak -- --seed ${seed} --only ${index}`);
process.exitCode = failed.length > 0 ? 1 : 0;

function tell({ index, job, liar, faults: planned }: Schedule, { seconds, batches, problem, ...report }: Report): void {
  const lies = liar === undefined ? "" : `, node-${liar + 1} lies`;
  const what = `${job.mode ?? "sampled"}, ${job.tasks} tasks${lies}`;
  console.log(
    `${problem === undefined ? "ok  " : "LOST"} ${index}: ${what}; ${batches} batches, ${report.faults} of ${planned.length} faults, ${seconds} s`,
  );
  const times = Object.entries(report.reached).map(([stage, at]) => `${stage} ${at}`);
  console.log(`       ${times.join(", ")} s`);
  for (const fault of planned) console.log(`       ${describeFault(fault)}`);
  if (problem !== undefined) console.log(problem.replaceAll(/^/gm, "     "));
}
