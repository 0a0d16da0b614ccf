import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import { expect } from "chai";
import { openCgroup } from "../../agents/executor/cgroup.ts";
import type { DockerExecutor } from "../../agents/executor/docker-executor.ts";
import type { ContainerTaskLimits, LimitName } from "../../agents/executor/executor.ts";
import { needRuntime, ownedBy, testExecutor, type TestImage } from "../support/docker-engine.ts";
import { findingsOf, needHostileJobs, OpenGround, probeTask, together, type Findings } from "../support/hostile-job.ts";

const MIB = 1 << 20;

/** What is too much for a job, and what it says of itself where it may have it. */
const excesses: Record<
  string,
  { args: string[]; limits: Partial<ContainerTaskLimits>; ends: LimitName; where?: object }
> = {
  "400 MiB of memory": { args: ["memory", "400"], limits: { memoryBytes: 64 * MIB }, ends: "memory" },
  "400 MiB of shared memory": {
    args: ["shared-memory", "400"],
    limits: { memoryBytes: 64 * MIB },
    ends: "memory",
    where: { ShmSize: 512 * MIB },
  },
  "64 MiB in /out": { args: ["fill", "/out/file", "64"], limits: { outputBytes: 8 * MIB }, ends: "output" },
  "5,000 files in /out": { args: ["files", "/out", "5000"], limits: { files: 100 }, ends: "files" },
  "32 MiB of standard output": { args: ["stdout", "32"], limits: { outputBytes: MIB }, ends: "output" },
};

/** What goes on for ever, deaf to what it can be deaf to. */
const endless: Record<string, string[]> = {
  "a loop": ["endless"],
  "a process that ignores all signals": ["stubborn", "600"],
  "outputs that drip": ["drip", "/out/drip", "100000"],
};

describe("What a hostile job can use up", function () {
  this.timeout(240_000);
  let image: TestImage;
  let ground: OpenGround;

  before(async function () {
    image = await needHostileJobs(this);
    ground = new OpenGround(image);
    await ground.load();
  });

  describe("control: where nothing limits it", () => {
    for (const [what, { args, where }] of Object.entries(excesses))
      it(`has ${what}`, async () => {
        const stdout = await ground.run(args, { Tmpfs: { "/out": "size=256m" }, ...where });
        if (args[0] === "stdout") expect(stdout.length).to.equal(32 * MIB);
        else expect(errorsIn(findingsOf(stdout).get(""))).to.deep.equal([]);
      });

    it("has the time of more than one CPU", async function () {
      if (availableParallelism() < 2) this.skip();
      // Whatever else this machine does, at one of the tries there is some left; more, if they may go first.
      const { CgroupDriver } = (await ground.engine.info()) as { CgroupDriver: string };
      const first = CgroupDriver === "cgroupfs" ? { CgroupParent: "/", CpuShares: 262_144 } : {};
      for (let tries = 5; ; tries--) {
        const said = findingsOf(await ground.run(["spin", "1", "4"], first)).get("");
        if (Number(said?.get("cpu milliseconds")) > 1.3 * Number(said?.get("wall milliseconds"))) return;
        expect(tries).to.be.greaterThan(0);
      }
    });

    it("has 400 processes, a full scratch folder, 5,000 files and 10,000 descriptors", async () => {
      const all = [...hoard, ...together(["fork", "400"])];
      const said = findingsOf(await ground.run(all, { PidMode: "", Tmpfs: { "/tmp": "size=256m" } }));
      for (const what of ["fill", "files", "descriptors", "fork"])
        expect(errorsIn(said.get(what)), what).to.deep.equal([]);
    });
  });

  for (const runtime of ["runc", "runsc"] as const)
    describe(`in ${runtime}`, () => {
      const owner = randomBytes(8).toString("hex");
      let executor: DockerExecutor;

      before(async function () {
        if (runtime === "runsc") await needRuntime(this, runtime);
        executor = testExecutor({ runtime, owner });
      });
      after(() => executor?.close());
      afterEach(async () => expect(await ownedBy(owner)).to.deep.equal([]));

      for (const [what, { args, limits, ends }] of Object.entries(excesses))
        it(`ends in the limit ${ends} with ${what}`, async () => {
          const outcome = await executor.run(probeTask(image, args, limits));
          expect(outcome.exit).to.deep.equal({ limit: ends });
          const kept = [outcome.stdout, outcome.stderr, ...outcome.files.values()];
          const bytes = kept.reduce((sum, { length }) => sum + length, 0);
          expect(bytes).to.be.at.most(limits.outputBytes ?? 16 * MIB);
        });

      for (const [what, args] of Object.entries(endless))
        it(`ends ${what} when its time is over`, async () => {
          const outcome = await executor.run(probeTask(image, args, { seconds: 1 }));
          expect(outcome.exit).to.deep.equal({ limit: "time" });
        });

      it("has no more scratch, files and descriptors than its limits say", async () => {
        const limits = { processes: 64, diskBytes: 16 * MIB, files: 200 };
        const outcome = await executor.run(probeTask(image, hoard, limits));
        const said = findingsOf(outcome.stdout);
        const had = (command: string, what: string): number => Number(said.get(command)?.get(what));
        expect(had("fill", "mebibytes")).to.be.within(1, 16);
        expect(said.get("fill")?.get("write")).to.equal("ENOSPC");
        // gVisor does not count them: they cost the job's memory, see below.
        if (runtime === "runc") expect(had("files", "files")).to.be.within(1, 202);
        expect(had("descriptors", "descriptors")).to.be.within(1, 4096);
        expect(said.get("descriptors")?.get("open")).to.equal("EMFILE");
      });

      it("has no more processes than its limit says, or than its sandbox lives with", async () => {
        // More than the host lets gVisor's kernel have threads, whatever the job's own limit.
        const most = runtime === "runc" ? "400" : "4000";
        const outcome = await executor.run(probeTask(image, ["fork", most], { processes: 64 }));
        const said = findingsOf(outcome.stdout).get("");
        if (runtime === "runc") {
          expect(Number(said?.get("processes"))).to.be.within(1, 64);
          expect(said?.get("fork")).to.equal("EAGAIN");
        } else {
          // gVisor's own kernel ends, and the job with it.
          expect(outcome.exit).to.not.deep.equal({ code: 0 });
          expect(said?.has("fork")).to.equal(false);
        }
      });

      it("makes no million files in its scratch folder", async () => {
        const limits = { memoryBytes: 8 * MIB, outputBytes: MIB, diskBytes: MIB, files: 200 };
        const outcome = await executor.run(probeTask(image, ["files", "/tmp", "1000000"], limits));
        if ("code" in outcome.exit) {
          expect(findingsOf(outcome.stdout).get("")?.get("create")).to.equal("ENOSPC");
        } else expect(outcome.exit).to.deep.equal({ limit: "memory" });
      });

      it("gets no more than its CPU's time, however many of its processes want some", async () => {
        let used = 0;
        const outcome = await executor.run(probeTask(image, ["spin", "2", "4"]), {
          watch: ({ pid }) => {
            const stop = cpusOf(pid);
            return { ended: () => void (used = stop()) };
          },
        });
        expect(outcome.exit).to.deep.equal({ code: 0 });
        expect(used).to.be.within(0.01, 1.25);
      });

      it("leaves nothing behind when it is given up", async () => {
        const giveUp = new AbortController();
        const running = executor.run(probeTask(image, ["stubborn", "600"]), {
          signal: giveUp.signal,
          watch: () => (giveUp.abort(new Error("given up")), { ended: () => undefined }),
        });
        expect(
          await running.then(
            () => "ended",
            (error: Error) => error.message,
          ),
        ).to.equal("given up");
      });
    });
});

/** What does not end a job. The folder is filled before it is out of names. */
const hoards = [
  ["fill", "/tmp/file", "64"],
  ["files", "/tmp", "5000"],
  ["descriptors", "10000"],
];
const hoard = together(...hoards);

/** CPUs' worth of time that the control group of a process uses until the returned function is called. */
function cpusOf(pid: number): () => number {
  const group = openCgroup(pid)!;
  const readings: { at: number; cpu: number }[] = [];
  const read = (): void => {
    const cpu = group.read()?.cpu;
    if (cpu !== undefined) readings.push({ at: performance.now() * 1000, cpu });
  };
  read();
  const timer = setInterval(read, 100);
  return () => {
    clearInterval(timer);
    group.close();
    const [first, last] = [readings[0]!, readings.at(-1)!];
    return (last.cpu - first.cpu) / (last.at - first.at);
  };
}

function errorsIn(findings: Findings | undefined): string[] {
  const errors = [...(findings ?? [])].filter(([, result]) => /^E[A-Z0-9]+$/.test(result));
  return errors.map(([what, result]) => `${what} ${result}`);
}
