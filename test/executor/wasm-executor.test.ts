import { expect } from "chai";
import type { WasmTask, TaskLimits, TaskOutcome } from "../../agents/executor/executor.ts";
import { outputDirectory } from "../../agents/executor/outcome.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { assemble, commandExports, functionImport, probeProgram, shimProgram } from "./programs.ts";

const limits: TaskLimits = { fuel: 1n << 34n, memoryBytes: 16 << 20, seconds: 60, outputBytes: 1 << 20, files: 16 };
const input = new Map([
  ["b.txt", Buffer.from("hello from the input")],
  ["a/c.txt", Buffer.from("deeper")],
]);

describe("WasmExecutor", function () {
  this.timeout(60_000);
  let probe: Uint8Array;
  let executor: WasmExecutor;

  before(async () => {
    probe = await probeProgram();
    executor = new WasmExecutor();
  });
  after(() => executor.close());

  interface Changes extends Partial<Omit<WasmTask, "limits">> {
    limits?: Partial<TaskLimits>;
  }

  function task(command: string, changes: Changes = {}): WasmTask {
    return {
      program: probe,
      args: command.split(" "),
      index: 7,
      input,
      ...changes,
      limits: { ...limits, ...changes.limits },
    };
  }

  function run(command: string, changes: Changes = {}): Promise<TaskOutcome> {
    return executor.run(task(command, changes));
  }

  const lines = (outcome: TaskOutcome): string[] => Buffer.from(outcome.stdout).toString().trimEnd().split("\n");

  /** Everything that must not differ between runs, as one comparable value. */
  function fingerprint(outcome: TaskOutcome): unknown {
    const directory = [...outputDirectory(outcome)].map(([path, bytes]) => [path, Buffer.from(bytes).toString("hex")]);
    return { directory, fuel: outcome.usage.fuel, memory: outcome.usage.peakMemoryBytes };
  }

  async function codeOf(promise: Promise<unknown>): Promise<string> {
    try {
      await promise;
    } catch (error) {
      return (error as { code: string }).code;
    }
    return "none";
  }

  describe("what a task sees", () => {
    it("reads /in, writes /out and both streams", async () => {
      const outcome = await run("copy b.txt result.txt");
      expect(outcome.exit).to.deep.equal({ code: 0 });
      expect(Buffer.from(outcome.files.get("result.txt")!).toString()).to.equal("hello from the input");
      expect(lines(outcome)).to.deep.equal(["copied"]);
      expect(Buffer.from(outcome.stderr).toString()).to.equal("to the other stream");
    });

    it("gets task as its name, {index} replaced everywhere, and no environment", async () => {
      const outcome = await run("args {index} a{index}b{index} ümlaut");
      expect(lines(outcome)).to.deep.equal(["task", "args", "7", "a7b7", "ümlaut", "environment 0"]);
    });

    it("runs a program built with the AssemblyScript shim", async () => {
      const program = await shimProgram(`console.log("hello " + process.argv[1]);`);
      const outcome = await run("there", { program });
      expect(outcome.exit).to.deep.equal({ code: 0 });
      expect(lines(outcome)).to.deep.equal(["hello there"]);
    });

    it("lists files in the order of their names, whatever order they were given in", async () => {
      const backwards = new Map([...input].reverse());
      const [one, two] = [await run("list"), await run("list", { input: backwards })];
      expect(lines(one).map((line) => line.split(" ")[1])).to.deep.equal([".", "..", "a", "b.txt"]);
      expect(fingerprint(two)).to.deep.equal(fingerprint(one));
    });

    it("sees a clock that stands still and that waiting moves", async () => {
      expect(lines(await run("clock"))).to.deep.equal(["946684800000000000", "1000000000", "0", "6000000000"]);
    });

    it("gets the same random bytes in every run, others for another index or program", async () => {
      const one = await run("random");
      // The same code with an empty section behind it is another program.
      const program = Buffer.concat([probe, Uint8Array.of(0, 2, 1, 0x78)]);
      expect(lines(await run("random"))).to.deep.equal(lines(one));
      expect(lines(await run("random", { index: 8 }))).not.to.deep.equal(lines(one));
      expect(lines(await run("random", { program }))).not.to.deep.equal(lines(one));
    });

    it("ends with the code it gives, at once", async () => {
      const outcome = await run("exit 42");
      expect(outcome.exit).to.deep.equal({ code: 42 });
      expect(lines(outcome)).to.deep.equal(["before"]);
    });

    it("cannot write to /in", async () => {
      expect(lines(await run("open 3 new.txt 1 64"))).to.deep.equal(["69"]);
      expect(lines(await run("open 3 b.txt 0 64"))).to.deep.equal(["69"]);
      expect(lines(await run("open 3 b.txt 0 2"))).to.deep.equal(["0", "8"]);
      expect(lines(await run("folder 3 new"))).to.deep.equal(["69"]);
      expect(lines(await run("rename 3 b.txt 4 stolen"))).to.deep.equal(["69"]);
      expect(Buffer.from(input.get("b.txt")!).toString()).to.equal("hello from the input");
    });

    it("cannot leave its folders", async () => {
      for (const path of ["../../etc/passwd", "..", "../in/b.txt", "/etc/passwd", "x/../../y"]) {
        const [answer] = lines(await run(`open 4 ${path} 1 64`));
        expect(answer, path).to.be.oneOf(["76", "44"]);
      }
      expect(lines(await run("symlink"))).to.deep.equal(["58"]);
      expect(lines(await run("rename 4 x 4 ../x"))).to.deep.equal(["76"]);
    });

    it("cannot make files whose names would harm whoever unpacks them", async () => {
      for (const name of ["a\\b", "a\u001b[31m", "a\u0001", "x".repeat(256)]) {
        expect(lines(await run("", { args: ["open", "4", name, "1", "64"] })), name).to.deep.equal(["28"]);
      }
    });

    it("gets an error for pointers outside its memory", async () => {
      expect(lines(await run("bad-pointer"))).to.deep.equal(["21", "21", "21", "28", "8"]);
    });
  });

  describe("limits", () => {
    it("ends an endless loop when its fuel is gone", async () => {
      const outcome = await run("loop", { limits: { fuel: 100_000_000n } });
      expect(outcome.exit).to.deep.equal({ limit: "fuel" });
      expect(outcome.usage.fuel).to.equal(100_000_000n);
    });

    it("ends an endless loop with nearly endless fuel when its time is over, and goes on working", async () => {
      const outcome = await run("loop", { limits: { fuel: 1n << 62n, seconds: 0.5 } });
      expect(outcome.exit).to.deep.equal({ limit: "time" });
      expect((await run("exit 3")).exit).to.deep.equal({ code: 3 });
    });

    it("passes with exactly the fuel it takes and fails with one unit less", async () => {
      for (const command of ["count 1000", "copy b.txt result.txt", "list", "exit 0"]) {
        const { usage } = await run(command);
        const enough = await run(command, { limits: { fuel: usage.fuel } });
        const short = await run(command, { limits: { fuel: usage.fuel - 1n } });
        expect(enough.exit, command).to.deep.equal({ code: 0 });
        expect(enough.usage.fuel, command).to.equal(usage.fuel);
        expect(short.exit, command).to.deep.equal({ limit: "fuel" });
      }
    });

    it("charges in proportion to the work", async () => {
      const fuel = async (rounds: number): Promise<number> => Number((await run(`count ${rounds}`)).usage.fuel);
      const [none, some, many] = [await fuel(0), await fuel(100_000), await fuel(200_000)];
      expect((many - none) / (some - none)).to.be.closeTo(2, 0.01);
      expect(some - none).to.be.at.least(500_000);
    });

    it("calls it the limit memory when a program dies of a refused growth", async () => {
      const outcome = await run("memory");
      expect(outcome.exit).to.deep.equal({ limit: "memory" });
      expect(outcome.usage.peakMemoryBytes).to.be.at.most(limits.memoryBytes);
    });

    it("lets a program live with a refused growth", async () => {
      const outcome = await run("memory carry-on");
      expect(outcome.exit).to.deep.equal({ code: 0 });
      expect(lines(outcome)).to.deep.equal(["refused"]);
    });

    it("does not begin a program that wants more memory than its cap", async () => {
      const outcome = await run("exit 0", { limits: { memoryBytes: 65535 } });
      expect(outcome.exit).to.deep.equal({ limit: "memory" });
    });

    it("stops a flood of output in streams, files and gaps", async () => {
      for (const command of ["flood stdout", "flood file", "sparse"]) {
        const outcome = await run(command);
        expect(outcome.exit, command).to.deep.equal({ limit: "output" });
        const held = [outcome.stdout, outcome.stderr, ...outcome.files.values()].reduce(
          (sum, { length }) => sum + length,
          0,
        );
        expect(held, command).to.be.at.most(limits.outputBytes);
      }
    });

    it("allows output of exactly the limit", async () => {
      const { stdout, stderr, files } = await run("copy b.txt result.txt");
      const outputBytes = stdout.length + stderr.length + files.get("result.txt")!.length;
      expect((await run("copy b.txt result.txt", { limits: { outputBytes } })).exit).to.deep.equal({ code: 0 });
      expect((await run("copy b.txt result.txt", { limits: { outputBytes: outputBytes - 1 } })).exit).to.deep.equal({
        limit: "output",
      });
    });

    it("stops a million files", async () => {
      const outcome = await run("files");
      expect(outcome.exit).to.deep.equal({ limit: "files" });
      expect(outcome.files.size).to.equal(limits.files);
    });

    it("counts what is there, not what was there", async () => {
      expect((await run("churn", { limits: { files: 1, outputBytes: 16 } })).exit).to.deep.equal({ code: 0 });
    });

    it("ends deep recursion at the same depth everywhere", async () => {
      expect(lines(await run("recurse 10000"))).to.deep.equal(["10000"]);
      const one = await run("recurse 100000000");
      expect(one.exit).to.deep.equal({ trap: "stack-overflow" });
      expect(fingerprint(await run("recurse 100000000"))).to.deep.equal(fingerprint(one));
    });

    it("counts wide frames by their width, before the engine's own stack ends", async () => {
      // A function with 5,000 locals that all live across a call to itself.
      const locals = 5000;
      const body = [1, (locals & 0x7f) | 0x80, locals >> 7, 0x7f];
      const leb = (value: number): number[] => (value < 128 ? [value] : [(value & 0x7f) | 0x80, value >> 7]);
      for (let local = 0; local < locals; local++) body.push(0x23, 0, 0x21, ...leb(local));
      body.push(0x10, 0);
      for (let local = 0; local < locals; local++) body.push(0x20, ...leb(local), 0x23, 0, 0x6a, 0x24, 0);
      body.push(0x0b);
      const program = assemble({ globals: [1, 0x7f, 1, 0x41, 1, 0x0b], bodies: [body] });
      expect((await run("", { program })).exit).to.deep.equal({ trap: "stack-overflow" });
    });

    it("meters what the start section calls", async () => {
      const program = assemble({ start: [0], bodies: [[0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b]] });
      expect((await run("", { program, limits: { fuel: 1000n } })).exit).to.deep.equal({ limit: "fuel" });
    });

    it("charges bulk operations by their length", async () => {
      const fill = (bytes: number): Uint8Array =>
        assemble({
          memory: [1, 0, 16],
          bodies: [
            [
              0,
              0x41,
              0,
              0x41,
              1,
              0x41,
              (bytes & 0x7f) | 0x80,
              ((bytes >> 7) & 0x7f) | 0x80,
              bytes >> 14,
              0xfc,
              11,
              0,
              0x0b,
            ],
          ],
        });
      const [none, much] = [await run("", { program: fill(0) }), await run("", { program: fill(800_000) })];
      expect(much.exit).to.deep.equal({ code: 0 });
      expect(much.usage.fuel - none.usage.fuel).to.equal(100_000n);
    });
  });

  describe("faults of the program", () => {
    const one: [string, string][] = [
      ["divide 0", "divide-by-zero"],
      ["outside", "out-of-bounds"],
    ];
    for (const [command, trap] of one) {
      it(`calls ${command} ${trap}`, async () => expect((await run(command)).exit).to.deep.equal({ trap }));
    }

    const bodies: [string, number[]][] = [
      ["unreachable", [0, 0x00, 0x0b]],
      ["integer-overflow", [0, 0x41, 0x80, 0x80, 0x80, 0x80, 0x78, 0x41, 0x7f, 0x6d, 0x1a, 0x0b]],
      ["divide-by-zero", [0, 0x41, 1, 0x41, 0, 0x6f, 0x1a, 0x0b]],
      ["invalid-conversion", [0, 0x43, 0, 0, 0xc0, 0x7f, 0xa8, 0x1a, 0x0b]],
    ];
    for (const [trap, body] of bodies) {
      it(`names ${trap}`, async () => {
        expect((await run("", { program: assemble({ bodies: [body] }) })).exit).to.deep.equal({ trap });
      });
    }

    it("names indirect-call for a table entry that is null or not there", async () => {
      for (const index of [0, 5]) {
        const program = assemble({ tables: [1, 0x70, 0, 1], bodies: [[0, 0x41, index, 0x11, 0, 0, 0x0b]] });
        expect((await run("", { program })).exit).to.deep.equal({ trap: "indirect-call" });
      }
    });

    it("names out-of-bounds for data that does not fit its memory", async () => {
      const program = assemble({ memory: [1, 0, 1], data: [1, 0, 0x41, 0xff, 0xff, 0x03, 0x0b, 2, 1, 2] });
      expect((await run("", { program })).exit).to.deep.equal({ trap: "out-of-bounds" });
    });
  });

  describe("determinism", () => {
    it("gives the same bytes and counts in one worker, in fresh workers and side by side", async () => {
      const commands = [
        "copy b.txt r",
        "count 12345",
        "list",
        "random",
        "clock",
        "nan 0",
        "files",
        "memory",
        "recurse 99999999",
        "flood file",
      ];
      const first = await Promise.all(commands.map(async (command) => fingerprint(await run(command))));
      const other = new WasmExecutor({ workers: 2 });
      try {
        const second = await Promise.all(commands.map(async (command) => fingerprint(await other.run(task(command)))));
        expect(second).to.deep.equal(first);
      } finally {
        await other.close();
      }
    });

    it("makes every NaN the same, but leaves those it was given alone", async () => {
      const quiet = "7ff8000000000000";
      expect(lines(await run("nan 0"))).to.deep.equal([
        quiet,
        quiet,
        quiet,
        quiet,
        "7fc00000",
        "fff8000000000000",
        "fffc000000000123",
      ]);
    });

    it("counts what it counted before", async () => {
      // A change here changes results between nodes: it needs a new version of the runtime's name.
      const loop = [1, 1, 0x7f, 0x03, 0x40, 0x20, 0, 0x41, 1, 0x6a, 0x22, 0, 0x41, 0xe4, 0, 0x48, 0x0d, 0, 0x0b, 0x0b];
      expect((await run("", { program: assemble({ bodies: [loop] }) })).usage.fuel).to.equal(801n);
      const exit = assemble({
        types: [2, 0x60, 0, 0, 0x60, 1, 0x7f, 0],
        imports: functionImport("wasi_snapshot_preview1", "proc_exit", 1),
        memory: [1, 0, 1],
        exports: commandExports(1),
        bodies: [[0, 0x41, 5, 0x10, 0, 0x0b]],
      });
      const outcome = await run("", { program: exit });
      expect(outcome.exit).to.deep.equal({ code: 5 });
      expect(outcome.usage.fuel).to.equal(260n);
    });
  });

  describe("running", () => {
    it("refuses tasks that cannot be", async () => {
      const bad: Changes[] = [
        { index: -1 },
        { index: 1.5 },
        { args: ["a\0b"] },
        { args: ["x".repeat(70_000)] },
        { input: new Map([["../x", Buffer.alloc(1)]]) },
        { input: new Map([["/x", Buffer.alloc(1)]]) },
        { input: new Map([["a//x", Buffer.alloc(1)]]) },
        {
          input: new Map([
            ["a", Buffer.alloc(1)],
            ["a/b", Buffer.alloc(1)],
          ]),
        },
        { limits: { fuel: 0n } },
        { limits: { fuel: 1n << 63n } },
        { limits: { seconds: 0 } },
        { limits: { memoryBytes: Number.NaN } },
      ];
      for (const changes of bad) expect(await codeOf(run("exit 0", changes))).to.equal("TASK_INVALID");
    });

    it("stops a running task and a waiting one when they are aborted", async () => {
      const [first, second] = [new AbortController(), new AbortController()];
      const endless = { limits: { fuel: 1n << 62n } };
      const running = executor.run(task("loop", endless), { signal: first.signal });
      const waiting = executor.run(task("loop", endless), { signal: second.signal });
      second.abort(new Error("second"));
      expect(await waiting.catch((error: Error) => error.message)).to.equal("second");
      first.abort(new Error("first"));
      expect(await running.catch((error: Error) => error.message)).to.equal("first");
      const late = executor.run(task("exit 0"), { signal: first.signal });
      expect(await late.catch((error: Error) => error.message)).to.equal("first");
      expect((await run("exit 4")).exit).to.deep.equal({ code: 4 });
    });

    it("refuses work once closed, and ends what runs", async () => {
      const closing = new WasmExecutor();
      const running = codeOf(closing.run(task("loop", { limits: { fuel: 1n << 62n } })));
      await closing.close();
      expect(await running).to.equal("EXECUTOR_CLOSED");
      expect(await codeOf(closing.run(task("exit 0")))).to.equal("EXECUTOR_CLOSED");
    });

    it("refuses no workers at all", () => {
      expect(() => new WasmExecutor({ workers: 0 }))
        .to.throw()
        .with.property("code", "CONFIG_INVALID");
    });
  });
});
