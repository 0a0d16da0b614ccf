import type { MeasureOptions, Section, Target } from "./section.ts";
import { runContainers, type ContainerRuns, type NoContainers } from "./speed/containers.ts";
import { runFollower, type FollowerRuns } from "./speed/follower.ts";
import { findCompiler, runKernels, type Compiler, type KernelRuns } from "./speed/kernels.ts";
import { startUps, type Started, type StartUp } from "./speed/start-up.ts";
import { runStorage, type StorageRuns } from "./speed/storage.ts";
import { spreadOf } from "./spread.ts";
import { number, spread, tableOf } from "./table.ts";

/** How fast the parts of an agent are, each beside what limits it. */
export interface SpeedFigures {
  compiler: Compiler;
  kernels: KernelRuns[];
  startUp: StartUp;
  /** These three came later than the others: older results lack them. */
  containers?: ContainerRuns | NoContainers;
  storage?: StorageRuns[];
  follower?: FollowerRuns;
}

/** How many times as long as native code an integer kernel may take in the sandbox. */
const INTEGER_RATIO = 1.6;

export const speed: Section<SpeedFigures> = {
  title: "Speed",

  async measure(options) {
    const compiler = await findCompiler(options.signal);
    if ("missing" in compiler) options.say(`SKIPPED, the sandbox beside native code: ${compiler.missing}`);
    return {
      compiler,
      kernels: "missing" in compiler ? [] : await runKernels(options),
      startUp: await startUps(options),
      containers: await measureContainers(options),
      storage: await runStorage(options),
      follower: await runFollower(options),
    };
  },

  render(figures) {
    const text = [kernelsText, containersText, storageText, followerText, startUpText].flatMap((part) => part(figures));
    return { text, plots: {}, targets: targetsOf(figures) };
  },
};

async function measureContainers(options: MeasureOptions): Promise<ContainerRuns | NoContainers> {
  const runs = await runContainers(options);
  if ("missing" in runs) options.say(`SKIPPED, containers: ${runs.missing}`);
  return runs;
}

/** CPU of each run in the sandbox over that of the native one just before. */
function ratios({ native, wasm }: KernelRuns): number[] {
  return wasm.map((seconds, run) => seconds / native[run]!);
}

function kernelsText({ compiler, kernels }: SpeedFigures): string[] {
  const head = ["### WASM beside native code", ""];
  if ("missing" in compiler) return [...head, `**Not measured.** ${compiler.missing}`, ""];
  const rows = kernels.map((runs) => [
    `${runs.kernel.name}, ${runs.target}: ${runs.kernel.about}`,
    spread(spreadOf(runs.native)),
    spread(spreadOf(runs.wasm)),
    spread(spreadOf(ratios(runs))),
    number(runs.fuel / spreadOf(runs.wasm).median / 1e9),
  ]);
  return [
    ...head,
    `The same C, compiled by ${compiler.version} at \`-O2\` for the host and for WASI, there without and with SIMD`,
    "(`-msimd128`), which on hosts compilers use by themselves. Run by turns, native and in the sandbox of the agents:",
    "metered, in a thread, on V8's optimising compiler, compiled before. CPU seconds; both give the same results.",
    "",
    ...tableOf(["kernel", "native, CPU s", "sandbox, CPU s", "ratio", "billion units of fuel a second"], rows),
    "",
  ];
}

function containersText({ containers }: SpeedFigures): string[] {
  if (!containers) return [];
  const head = ["### Containers", ""];
  if ("missing" in containers) return [...head, `**Not measured.** ${containers.missing}`, ""];
  const { engine, task, command, process } = containers;
  const plain = spreadOf(process).median;
  const row = (name: string, all: readonly number[]): string[] =>
    all.length === 0 ? [] : [name, spread(spreadOf(all)), number(1000 * (spreadOf(all).median - plain))];
  return [
    ...head,
    `What a container costs around \`/bin/true\`, on ${engine}, whatever the program does then:`,
    "",
    ...tableOf(
      ["what", "seconds", "more than the process, ms"],
      [
        row("a process of this machine", process),
        row("`docker run --rm`", command),
        row("a task of an agent: confined, inputs brought in, outputs taken, resources traced", task),
      ].filter((cells) => cells.length > 0),
    ),
    "",
  ];
}

function storageText({ storage }: SpeedFigures): string[] {
  if (!storage) return [];
  const rate = (bytes: number, seconds: readonly number[]): string => number(bytes / spreadOf(seconds).median / 1e6);
  const over = (mine: readonly number[], limit: readonly number[]): string =>
    spread(spreadOf(mine.map((seconds, run) => seconds / limit[run]!)));
  return [
    "### Storage",
    "",
    "The embedded store: *adding* cuts content into blocks, hashes and keeps them, beside writing the same bytes to as many",
    "files and syncing them; *fetching* takes it from another store's gateway on this machine and checks every block, beside",
    "the same bytes in one answer over HTTP. MB a second, and how many times as long as the limit it takes:",
    "",
    ...tableOf(
      ["content", "add", "disk", "ratio", "fetch", "loopback", "ratio"],
      storage.map(({ name, files, bytes, add, write, fetch, loopback }) => [
        `${name}: ${number(files)} × ${number(bytes / files / 1024)} KiB`,
        rate(bytes, add),
        rate(bytes, write),
        over(add, write),
        rate(bytes, fetch),
        rate(bytes, loopback),
        over(fetch, loopback),
      ]),
    ),
    "",
  ];
}

function followerText({ follower }: SpeedFigures): string[] {
  if (!follower) return [];
  const { blocks, events, read, plain, journalBytes, pollMs, lag } = follower;
  const rate = (seconds: readonly number[]): string => number(events / spreadOf(seconds).median);
  return [
    "### Following a chain",
    "",
    `${number(events)} events of 32 bytes in ${number(blocks)} blocks of anvil, read into a new journal that is synced at every step; older`,
    "blocks in ranges, the newest 256 one by one. Beside it, the same logs asked for in one piece and parsed.",
    "",
    ...tableOf(
      ["what", "seconds", "events a second"],
      [
        ["the follower", spread(spreadOf(read)), rate(read)],
        ["`eth_getLogs` once", spread(spreadOf(plain)), rate(plain)],
      ],
    ),
    "",
    `An event takes ${number(journalBytes)} bytes of the journal. A new block is acted on ${spread(spreadOf(lag))} ms after it was mined by`,
    `an agent that looks every ${number(pollMs)} ms.`,
    "",
  ];
}

function startUpText({ startUp }: SpeedFigures): string[] {
  const { node, commandLine, program, programBytes } = startUp;
  const row = (name: string, all: readonly Started[]): string[] => [
    name,
    spread(spreadOf(all.map(({ cpu }) => cpu))),
    spread(spreadOf(all.map(({ memory }) => memory))),
  ];
  return [
    "### Starting",
    "",
    ...tableOf(
      ["what", "CPU s", "memory, MiB"],
      [
        row("Node with nothing to do", node),
        row("`surety --version`: Node and the modules of the command line", commandLine),
        [
          `a sandbox, and checking, metering and compiling the demo's program (${number(programBytes)} bytes)`,
          spread(spreadOf(program)),
          "",
        ],
      ],
    ),
    "",
  ];
}

function targetsOf({ kernels }: SpeedFigures): Target[] {
  // What a requester would compile its program to.
  const integer = kernels.filter(({ kernel, target }) => kernel.numbers === "integer" && target === "SIMD");
  return integer.map((runs) => {
    const { median } = spreadOf(ratios(runs));
    return {
      what: `WASM against native: ${runs.kernel.name}`,
      target: `≤ ${INTEGER_RATIO} ×`,
      measured: `${number(median)} ×`,
      outcome: median <= INTEGER_RATIO ? "met" : "missed",
      why: `by ${number(100 * (median / INTEGER_RATIO - 1))} %: metering charges at every function and loop head, which short loops feel most, and V8 checks what a C compiler leaves out.`,
    };
  });
}
