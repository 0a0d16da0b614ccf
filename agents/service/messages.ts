/*
 * The messages of `proto/surety/requester/v1/requester.proto` as this program has them: names in camel case, 64-bit integers
 * as numbers, enumerations as their names, everything that was left out as its default. What each means stands there.
 */

/** The only parts that are set of a `oneof` are named by its discriminator. */
export type SubmitJobRequest =
  | { part: "header"; header: SubmitJobHeader }
  | { part: "file"; file: { path: string } }
  | { part: "chunk"; chunk: Uint8Array };

export interface SubmitJobHeader {
  idempotencyKey: string;
  jobFile: string;
  spendingLimit: string;
}

export interface SubmitJobResponse {
  job: Job;
  repeated: boolean;
}

/** What {@link Job.state} can be. */
export const jobStates = [
  "JOB_STATE_QUEUED",
  "JOB_STATE_POSTING",
  "JOB_STATE_POSTED",
  "JOB_STATE_COMPUTING",
  "JOB_STATE_SEALED",
  "JOB_STATE_REVEALED",
  "JOB_STATE_CHECKING",
  "JOB_STATE_JUDGED",
  "JOB_STATE_SETTLED",
  "JOB_STATE_FAILED",
] as const;

export type JobStateName = (typeof jobStates)[number];

export interface Counts {
  tasks: number;
  claimed: number;
  submitted: number;
  sampled: number;
  answered: number;
  contended: number;
  settled: number;
  accused: number;
}

/** Base units. */
export interface Money {
  escrow: string;
  bond: string;
  paid: string;
  burned: string;
  returned: string;
}

export interface Task {
  task: number;
  outcome: string;
  output: string;
  node: string;
  exit?: "code" | "limit" | "trap";
  code?: number;
  limit?: string;
  trap?: string;
}

/** Why a call or a job failed. */
export interface ErrorMessage {
  code: string;
  message: string;
  fix: string;
  details: Record<string, string>;
  retryable: boolean;
}

export interface Job {
  id: string;
  name: string;
  state: JobStateName;
  batchId: string;
  termsId: string;
  counts: Counts;
  money: Money;
  error: ErrorMessage | null;
  tasks: Task[];
  acceptedAt: number;
  idempotencyKey: string;
  reserved: string;
  cost: string;
  cancelRequested: boolean;
  lastEvent: number;
}

/** What {@link JobEvent.kind} can be. */
export const jobEventKinds = [
  "JOB_EVENT_KIND_ACCEPTED",
  "JOB_EVENT_KIND_BATCH_POSTED",
  "JOB_EVENT_KIND_TASKS_CLAIMED",
  "JOB_EVENT_KIND_RESULTS_SUBMITTED",
  "JOB_EVENT_KIND_BATCH_SEALED",
  "JOB_EVENT_KIND_SEED_REVEALED",
  "JOB_EVENT_KIND_CHECKS_ANSWERED",
  "JOB_EVENT_KIND_NODE_ACCUSED",
  "JOB_EVENT_KIND_DISPUTE_OPENED",
  "JOB_EVENT_KIND_DISPUTE_CLOSED",
  "JOB_EVENT_KIND_BATCH_JUDGED",
  "JOB_EVENT_KIND_TASKS_SETTLED",
  "JOB_EVENT_KIND_REWOUND",
  "JOB_EVENT_KIND_JOB_SETTLED",
  "JOB_EVENT_KIND_JOB_FAILED",
  "JOB_EVENT_KIND_CANCEL_REQUESTED",
] as const;

export type JobEventKind = (typeof jobEventKinds)[number];

export interface JobEvent {
  sequence: number;
  kind: JobEventKind;
  at: number;
  job: Job;
}

export interface WatchJobRequest {
  job: string;
  after: number;
}

export interface ListJobsRequest {
  after: string;
  limit: number;
}

export interface ListJobsResponse {
  jobs: Job[];
  more: boolean;
}

export interface FetchResultsRequest {
  job: string;
  tasks: number[];
  maxBytes: number;
}

export interface ResultFile {
  task: number;
  path: string;
  size: number;
}

export type FetchResultsResponse = { part: "file"; file: ResultFile } | { part: "chunk"; chunk: Uint8Array };

/** Amounts are base units. */
export interface Budget {
  client: string;
  period: "PERIOD_TOTAL" | "PERIOD_DAY";
  limit: string;
  spent: string;
  reserved: string;
  available: string;
  openJobs: number;
  maxJobs: number;
  tokenSymbol: string;
  tokenDecimals: number;
}
