// Runs an agent that dies, as if by `kill -9`, right after each durable step that it has not died at before: writes to
// its journal, renamed files of its home, and transactions that the node took. Which steps it died at is in a file, so
// that the next life gets one step further. The agent is the product's, as the command line starts it; what is wrapped
// are the places where it writes.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { relative } from "node:path";
import { decodeEvent } from "#sdk/events.ts";
import { HttpRpc } from "../../agents/chain/rpc.ts";
import { runCommand } from "../../agents/cli/run-command.ts";
import { runComputeAgent } from "../../agents/compute/agent.ts";
import { readComputeConfig, readParticipantConfig, readRequesterConfig } from "../../agents/config.ts";
import { EventTable } from "../../agents/journal/event-table.ts";
import { IntentTable, type Intent } from "../../agents/journal/intent-table.ts";
import { Journal } from "../../agents/journal/journal.ts";
import { createLogger } from "../../agents/logger.ts";
import { runParticipant } from "../../agents/participant/agent.ts";
import { runRequesterAgent } from "../../agents/requester/agent.ts";
import type { Job } from "../../agents/requester/jobs.ts";
import type { DyingRole } from "./acting-agent.ts";
import { actingExecutor } from "./acting-executor.ts";

const [role, configFile, stepsFile, only] = process.argv.slice(2) as [DyingRole, string, string, string];
const readers = { compute: readComputeConfig, requester: readRequesterConfig, participant: readParticipantConfig };
const config = await readers[role](configFile);

const http = new HttpRpc({ urls: config.rpc });
// What was on chain before its first life is no step of it.
if (!existsSync(stepsFile)) writeFileSync(stepsFile, `${await http.request("eth_blockNumber", [])}\n`);
const [firstBlock, ...steps] = readFileSync(stepsFile, "utf8").split("\n");
const met = new Set(steps);

function reach(...together: string[]): void {
  const unmet = together.filter((step) => !met.has(step) && new RegExp(only).test(step));
  if (unmet.length === 0) return;
  appendFileSync(stepsFile, `${unmet.join("\n")}\n`);
  process.kill(process.pid, "SIGKILL");
}

const putNote = Journal.prototype.put;
Journal.prototype.put = function (kind, id, value) {
  putNote.call(this, kind, id, value);
  reach(kind === "job" ? jobStep(value as Job) : `note ${kind} ${id}`);
};

/** A job's note is written over and over: the step is how far it is. */
function jobStep({ attempts, done, finished }: Job): string {
  const posted = attempts.filter((attempt) => attempt.posted).length;
  return `note job planned ${attempts.length} posted ${posted} done ${done.length}${finished ? " finished" : ""}`;
}

const append = EventTable.prototype.append;
EventTable.prototype.append = function (block, events, finalNumber) {
  append.call(this, block, events, finalNumber);
  if (block.number <= Number(firstBlock)) return;
  // Who was away for long gets many at once, and none of them a second time.
  const names = new Set(events.flatMap((event) => decodeEvent(event)?.name ?? []));
  reach(...[...names].map((name) => `event ${name}`));
};

const keys = new Map<string, string>();

function learn(intent: Intent | undefined): void {
  for (const { raw } of intent?.attempts ?? []) keys.set(raw, intent?.key ?? "");
}

/**
 * Whether to die when the node took a call's transaction, before that is written down; otherwise it dies right after.
 * By turns, since whoever dies before finds it mined in its next life and never writes that it was sent.
 */
function diesAtBroadcast(key: string): boolean {
  return [...met].filter((step) => step.startsWith("planned ")).indexOf(`planned ${key}`) % 2 === 0;
}

const { put, get, open } = IntentTable.prototype;
IntentTable.prototype.put = function (intent) {
  put.call(this, intent);
  learn(intent);
  if (intent.status !== "sent" || !diesAtBroadcast(intent.key)) reach(`${intent.status} ${intent.key}`);
};
IntentTable.prototype.get = function (account, key) {
  const intent = get.call(this, account, key);
  learn(intent);
  return intent;
};
IntentTable.prototype.open = function (account) {
  const intents = open.call(this, account);
  intents.forEach(learn);
  return intents;
};

const request = HttpRpc.prototype.request;
HttpRpc.prototype.request = async function (method, params, options) {
  const answer = await request.call(this, method, params, options);
  const key = method === "eth_sendRawTransaction" ? keys.get(String(params?.[0])) : undefined;
  if (key !== undefined && diesAtBroadcast(key)) reach(`broadcast ${key}`);
  return answer;
};

const { rename } = promises;
promises.rename = async (from, to) => {
  await rename(from, to);
  const path = relative(config.home, String(to));
  if (/^(taken|jobs|results)\b/.test(path)) reach(`rename ${path}`);
};
syncBuiltinESMExports();

await runCommand({}, async ({ signal }) => {
  const logger = createLogger({ agent: role, level: config.logLevel });
  if ("class" in config) await runComputeAgent(config, { signal, logger, executor: await actingExecutor(config) });
  else if ("jobs" in config) await runParticipant(config, { signal, logger });
  else await runRequesterAgent(config, { signal, logger });
  return { json: { stopped: true } };
});
