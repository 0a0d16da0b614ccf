import type { Repetition } from "../executor/determinism.ts";
import type { Cause, Difference, Surroundings } from "../executor/difference.ts";

/** What to tell a person of each cause: what it is, and what helps. */
const ADVICE: Record<Cause, string> = {
  "file-missing":
    "a file that only some runs write: a name with a time or a process id in it, or a race between processes",
  "gzip-time": "the time stamp in a gzip header: compress with gzip -n",
  "zip-time": "the time stamp in a zip header: set the files' times before (touch -d @0), or use zip -X",
  "image-time":
    "the time stamp in a picture: leave it out (ImageMagick: -define png:exclude-chunks=date,time; ffmpeg: -bitexact)",
  time: "a clock: print no times, or fix them (SOURCE_DATE_EPOCH where the program knows it)",
  address:
    "an address in memory, which differs at every start: print no pointers, sort by nothing that depends on them",
  random: "randomness: give generators a seed (from the task's index), and files names that are not drawn",
  order:
    "the same in another order: sort what comes out of hash tables (PYTHONHASHSEED=0 for Python), of a folder's listing, or from threads",
  rounding:
    "numbers that round differently: threads that add up in another order (OMP_NUM_THREADS=1), or code that is chosen by the CPU's features",
  locale: "the decimal sign of a locale: set LC_ALL=C",
  limit: "a limit that only some runs reach: raise it well above what the task needs",
};

/** Bytes of a line of a dump. */
const WIDTH = 16;

/** What to say of a task that was run several times. */
export function repetitionText(task: number, { runs, differences }: Repetition): string {
  if (differences.length === 0) return `task ${task}: the same in ${runs} runs`;
  return [`task ${task}: run ${runs} differs from run 1`, ...differences.map((one) => differenceText(one, runs))].join(
    "\n",
  );
}

function differenceText({ file, offset, first, other, causes }: Difference, run: number): string {
  const missing = first === undefined ? "run 1" : `run ${run}`;
  const size = (has: Surroundings | undefined): string => String(has?.size);
  const place =
    first && other
      ? `first differs at byte ${offset} of ${size(first)}${first.size === other.size ? "" : ` and ${size(other)}`}`
      : `is missing in ${missing}`;
  const lines = [`  ${file} ${place}`];
  if (first) lines.push("    run 1", ...dump(first, offset));
  if (other) lines.push(`    run ${run}`, ...dump(other, offset));
  for (const cause of causes) lines.push(`    perhaps ${ADVICE[cause]}`);
  return lines.join("\n");
}

/** Lines of offset, hexadecimal and text, the byte that differs in brackets. */
function dump({ bytes, from }: Surroundings, offset: number): string[] {
  if (bytes.length === 0) return ["      (nothing)"];
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += WIDTH) {
    const row = [...bytes.subarray(at, at + WIDTH)];
    const hex = row.map((byte, place) => {
      const digits = byte.toString(16).padStart(2, "0");
      return from + at + place === offset ? `[${digits}]` : ` ${digits} `;
    });
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`      ${String(from + at).padStart(8)} ${hex.join("").padEnd(4 * WIDTH)} ${text}`);
  }
  return lines;
}

/** The same for programs: bytes in hexadecimal. */
export function repetitionJson(task: number, { runs, differences, exit }: Repetition): Record<string, unknown> {
  const side = (has: Surroundings | undefined): unknown =>
    has && { size: has.size, from: has.from, hex: Buffer.from(has.bytes).toString("hex") };
  return {
    task,
    runs,
    same: differences.length === 0,
    exit,
    differences: differences.map(({ file, offset, first, other, causes }) => {
      return { file, offset, first: side(first) ?? null, other: side(other) ?? null, causes };
    }),
  };
}
