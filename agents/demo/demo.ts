import { spawn } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatAmount } from "#sdk/amount.ts";
import { SuretyError } from "#sdk/errors.ts";
import { sampledCountOf } from "#sdk/market-state.ts";
import { assembleRaster, rasterDigest } from "../../examples/coastline/assemble.ts";
import { buildModule, MODULE_PATH } from "../../examples/coastline/build.ts";
import { DEMO_LAYOUT, tilesOf } from "../../examples/coastline/layout.ts";
import { renderMap } from "../../examples/coastline/picture.ts";
import { runPlain } from "../../examples/coastline/plain.ts";
import { prepareTiles } from "../../examples/coastline/prepare.ts";
import { HttpRpc } from "../chain/rpc.ts";
import { printError, toJson } from "../cli/run-command.ts";
import { startDevnet, type Devnet } from "../devnet/devnet.ts";
import { accountNames } from "../devnet/devnet-file.ts";
import { WasmExecutor } from "../executor/wasm-executor.ts";
import { readDeployment } from "../chain-agent.ts";
import { DEMO_RATE, writeJobFile } from "./job.ts";
import { Witness, type Money } from "./witness.ts";

/*
 * The main job from end to end, on a market of one's own: a world map of distances to the coast, computed by nodes of
 * which one lies and one is lazy. See README.md.
 */

const HELP = `npm run demo -- [options]

Computes a map of the world on a market of its own and shows what happened.

  --nodes N    compute nodes, one lying and one lazy among them; at least 6 (default 8)
  --home DIR   where everything is kept (default .surety/demo)
  --json       end with one JSON object
  --help       this`;

const root = fileURLToPath(new URL("../..", import.meta.url));
const mainScript = fileURLToPath(new URL("../cli/main.ts", import.meta.url));

interface DemoOptions {
  nodes: number;
  home: string;
  json: boolean;
}

/** What the demo ends with. */
interface Summary {
  tasks: number;
  settled: number;
  sampled: number;
  accused: string[];
  paid: string;
  extraWork: number;
  gasPerTask: number;
  conserved: boolean;
  picture: string;
  sha256: string;
}

async function demo({ nodes, home, json }: DemoOptions, signal: AbortSignal): Promise<Summary> {
  const began = Date.now();
  const say = (line = ""): void => void (json || process.stdout.write(`${line}\n`));
  const stamp = (): string => `${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s  `;
  const step = (line: string): void => say(`${stamp()}${line}`);

  await rm(join(home, "job"), { recursive: true, force: true });
  await mkdir(join(home, "job"), { recursive: true });
  step("compiling the program (examples/coastline) and cutting the world into 72 tiles");
  await buildModule();
  const inputs = join(home, "job", "tiles");
  await prepareTiles({ ...DEMO_LAYOUT, outFolder: inputs });
  const module = join(home, "job", "coastline.wasm");
  await writeFile(module, await readFile(MODULE_PATH));
  const jobFile = await writeJobFile({ folder: join(home, "job"), module, inputs, nodes });

  let devnet: Devnet | undefined;
  const watching = new AbortController();
  try {
    devnet = await startDevnet({
      home: join(home, "devnet"),
      port: 0,
      nodes,
      liars: 1,
      lazy: 1,
      signal,
      onProgress: step,
    });
    const { file } = devnet;
    const deployment = await readDeployment(file.deployment);
    const witness = new Witness(
      deployment,
      new HttpRpc({ urls: [file.rpc], chainId: file.chainId }),
      accountNames(file),
      step,
    );
    await witness.catchUp();
    const before = await witness.money();
    say();
    step(`submitting ${relative(process.cwd(), jobFile)}, ${DEMO_RATE} of the tasks to be checked`);
    const watch = witness.watch(AbortSignal.any([signal, watching.signal]));
    const outputs = join(home, "job", "outputs");
    await Promise.race([devnet.failed, submit(jobFile, devnet.path, outputs, signal)]);
    await witness.catchUp();
    watching.abort();
    await watch;

    say();
    step("assembling the map, and running the same program over all tiles in one process to compare");
    const tiles = await Promise.all(
      tilesOf(DEMO_LAYOUT).map(({ index }) => readFile(join(outputs, String(index), "out", "tile.bin"))),
    );
    const raster = assembleRaster(tiles, DEMO_LAYOUT);
    const picture = join(home, "coastline.png");
    await writeFile(picture, renderMap(raster, DEMO_LAYOUT));
    const plain = await plainDigest(signal);
    const sha256 = rasterDigest(raster);
    if (sha256 !== plain) {
      throw new SuretyError(
        "DEMO_RESULT_WRONG",
        `the market's map has sha256 ${sha256}, one process alone makes ${plain}`,
        {
          fix: "A wrong result was paid for and not noticed: please report it.",
        },
      );
    }
    const after = await witness.money();
    const summary = await summarise(witness, after, picture, sha256);
    tell(witness, { before, after, summary, decimals: deployment.token.decimals, say });
    step(`done; everything is in ${relative(process.cwd(), home)}`);
    if (!summary.conserved)
      throw new SuretyError("DEMO_MONEY_WRONG", "tokens are missing or too many", { fix: "Please report it." });
    return summary;
  } finally {
    watching.abort();
    await devnet?.stop();
  }
}

/** Submits the job as a person would, in a process of its own, and waits until it is settled. */
async function submit(jobFile: string, devnetFile: string, outputs: string, signal: AbortSignal): Promise<void> {
  const args = [
    "--disable-warning=ExperimentalWarning",
    mainScript,
    "submit",
    jobFile,
    "--devnet",
    devnetFile,
    "--wait",
    "--out",
    outputs,
    "--json",
  ];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], signal });
  let answer = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (answer += text));
  const status = await new Promise<number | null>((settle, fail) => child.once("error", fail).once("close", settle));
  if (status !== 0) {
    throw new SuretyError(
      "DEMO_JOB_FAILED",
      `surety submit ended with status ${status}: ${answer.trim().split("\n").at(-1) ?? ""}`,
      {
        fix: "See the agents' logs (agent.log) in the demo's home.",
      },
    );
  }
}

async function plainDigest(signal: AbortSignal): Promise<string> {
  const executor = new WasmExecutor();
  try {
    return rasterDigest(await runPlain({ executor, program: await buildModule(), layout: DEMO_LAYOUT, signal }));
  } finally {
    await executor.close();
  }
}

async function summarise(witness: Witness, after: Money, picture: string, sha256: string): Promise<Summary> {
  const tasks = DEMO_LAYOUT.columns * DEMO_LAYOUT.rows;
  let settled = 0;
  let sampled = 0;
  let checks = 0;
  let paid = 0n;
  const accused = new Set<string>();
  for (const record of witness.state.batches.values()) {
    for (const assignment of record.assignments) {
      const count = sampledCountOf(record, assignment);
      sampled += count;
      checks += count * assignment.answers.length;
      paid += assignment.outcome?.paid ?? 0n;
      if (assignment.outcome && ["paid", "forced", "seat-slashed"].includes(assignment.outcome.outcome))
        settled += assignment.count;
      for (const { accused: node } of assignment.exceptions) if (node) accused.add(node);
    }
  }
  const gas = await witness.gas();
  return {
    tasks,
    settled,
    sampled,
    accused: [...accused],
    paid: String(paid),
    extraWork: checks / tasks,
    gasPerTask: Math.round(Number(gas) / tasks),
    conserved: after.conserved && after.escrow === 0n,
    picture,
    sha256,
  };
}

/** The end of the show: who did what to whom, and where the money went. */
function tell(
  witness: Witness,
  {
    before,
    after,
    summary,
    decimals,
    say,
  }: { before: Money; after: Money; summary: Summary; decimals: number; say: (line?: string) => void },
): void {
  const amount = (units: bigint): string => Number(formatAmount(units, decimals)).toFixed(2);
  const signed = (units: bigint): string =>
    units < 0n ? `-${amount(-units)}` : units > 0n ? `+${amount(units)}` : "0";
  say();
  say("Who was checked, and by whom");
  for (const record of witness.state.batches.values()) {
    for (const assignment of record.assignments) {
      const count = sampledCountOf(record, assignment);
      const verifiers = assignment.answers.map(({ node }) => witness.name(node)).join(", ");
      const last = assignment.first + assignment.count - 1;
      const checked = count > 0 ? `${count} checked by ${verifiers}` : "unchecked";
      say(
        `  ${witness.name(assignment.node).padEnd(16)} tasks ${`${assignment.first}-${last}`.padEnd(6)} ${checked}: ${assignment.outcome?.outcome ?? assignment.status}`,
      );
    }
  }
  say();
  say("Money, in tokens           before            after           change   of it stake");
  for (const [address, held] of after.accounts) {
    const was = before.accounts.get(address);
    const sum = (one: typeof held | undefined): bigint => (one ? one.wallet + one.vault + one.stake : 0n);
    if (witness.name(address) === "deployer") continue;
    const change = sum(held) - sum(was);
    say(
      `  ${witness.name(address).padEnd(16)} ${amount(sum(was)).padStart(15)} ${amount(sum(held)).padStart(16)} ${signed(change).padStart(16)} ${signed(held.stake - (was?.stake ?? 0n)).padStart(13)}`,
    );
  }
  const burned = after.burned - before.burned;
  say(`  ${"burned".padEnd(16)} ${"".padStart(15)} ${"".padStart(16)} ${signed(burned).padStart(16)}`);
  say(`  ${after.conserved ? "Every token is accounted for." : "TOKENS ARE MISSING."}`);
  say();
  const accused = summary.accused.map((address) => witness.name(address)).join(" and ") || "nobody";
  say(`Tasks          ${summary.tasks}, all of them computed, paid for and equal to a run in one process`);
  say(
    `Checked        ${summary.sampled} tasks; extra work ${(100 * summary.extraWork).toFixed(1)} % (the demo checks ${DEMO_RATE}, not the usual 3 %)`,
  );
  say(`Caught         ${accused}`);
  say(`Paid           ${amount(BigInt(summary.paid))} tokens to nodes`);
  say(
    `Gas            ${summary.gasPerTask.toLocaleString("en")} a task, everybody's transactions counted; the more tasks in a batch, the less`,
  );
  say(`sha256         ${summary.sha256}`);
  say(`Picture        ${relative(process.cwd(), summary.picture)}`);
  say();
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: "string", default: "8" },
      home: { type: "string", default: join(root, ".surety", "demo") },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${HELP}\n`);
    return;
  }
  const nodes = Number(values.nodes);
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  try {
    if (!Number.isInteger(nodes) || nodes < 6 || nodes > 32) {
      throw new SuretyError("DEMO_OPTIONS", `--nodes is ${values.nodes}, expected 6 to 32`, {
        fix: "Leave it out for 8.",
        exit: 2,
      });
    }
    const summary = await demo({ nodes, home: resolve(values.home), json: values.json }, stop.signal);
    if (values.json) process.stdout.write(`${toJson(summary)}\n`);
  } catch (error) {
    process.exitCode = stop.signal.aborted ? 130 : printError(error, values.json);
  }
}

await main();
