import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { openEmbeddedStorage } from "#sdk/node/index.ts";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";
import { busyboxImage, engineSocket, needEngine, shell } from "../support/docker-engine.ts";
import { echoProgram } from "../support/echo-program.ts";

describe("surety check-determinism", function () {
  // Each call is a process that loads everything.
  this.timeout(60_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-test-"));
    await mkdir(join(folder, "inputs"));
    for (const name of ["a", "b", "c"]) await writeFile(join(folder, "inputs", name), name);
    await writeFile(join(folder, "echo.wasm"), echoProgram);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function check(job: object, ...args: string[]): Promise<Ended> {
    const file = join(folder, "job.yaml");
    await writeFile(file, JSON.stringify(job));
    return surety(["check-determinism", file, ...args]);
  }

  const wasm = {
    ...{ module: "./echo.wasm", args: ["task-{index}"], inputs: "./inputs", mode: "sampled", rate: "10%" },
  };

  it("finds the tasks of a WASM job the same", async () => {
    const ended = await check(wasm, "--json");
    expect(ended.exit, ended.stderr).to.equal(0);
    expect(lastJson(ended)).to.deep.equal({
      same: true,
      tasks: [0, 1, 2].map((task) => ({ task, runs: 3, same: true, exit: { code: 0 }, differences: [] })),
    });
  });

  it("runs the tasks that were asked for, as often as was asked", async () => {
    const ended = await check(wasm, "--json", "--runs", "2", "--task", "2", "0", "2");
    expect(ended.exit, ended.stderr).to.equal(0);
    const { tasks } = lastJson(ended) as { tasks: { task: number; runs: number }[] };
    expect(tasks.map(({ task, runs }) => [task, runs])).to.deep.equal([
      [0, 2],
      [2, 2],
    ]);
  });

  it("fetches what the job names by content id from the storage of an agent", async () => {
    const home = join(folder, "agent");
    const storage = await openEmbeddedStorage({ folder: join(home, "storage") });
    const cid = await storage.add(new Map([["echo.wasm", echoProgram]]));
    await storage.close();
    const stored = { ...wasm, module: `${cid}/echo.wasm` };
    const config = join(folder, "agent.json");
    const agent = { home, rpc: ["http://127.0.0.1:1"], deployment: "./none.json", key: { file: "./none.key" } };
    await writeFile(config, JSON.stringify({ ...agent, storage: { kind: "embedded" } }));
    const ended = await check(stored, "--config", config, "--task", "1", "--json");
    expect(ended.exit, ended.stderr).to.equal(0);
    expect(errorCode(await check(stored, "--task", "1"))).to.equal("MODULE_NOT_FOUND");
  });

  const refusals: [what: string, job: object, args: string[], code: string][] = [
    ["a task that is not there", wasm, ["--task", "3"], "TASK_UNKNOWN"],
    ["a single run", wasm, ["--runs", "1"], "USAGE"],
    ["a module that is not there", { ...wasm, module: "./none.wasm" }, [], "MODULE_NOT_FOUND"],
    ["a job file with an unknown key", { ...wasm, modul: "x" }, [], "JOB_FILE_INVALID"],
  ];
  for (const [what, job, args, code] of refusals) {
    it(`refuses ${what}`, async () => {
      const ended = await check(job, ...args);
      expect(errorCode(ended), ended.stderr).to.equal(code);
      expect(ended.exit).to.equal(2);
    });
  }

  describe("of images", () => {
    before(async function () {
      await needEngine(this);
      await writeFile(join(folder, "busybox.tar"), (await busyboxImage()).tar);
    });

    const image = (script: string): object => ({
      ...{ image: "./busybox.tar", entrypoint: shell(script), inputs: "./inputs" },
      limits: { memory: "64MiB", disk: "1MiB", output: "1MiB" },
    });
    const checkImage = (script: string, ...args: string[]): Promise<Ended> =>
      check(image(script), "--socket", engineSocket, ...args);
    interface Found {
      file: string;
      offset: number;
      first: { hex: string } | null;
      other: { hex: string } | null;
      causes: string[];
    }
    const found = (ended: Ended): Found[] =>
      (lastJson(ended) as { tasks: { differences: Found[] }[] }).tasks[0]!.differences;

    it("finds the same what comes to the same", async () => {
      const ended = await checkImage("cat /in/*; ls /in; seq 1000 | sha256sum > /out/sum", "--json");
      expect(ended.exit, ended.stderr).to.equal(0);
      expect(lastJson(ended)).to.include({ same: true });
    });

    it("shows where random output differs, by its bytes", async () => {
      const script = "echo same; head -c 600 /dev/zero > /out/file; head -c 32 /dev/urandom >> /out/file";
      const ended = await checkImage(script, "--json", "--task", "0");
      expect(ended.exit, ended.stderr).to.equal(1);
      const [only, ...others] = found(ended);
      expect(others).to.deep.equal([]);
      expect(only).to.deep.include({ file: "out/file", offset: 600, causes: ["random"] });
      expect(only!.first!.hex).not.to.equal(only!.other!.hex);
      expect(only!.first!.hex.slice(0, 48)).to.equal("00".repeat(24));
    });

    it("tells a clock by its looks, and what helps", async () => {
      const ended = await checkImage("echo made at $(date +%s); sleep 1.1", "--task", "1");
      expect(ended.exit, ended.stderr).to.equal(1);
      expect(ended.stdout).to.match(/stdout first differs at byte \d+ of 19/);
      expect(ended.stdout).to.contain("perhaps a clock");
      expect(ended.stdout).to.contain("1 of 1 tasks differ");
    });

    it("refuses a tar that holds no image", async () => {
      await writeFile(join(folder, "none.tar"), new Uint8Array(1024));
      const ended = await check({ ...image("true"), image: "./none.tar" }, "--socket", engineSocket);
      expect(errorCode(ended), ended.stderr).to.equal("IMAGE_INVALID");
      expect(ended.exit).to.equal(2);
    });

    it("refuses an image that is not the one that is named", async () => {
      const ended = await check({ ...image("true"), imageId: `sha256:${"ab".repeat(32)}` }, "--socket", engineSocket);
      expect(errorCode(ended), ended.stderr).to.equal("IMAGE_INVALID");
    });
  });
});
