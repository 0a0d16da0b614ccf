import { expect } from "chai";
import type { DockerExecutor } from "../../agents/executor/docker-executor.ts";
import { outputDirectory, parseOutputDirectory } from "../../agents/executor/outcome.ts";
import type { ContainerTaskLimits, TaskOutcome } from "../../agents/executor/executor.ts";
import {
  busyboxImage,
  needEngine,
  needRuntime,
  shell,
  taskLimits,
  testExecutor,
  testTask,
  type TestImage,
} from "../support/docker-engine.ts";

describe("limits of tasks in containers", function () {
  this.timeout(180_000);
  let image: TestImage;

  before(async function () {
    await needEngine(this);
    image = await busyboxImage();
  });

  for (const runtime of ["runc", "runsc"] as const) {
    describe(runtime, () => {
      let executor: DockerExecutor;

      before(async function () {
        if (runtime === "runsc") await needRuntime(this, runtime);
        executor = testExecutor({ runtime });
      });

      after(() => executor?.close());

      const script = async (lines: string, limits: Partial<ContainerTaskLimits> = {}): Promise<TaskOutcome> => {
        const outcome = await executor.run(
          testTask(image.program(shell(lines)), { limits: { ...taskLimits, ...limits } }),
        );
        // Whatever ended it, what it left can be stored and read back.
        expect(parseOutputDirectory(outputDirectory(outcome)).exit).to.deep.equal(outcome.exit);
        return outcome;
      };
      /** Ended by this, and nothing is kept of it. */
      const cutShort = (outcome: TaskOutcome, exit: TaskOutcome["exit"]): void => {
        expect(outcome.exit).to.deep.equal(exit);
        expect([outcome.stdout.length, outcome.stderr.length, outcome.files.size]).to.deep.equal([0, 0, 0]);
      };

      it("are not met by a task that stays within them: its own status counts", async () => {
        expect((await script("exit 0")).exit).to.deep.equal({ code: 0 });
        expect((await script("exit 77")).exit).to.deep.equal({ code: 77 });
        // A signal of its own is no limit.
        expect((await script("kill -SEGV $$")).exit).to.deep.equal({ code: 139 });
        const full = await script("head -c 1000 /dev/zero > /out/a; head -c 24 /dev/zero", {
          outputBytes: 1024,
          files: 1,
        });
        expect([full.exit, full.files.get("a")!.length, full.stdout.length]).to.deep.equal([{ code: 0 }, 1000, 24]);
      });

      it("end it when its time is over, though it ignores signals", async () => {
        cutShort(await script("trap '' TERM INT HUP; echo begun; while true; do :; done", { seconds: 2 }), {
          limit: "time",
        });
      });

      it("end it when it wants more memory", async () => {
        cutShort(await script("head -c 400000000 /dev/zero | tail -n 1", { memoryBytes: 32 * 2 ** 20 }), {
          limit: "memory",
        });
      });

      it("end it when it writes more to its streams, both counted together", async () => {
        cutShort(await script("yes"), { limit: "output" });
        cutShort(await script("head -c 600 /dev/zero; head -c 600 /dev/zero >&2", { outputBytes: 1024 }), {
          limit: "output",
        });
      });

      it("count files with the streams, and a hole as what it stands for", async () => {
        const limits = { outputBytes: 8192 };
        cutShort(await script("head -c 8000 /dev/zero > /out/a; head -c 193 /dev/zero", limits), { limit: "output" });
        cutShort(await script("cat /dev/zero > /out/a; exit 0", limits), { limit: "output" });
        // The largest file that may be is a little larger than what may be in it.
        cutShort(await script("truncate -s 9000 /out/hole", limits), { limit: "output" });
        expect((await script("truncate -s 100G /out/hole", limits)).files.get("hole")?.length ?? 0).to.equal(0);
      });

      it("count files and folders", async () => {
        const make = (count: number): string => `for i in $(seq ${count}); do mkdir /out/$i || exit 1; done`;
        expect((await script(make(5), { files: 5 })).exit).to.deep.equal({ code: 0 });
        cutShort(await script(make(6), { files: 5 }), { limit: "files" });
        cutShort(await script(make(10_000), { files: 5 }), { limit: "files" });
      });

      it("let it have so much scratch and no more", async () => {
        const { stdout } = await script("cat /dev/zero > /tmp/a 2>/dev/null; wc -c < /tmp/a", { diskBytes: 65_536 });
        expect(Number(new TextDecoder().decode(stdout))).to.be.within(60_000, 65_536);
      });

      // In gVisor the threads of its own kernel are what counts: no fewer than a thousand.
      if (runtime === "runc")
        it("let it have so many processes and no more", async () => {
          const { stderr } = await script("for i in $(seq 50); do sleep 60 & done", { processes: 8 });
          expect(new TextDecoder().decode(stderr)).to.match(/can't fork/);
        });

      it("do not let a process outlive it", async () => {
        const { exit, files } = await script("(sleep 1; echo late > /out/late) & echo early > /out/early");
        expect([exit, [...files.keys()]]).to.deep.equal([{ code: 0 }, ["early"]]);
      });

      it("take plain files only", async () => {
        const faults: [string, string][] = [
          ["ln -s /etc/shadow /out/link", "output-link"],
          ["mkdir /out/d; ln -s ../../.. /out/d/up", "output-link"],
          ["echo > /out/a; ln /out/a /out/b", "output-link"],
          ["echo > \"/out/$(printf 'a\\nb')\"", "output-name"],
          ["echo > \"/out/$(printf 'a\\033[2Jb')\"", "output-name"],
          ["echo > '/out/a\\b'", "output-name"],
          ["echo > \"/out/$(printf 'a\\377b')\"", "output-name"],
        ];
        // In gVisor a FIFO is in its kernel alone.
        if (runtime === "runc") faults.push(["mkfifo /out/fifo", "output-special"]);
        for (const [lines, trap] of faults) cutShort(await script(lines), { trap });
      });

      it("answer a program that is not there with its shell's status", async () => {
        const { exit, stderr } = await executor.run(testTask(image.program(["/bin/nothing-of-that-name"])));
        expect(exit).to.deep.equal({ code: 127 });
        // Without the number of the process that says so: it differs between runs.
        expect(Buffer.from(stderr).toString("utf8")).to.equal(
          "[FATAL tini] exec /bin/nothing-of-that-name failed: No such file or directory\n",
        );
      });
    });
  }

  it("are refused where this host offers less", async () => {
    const executor = testExecutor({ maxCpus: 1, maxMemoryBytes: 128 * 2 ** 20 });
    const code = async (limits: Partial<ContainerTaskLimits>): Promise<unknown> =>
      executor.check(image.program(), { limits: { ...taskLimits, ...limits } }).then(
        () => "taken",
        (error: { code?: unknown }) => error.code,
      );
    expect(await code({})).to.equal("taken");
    expect(await code({ cpus: 2 })).to.equal("EXECUTOR_UNSUITABLE");
    expect(await code({ memoryBytes: 128 * 2 ** 20 })).to.equal("EXECUTOR_UNSUITABLE");
    expect(await code({ diskBytes: 128 * 2 ** 20 })).to.equal("EXECUTOR_UNSUITABLE");
    await executor.close();
  });
});
