import { expect } from "chai";
import type { KubernetesExecutor } from "../../agents/executor/kubernetes-executor.ts";
import { outputDirectory, parseOutputDirectory } from "../../agents/executor/outcome.ts";
import type { ContainerTask, ContainerTaskLimits, TaskOutcome } from "../../agents/executor/executor.ts";
import { needCluster, TestNamespace } from "../support/cluster.ts";
import { busyboxImage, needEngine, shell, taskLimits, testExecutor, testTask } from "../support/docker-engine.ts";

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("utf8");

describe("tasks in a Kubernetes cluster", function () {
  this.timeout(300_000);
  let namespace: TestNamespace;
  let executor: KubernetesExecutor;

  before(async function () {
    namespace = await TestNamespace.make(await needCluster(this));
    executor = namespace.executor();
  });

  after(async () => {
    await executor?.close();
    await namespace?.remove();
  });

  const run = async (entrypoint: string[], changes: Partial<ContainerTask> = {}): Promise<TaskOutcome> => {
    const outcome = await executor.run(testTask(namespace.program(entrypoint), changes));
    // Whatever ended it, what it left can be stored and read back.
    expect(parseOutputDirectory(outputDirectory(outcome)).exit).to.deep.equal(outcome.exit);
    return outcome;
  };
  const script = (lines: string, limits: Partial<ContainerTaskLimits> = {}): Promise<TaskOutcome> =>
    run(shell(lines), { limits: { ...taskLimits, ...limits } });
  const words = async (lines: string): Promise<string> => text((await script(lines)).stdout).trim();
  /** Ended by this, and nothing is kept of it. */
  const cutShort = (outcome: TaskOutcome, exit: TaskOutcome["exit"]): void => {
    expect(outcome.exit).to.deep.equal(exit);
    expect([outcome.stdout.length, outcome.stderr.length, outcome.files.size]).to.deep.equal([0, 0, 0]);
  };

  it("read their input and leave their streams, files and status", async () => {
    const input = new Map([
      ["a/b/c.bin", Buffer.alloc(3_000_000, 7)],
      ["empty", new Uint8Array(0)],
    ]);
    const lines =
      'cat /in/a/b/c.bin | wc -c; find /in | sort; echo "$0 $1" >&2; mkdir -p /out/x; sha256sum < /in/a/b/c.bin > /out/x/sum; exit 7';
    const outcome = await run(shell(lines), { input, args: ["one", "$(HOME) $$ {index}"], index: 42 });
    expect(outcome.exit).to.deep.equal({ code: 7 });
    expect(text(outcome.stdout)).to.equal("3000000\n/in\n/in/a\n/in/a/b\n/in/a/b/c.bin\n/in/empty\n");
    expect(text(outcome.stderr)).to.equal("one $(HOME) $$ 42\n");
    expect([...outcome.files.keys()]).to.deep.equal(["x/sum"]);
    expect(text(outcome.files.get("x/sum"))).to.match(/^[0-9a-f]{64} /);
  });

  it("tell what they used while they ran, unless they meddle with it", async () => {
    const used = "head -c 20000000 /dev/urandom | tail -c 20000000 | (sleep 1; wc -c)";
    const [honest, short, forged] = await Promise.all([
      run(shell(used)),
      run(shell("> /streams/trace; sleep 0.1; exit 4")),
      run(shell("echo '{}' > /streams/trace; exit 5")),
    ]);
    const { trace, usage } = honest!;
    expect(trace!.samples.length).to.be.above(10);
    const { cpu, processes } = trace!.samples.at(-1) as { cpu: number; processes: number };
    expect([cpu > 10_000, processes > 0, usage.peakMemoryBytes > 2e7]).to.deep.equal([true, true, true]);
    expect(usage.peakMemoryBytes).to.be.below(2e8);
    expect([short!.exit, forged!.exit]).to.deep.equal([{ code: 4 }, { code: 5 }]);
  });

  it("run many at once, each with its own", async () => {
    const outcomes = await Promise.all(
      [1, 2, 3, 4].map((index) =>
        run(shell("cat /in/mine; echo $0 > /out/mine"), {
          index,
          args: ["{index}"],
          input: new Map([["mine", Buffer.from(`input ${index}`)]]),
          limits: { ...taskLimits, memoryBytes: 2 ** 25 },
        }),
      ),
    );
    expect(outcomes.map(({ stdout }) => text(stdout))).to.deep.equal(["input 1", "input 2", "input 3", "input 4"]);
    expect(outcomes.map(({ files }) => text(files.get("mine")))).to.deep.equal(["1\n", "2\n", "3\n", "4\n"]);
  });

  it("leave what the same tasks leave in an engine, byte for byte", async function () {
    await needEngine(this);
    const image = await busyboxImage();
    const engine = testExecutor();
    const tasks: [entrypoint: string[], changes?: Partial<ContainerTask>][] = [
      [shell("env | sort; hostname; id; pwd; umask; grep -v proc /proc/self/limits; ls -l /proc/self/fd | wc -l")],
      [shell("kill -SEGV $$")],
      [shell("trap '' TERM; (sleep 60; echo late) & echo first; exit 3")],
      [
        shell(
          "printf 'no end of line'; printf '\\0\\377' >&2; mkdir -p /out/a; printf x > /out/a/b; chmod 0 /out/a/b /out/a",
        ),
      ],
      [["/none"]],
      [["/etc"]],
      [["none"]],
      [["sort", "/in/words"], { input: new Map([["words", Buffer.from("b\na\n")]]) }],
      [shell("ln -s /etc/passwd /out/link")],
    ];
    try {
      const shown = (outcome: TaskOutcome): string[] =>
        [...outputDirectory(outcome)].map(([path, bytes]) => `${path}: ${Buffer.from(bytes).toString("latin1")}`);
      await Promise.all(
        tasks.map(async ([entrypoint, changes]) => {
          const [here, there] = await Promise.all([
            run(entrypoint, changes),
            engine.run(testTask(image.program(entrypoint), changes)),
          ]);
          expect(shown(here), entrypoint.join(" ")).to.deep.equal(shown(there));
        }),
      );
    } finally {
      await engine.close();
    }
  });

  describe("are confined", () => {
    it("to nobody's rights", async () => {
      expect(await words("id -u; id -g")).to.equal("65534\n65534");
      const status = await words("cat /proc/self/status");
      expect(status).to.match(/CapEff:\s+0{16}/);
      expect(status).to.match(/CapBnd:\s+0{16}/);
      expect(status).to.match(/NoNewPrivs:\s+1/);
      expect(status).to.match(/Seccomp:\s+2/);
    });

    it("to their own folders", async () => {
      const tried = await words(
        "for to in / /etc /in /surety /dev/shm /streams/../bin /out /tmp; do touch $to/file 2>/dev/null && echo $to; done; true",
      );
      expect(tried).to.equal("/out\n/tmp");
      expect(await words("ls /var/run/secrets /run/secrets 2>/dev/null | wc -l")).to.equal("0");
    });

    it("to their own processes, and not the one that runs them", async () => {
      const signals =
        "for s in $(seq 1 64); do [ $s = 9 ] || kill -$s 1; kill -9 1; done 2>/dev/null; sleep 0.2; echo on";
      expect(await words(signals)).to.equal("on");
      expect(await words("cat /proc/1/environ /proc/1/maps; ls /proc/1/fd; true")).to.equal("");
      const forged = `printf '{"code":0,"milliseconds":1}' > /dev/termination-log; exit 9`;
      expect((await script(forged)).exit).to.deep.equal({ code: 9 });
    });

    it("to their own time: what they leave running ends with them", async () => {
      const { exit, stdout } = await script("(while true; do echo on; sleep 0.1; done) & sleep 0.3; exit 0", {
        seconds: 60,
      });
      expect(exit).to.deep.equal({ code: 0 });
      expect(text(stdout)).to.match(/^(on\n){1,20}$/);
    });

    it("by the API server too, which refuses what is not", async () => {
      const spec = { containers: [{ name: "trial", image: namespace.images.busybox }] };
      const body = { metadata: { name: "trial" }, spec };
      const refused = await namespace.core
        .createNamespacedPod({ namespace: namespace.name, body })
        .catch((error: unknown) => error);
      expect(refused).to.include({ code: 403 });
      expect((refused as { body: string }).body).to.contain("PodSecurity");
    });
  });

  describe("end at their limits", () => {
    it("not if they stay within them", async () => {
      const full = await script("head -c 1000 /dev/zero > /out/a; head -c 24 /dev/zero", {
        outputBytes: 1024,
        files: 1,
      });
      expect([full.exit, full.files.get("a")!.length, full.stdout.length]).to.deep.equal([{ code: 0 }, 1000, 24]);
    });

    it("of time, though they ignore signals", async () => {
      cutShort(await script("trap '' TERM INT HUP; echo begun; while true; do :; done", { seconds: 2 }), {
        limit: "time",
      });
    });

    it("of memory, even if only one of their processes was killed", async () => {
      cutShort(await script("head -c 400000000 /dev/zero | tail -n 1", { memoryBytes: 2 ** 25 }), { limit: "memory" });
      cutShort(await script("(head -c 400000000 /dev/zero | tail -n 1) || true; exit 0", { memoryBytes: 2 ** 25 }), {
        limit: "memory",
      });
    });

    it("of output, in their streams together, in files, and in all of it", async () => {
      cutShort(await script("yes"), { limit: "output" });
      cutShort(await script("head -c 600 /dev/zero; head -c 600 /dev/zero >&2", { outputBytes: 1024 }), {
        limit: "output",
      });
      cutShort(await script("head -c 1025 /dev/zero > /out/a", { outputBytes: 1024 }), { limit: "output" });
      cutShort(await script("head -c 1000 /dev/zero > /out/a; head -c 25 /dev/zero", { outputBytes: 1024 }), {
        limit: "output",
      });
      const hole = "dd if=/dev/zero of=/out/hole bs=1 count=1 seek=500000000";
      cutShort(await script(hole, { diskBytes: 2 ** 29 }), { limit: "output" });
    });

    it("of output, if they fill what their streams are kept in", async () => {
      cutShort(await script("for i in 1 2; do head -c 9000000 /dev/zero > /streams/$i; done; yes on | head -n 9000"), {
        limit: "output",
      });
    });

    it("of files, and see a full disk", async () => {
      cutShort(await script("cd /out; seq 1 40000 | xargs touch", { memoryBytes: 2 ** 28 }), { limit: "files" });
      cutShort(await script("for i in 1 2 3; do mkdir /out/$i; done", { files: 2 }), { limit: "files" });
      const { stdout } = await script("head -c 3000000 /dev/zero > /tmp/file; stat -c %s /tmp/file");
      expect(text(stdout)).to.equal(`${2 ** 20}\n`);
    });
  });

  it("end though they begin processes without end", async () => {
    const outcome = await script("bomb() { bomb | bomb & }; bomb; sleep 2; echo on; exit 5", { seconds: 60 });
    expect(outcome.exit).to.satisfy((exit: TaskOutcome["exit"]) => "code" in exit || "limit" in exit);
  });

  describe("leave nothing but plain files", () => {
    const ends = async (lines: string, trap: string, limits: Partial<ContainerTaskLimits> = {}): Promise<void> =>
      cutShort(await script(lines, limits), { trap });

    it("no links, symbolic or hard", async () => {
      await ends("ln -s /etc/passwd /out/link", "output-link");
      await ends("echo > /out/a; ln /out/a /out/b", "output-link");
    });

    it("no FIFOs, and no sockets' traces", async () => {
      await ends("mkfifo /out/pipe", "output-special");
    });

    it("no names that others cannot have, and no folders that go too deep", async () => {
      await ends("touch \"/out/$(printf 'a\\nb')\"", "output-name");
      await ends("touch \"/out/$(printf '\\377')\"", "output-name");
      await ends("cd /out; i=0; while [ $i -lt 80 ]; do mkdir d; cd d; i=$((i+1)); done", "output-name", {
        files: 100,
      });
    });

    it("though they take away their own rights to them", async () => {
      const { files } = await script("mkdir -p /out/a/b; echo one > /out/a/b/c; chmod 0 /out/a/b/c /out/a/b /out/a");
      expect(text(files.get("a/b/c"))).to.equal("one\n");
    });
  });
});
