import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { TraceSummary } from "#sdk/resource-trace.ts";

/*
 * How `surety submit` and the requester agent of a home talk: through files, each written whole or not at all, so
 * that either may be killed at any moment.
 *
 *   <home>/inbox/<ticket>.json   put there by submit: to be posted
 *   <home>/taken/<ticket>.json   moved there by the agent, after its journal has it
 *   <home>/jobs/<ticket>.json    written by the agent: how far it is
 *   <home>/results/<ticket>/<task>/{exit,stdout,stderr,out/…}
 *   <home>/traces/<ticket>/<task>.json
 */

/** A ticket's id: time and chance, so that the order of names is the order of submission. */
const ticketId = z.string().regex(/^[0-9]{13}-[0-9a-f]{8}$/);
/** Base units as a decimal string. */
const units = z.string().regex(/^\d{1,30}$/);
const seconds = z
  .int()
  .min(1)
  .max(2 ** 32 - 1);
const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/);
const ppm = z.int().min(0).max(1_000_000);

const jobTicketSchema = z.strictObject({
  ticket: ticketId,
  name: z.string(),
  createdAt: z.string(),
  terms: z.strictObject({
    spec: z.string(),
    mode: z.enum(["trusted", "sampled", "replicated"]),
    adaptive: z.boolean(),
    quorum: z.int().min(1).max(15),
    rate: ppm,
    guess: ppm,
    maxShare: ppm,
    minSlice: z.int().min(1),
    price: units,
    verifierPrice: units,
    slashAmount: units.nullable(),
    fullSlash: z.boolean(),
    class: z.string().regex(/^0x[0-9a-f]{64}$/),
    windows: z.strictObject({
      claim: seconds,
      submit: seconds,
      reveal: seconds,
      check: seconds,
      judge: seconds,
      challenge: seconds,
    }),
    allowed: z.array(address),
    excluded: z.array(address),
    delegate: address.optional(),
  }),
  manifest: z.string(),
  count: z.int().min(1),
  plantShare: ppm,
  spendingLimit: units.optional(),
});

/** What a person asked for, with everything in storage already. Amounts are base units as decimal strings. */
export interface JobTicket {
  /** Its id; see {@link newTicketId}. */
  ticket: string;
  name: string;
  /** ISO 8601, for people. */
  createdAt: string;
  /** What the agent makes the job's terms of. */
  terms: {
    /** Content id of the directory with `job.json`. */
    spec: string;
    mode: "trusted" | "sampled" | "replicated";
    adaptive: boolean;
    quorum: number;
    /** Parts per million, as are `guess` and `maxShare`. */
    rate: number;
    guess: number;
    maxShare: number;
    minSlice: number;
    price: string;
    verifierPrice: string;
    /** `null`: the least the market allows. */
    slashAmount: string | null;
    fullSlash: boolean;
    /** 32 bytes, hexadecimal. */
    class: string;
    /** Seconds. */
    windows: { claim: number; submit: number; reveal: number; check: number; judge: number; challenge: number };
    allowed: string[];
    excluded: string[];
    /** A key that may judge for the requester. */
    delegate?: string;
  };
  /** Content id of the directory with `batch.json`. */
  manifest: string;
  /** Tasks. */
  count: number;
  /** Parts per million of the tasks to replace by planted ones. */
  plantShare: number;
  /**
   * Nothing is posted again that could make the job cost more than this, base units; disputes are fought all the same.
   * Default: no limit.
   */
  spendingLimit?: string;
}

/** How far a job is. */
export type JobState =
  "queued" | "posting" | "posted" | "computing" | "sealed" | "revealed" | "checking" | "judged" | "settled" | "failed";

/** What came of one task. */
export interface TaskStatus {
  /** Index in the batch. */
  task: number;
  /** What became of its assignment, or `unclaimed`. */
  outcome: string;
  /** Content id of the output directory, where it is known. */
  output?: string;
  /** The node that ran it. */
  node?: string;
  /** How it ended, where the output could be read. */
  exit?: { code: number } | { limit: string } | { trap: string };
  /** What it used, as the node says that ran it; nothing checks that. */
  used?: TraceSummary;
}

/** How many tasks got how far; assignments and seats are not counted here. */
export interface JobCounts {
  tasks: number;
  claimed: number;
  submitted: number;
  sampled: number;
  answered: number;
  accused: number;
  /** Of assignments that are accused or disputed now. */
  contended: number;
  settled: number;
}

/** What the agent says about a job. Amounts are base units as decimal strings. */
export interface JobStatus {
  ticket: string;
  name: string;
  state: JobState;
  batchId?: string;
  jobId?: string;
  counts: JobCounts;
  /** Once the batch is settled. */
  results?: TaskStatus[];
  /** Why it failed, or what keeps it from going on. */
  error?: { code: string; message: string; fix?: string };
  money: {
    /** Locked when it was posted. */
    escrow: string;
    /** The same, and what exceptions, contests and appeals locked since. */
    bond: string;
    /** To nodes. */
    paid: string;
    burned: string;
    /** To the requester. */
    returned: string;
  };
}

/** A fresh id: milliseconds since 1970, then eight random digits. */
export function newTicketId(now: number = Date.now()): string {
  return `${String(now).padStart(13, "0")}-${randomBytes(4).toString("hex")}`;
}

/** Folder that decrypted outputs of a ticket go to, one sub-folder per task. */
export function outputsFolder(home: string, ticket: string, resultsFolder?: string): string {
  return join(resultsFolder ?? join(home, "results"), checkTicketId(ticket));
}

/** Folder that the resource traces of a ticket's tasks go to, one file per task. */
export function tracesFolder(home: string, ticket: string): string {
  return join(home, "traces", checkTicketId(ticket));
}

/** Hands a job to the agent of a home. When it returns, the ticket is on disk; putting it again is harmless. */
export async function putTicket(home: string, ticket: JobTicket): Promise<void> {
  checkTicketId(ticket.ticket);
  await writeWhole(join(home, "inbox", `${ticket.ticket}.json`), ticket);
}

/**
 * What waits in a home's inbox, oldest first. Files that are no tickets are reported in `flawed` and left.
 */
export async function readTickets(
  home: string,
): Promise<{ tickets: JobTicket[]; flawed: { file: string; reason: string }[] }> {
  const tickets: JobTicket[] = [];
  const flawed: { file: string; reason: string }[] = [];
  for (const name of await jsonFiles(join(home, "inbox"))) {
    const file = join(home, "inbox", name);
    try {
      const ticket = await readJson(file);
      // Taken by the agent between listing and reading.
      if (ticket === undefined) continue;
      tickets.push(jobTicketSchema.parse(ticket));
    } catch (error) {
      flawed.push({ file, reason: (error as Error).message });
    }
  }
  return { tickets, flawed };
}

/** One ticket, whether it waits or was taken; undefined if there is none. */
export async function readTicket(home: string, ticket: string): Promise<JobTicket | undefined> {
  checkTicketId(ticket);
  for (const folder of ["inbox", "taken"]) {
    const found = await readJson(join(home, folder, `${ticket}.json`));
    if (found !== undefined) return jobTicketSchema.parse(found);
  }
  return undefined;
}

/** Takes a ticket out of the inbox. To be called after the journal has it; calling it again does nothing. */
export async function takeTicket(home: string, ticket: string): Promise<void> {
  checkTicketId(ticket);
  const taken = join(home, "taken", `${ticket}.json`);
  await mkdir(dirname(taken), { recursive: true });
  try {
    await rename(join(home, "inbox", `${ticket}.json`), taken);
    await syncFolder(dirname(taken));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** Says how far a job is. */
export async function writeStatus(home: string, status: JobStatus): Promise<void> {
  checkTicketId(status.ticket);
  await writeWhole(join(home, "jobs", `${status.ticket}.json`), status);
}

/** How far a job is; one that the agent has not seen yet is `queued`; undefined if there is no such ticket. */
export async function readStatus(home: string, ticket: string): Promise<JobStatus | undefined> {
  checkTicketId(ticket);
  const status = await readJson(join(home, "jobs", `${ticket}.json`));
  if (status !== undefined) return status as JobStatus;
  const waiting = await readTicket(home, ticket);
  return waiting && newStatus(waiting);
}

/** Every job of a home, oldest first. */
export async function listStatuses(home: string): Promise<JobStatus[]> {
  const names = new Set<string>();
  for (const folder of ["jobs", "inbox", "taken"])
    for (const name of await jsonFiles(join(home, folder))) names.add(name);
  const statuses: JobStatus[] = [];
  for (const name of [...names].sort()) {
    const ticket = name.slice(0, -".json".length);
    if (!ticketId.safeParse(ticket).success) continue;
    const status = await readStatus(home, ticket);
    if (status) statuses.push(status);
  }
  return statuses;
}

/** The status of a ticket of which nothing happened yet. */
export function newStatus(ticket: Pick<JobTicket, "ticket" | "name" | "count">): JobStatus {
  return {
    ticket: ticket.ticket,
    name: ticket.name,
    state: "queued",
    counts: {
      tasks: ticket.count,
      claimed: 0,
      submitted: 0,
      sampled: 0,
      answered: 0,
      accused: 0,
      contended: 0,
      settled: 0,
    },
    money: { escrow: "0", bond: "0", paid: "0", burned: "0", returned: "0" },
  };
}

/** An id may come from the command line and becomes part of a path. */
function checkTicketId(ticket: string): string {
  if (ticketId.safeParse(ticket).success) return ticket;
  throw new SuretyError("TICKET_INVALID", `"${ticket.slice(0, 60)}" is not a ticket`, {
    details: { ticket: ticket.slice(0, 60) },
    fix: "Take one that `surety status` lists.",
    exit: ExitStatus.badInput,
  });
}

async function jsonFiles(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(".json")).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as unknown;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes a file whole or not at all: to another name, to the disk, then renamed. */
async function writeWhole(file: string, value: unknown): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  try {
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(value, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncFolder(dirname(file));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** A rename is only on the disk once its folder is. Not every system can do that to a folder. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
