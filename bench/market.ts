import { availableParallelism } from "node:os";
import type { JobTimes, SpinJob } from "./market/jobs.ts";
import type { PlainSpin } from "./market/spin.ts";
import type { Section, Size, Target } from "./section.ts";
import { number, tableOf } from "./table.ts";

/** How long jobs take on a market of real agents, beside what their tasks take. */
export interface MarketFigures {
  cores: number;
  jobs: MeasuredJob[];
}

/** A job on a market, and its tasks in sandboxes of one process, as many at once as there are nodes or cores. */
export interface MeasuredJob extends SpinJob {
  nodes: number;
  plain: PlainSpin;
  times: JobTimes;
}

/** Nodes, and jobs one after the other: tasks of a second that more nodes share, then tasks of other lengths for one. */
const PLANS: Record<Size, [number, SpinJob[]][]> = {
  quick: [[1, [{ tasks: 100, milliseconds: 1 }]]],
  whole: [
    [
      1,
      [
        { tasks: 60, milliseconds: 1000 },
        { tasks: 10_000, milliseconds: 1 },
        { tasks: 200, milliseconds: 100 },
        { tasks: 4, milliseconds: 10_000 },
      ],
    ],
    [2, [{ tasks: 60, milliseconds: 1000 }]],
    [6, [{ tasks: 60, milliseconds: 1000 }]],
    [16, [{ tasks: 60, milliseconds: 1000 }]],
  ],
};

/** Time from post to settled, over that of the tasks alone, of tasks of a second and more. */
const LATENCY = 1.25;

export const market: Section<MarketFigures> = {
  title: "On a market",

  async measure(options) {
    const { size, signal, say } = options;
    const { loopsPerMillisecond, spinPlain, spinProgram } = await import("./market/spin.ts");
    const { runJobs } = await import("./market/jobs.ts");
    const cores = availableParallelism();
    const loops = await loopsPerMillisecond(signal);
    const jobs: MeasuredJob[] = [];
    for (const [nodes, plan] of PLANS[size]) {
      const plain: PlainSpin[] = [];
      for (const { tasks, milliseconds } of plan) {
        say(`${tasks} tasks of ${milliseconds} ms in one process`);
        const workers = Math.min(nodes, cores);
        plain.push(await spinPlain(spinProgram(Math.round(loops * milliseconds)), { tasks, workers }, signal));
      }
      const times = await runJobs(nodes, plan, { loops, signal, say });
      jobs.push(...plan.map((job, place) => ({ ...job, nodes, plain: plain[place]!, times: times[place]! })));
    }
    return { cores, jobs };
  },

  render(figures) {
    return { text: textOf(figures), plots: {}, targets: targetsOf(figures) };
  },
};

/** Seconds from post to settled over those of the tasks in one process. */
function ratioOf({ plain, times }: MeasuredJob): number {
  return (times.settled - times.posted) / plain.seconds;
}

function textOf({ cores, jobs }: MarketFigures): string[] {
  const rows = jobs.map((job) => {
    const { nodes, tasks, milliseconds, plain, times } = job;
    const { posted, submitted, settled, ended, sampled, cpu } = times;
    return [
      `${number(tasks)} tasks of ${number(milliseconds)} ms, ${nodes === 1 ? "1 node" : `${nodes} nodes`}`,
      number(sampled),
      number(plain.seconds),
      number(posted),
      number(submitted - posted),
      number(settled - posted),
      number(ended - settled),
      number(ratioOf(job)),
      number(tasks / ended),
      cpu ? `${number((1000 * cpu.nodes) / tasks)} + ${number((1000 * cpu.requester) / tasks)}` : "",
    ];
  });
  return [
    "Jobs of tasks that only take time, with next to nothing to read and to write, submitted with `surety submit --wait` on a",
    `devnet that has a block a second: ${cores} cores for its chain, its gateway and all agents. With fewer than six nodes`,
    "nobody is left to check, and they are trusted; otherwise 3 % are checked. *Tasks alone* is the same tasks in sandboxes",
    "of one process, as many at once as there are nodes or cores. *To post* imports and uploads inputs; *to fetch* outputs.",
    "The chain's clock has whole seconds.",
    "",
    ...tableOf(
      [
        "job",
        "tasks checked",
        "tasks alone, s",
        "to post, s",
        "post to last submission, s",
        "post to settled, s",
        "to fetch, s",
        "post to settled over tasks alone",
        "tasks a second, all in all",
        "CPU a task of nodes + requester, ms",
      ],
      rows,
    ),
    "",
  ];
}

function targetsOf({ jobs }: MarketFigures): Target[] {
  const long = jobs.filter(({ milliseconds }) => milliseconds >= 1000);
  const targets = long.map((job): Target => {
    const ratio = ratioOf(job);
    const { nodes, tasks, milliseconds, plain, times } = job;
    const beyond = times.settled - times.posted - plain.seconds;
    return {
      what: `post to settled over tasks alone: ${tasks} × ${milliseconds / 1000} s on ${nodes === 1 ? "1 node" : `${nodes} nodes`}`,
      target: `≤ ${LATENCY} ×`,
      measured: `${number(ratio)} ×`,
      outcome: ratio <= LATENCY ? "met" : "missed",
      why: `${number(beyond)} s more than the tasks alone: finality, sealing, drawing and checking wait for blocks of a second, and the chain and ${nodes} agents share the cores with the tasks.`,
    };
  });
  const short = jobs.filter(({ milliseconds }) => milliseconds === 1).at(-1);
  if (!short) return targets;
  const { times, plain, tasks } = short;
  const perTask = times.cpu ? (1000 * (times.cpu.nodes + times.cpu.requester)) / tasks : NaN;
  return [
    ...targets,
    {
      what: `${number(tasks)} tasks of a millisecond: time of the sandbox over that of the job`,
      target: "≥ 0.5",
      measured: number(plain.seconds / times.ended),
      outcome: plain.seconds / times.ended >= 0.5 ? "met" : "missed",
      why: `the agents are the bottleneck: ${number(perTask)} ms of CPU a task, for content ids, encryption and a request to the gateway each for its input and its result, at either end. What takes a task longer than that leaves most of the time to the sandbox: small ones belong together in one.`,
    },
  ];
}
