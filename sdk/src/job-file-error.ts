import { ExitStatus, SuretyError } from "./errors.ts";

/** One thing wrong with a job file. */
export interface JobFileProblem {
  /** Which key: `windows.claim`, `inputs.3`; empty for the file as a whole. */
  path: string;
  /** What was wrong and what was expected, with an example. */
  message: string;
}

/** Thrown for a job file, with every problem found in it. */
export class JobFileError extends SuretyError {
  override readonly name = "JobFileError";
  readonly problems: readonly JobFileProblem[];

  constructor(problems: readonly JobFileProblem[], cause?: unknown) {
    const lines = problems.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
    super("JOB_FILE_INVALID", lines.join("\n"), {
      details: { problems: problems.length, first: lines[0] },
      fix: "Correct the job file; nothing was posted.",
      exit: ExitStatus.badInput,
      cause,
    });
    this.problems = problems;
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), problems: this.problems };
  }
}
