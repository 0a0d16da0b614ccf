import { open, rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { addClient, clientSchema, clientsFile, readClients, removeClient, type Client } from "../../service/clients.ts";
import { newToken, tokenHash } from "../../service/token.ts";
import { table } from "../job-text.ts";
import { findRequester, withRequesterOptions, type RequesterChoice } from "../requester-home.ts";
import { runCommand, type CommandResult } from "../run-command.ts";

interface Options extends RequesterChoice {
  json?: boolean;
}

interface AddOptions extends Options {
  budget: string;
  per: string;
  maxJobs: string;
  out?: string;
}

/** `surety service token`: who may call a requester's service. */
export function addServiceCommand(program: Command): void {
  const service = program.command("service").description("Manage the service that a requester runs for its clients.");
  const token = service
    .command("token")
    .description("Add, list and revoke the tokens that clients call a requester's service with.")
    .addHelpText(
      "after",
      `
A token is shown once; what is kept is its SHA-256. A running service takes changes on at once.

Examples:
  $ surety service token add lab --budget 250 --per day --out lab.token --config requester.yaml
  $ surety service token list --config requester.yaml
  $ surety service token revoke lab --config requester.yaml`,
    );
  const sub = (usage: string, description: string): Command =>
    withRequesterOptions(token.command(usage).description(description)).option("--json", "print one JSON object");

  sub("add <client>", "Let a client call, and print its token.")
    .requiredOption("--budget <tokens>", "what it may spend")
    .option("--per <period>", "total: once and for all; day: anew each day (UTC)", "total")
    .option("--max-jobs <number>", "jobs that it may have open at once", "16")
    .option("--out <file>", "write the token there, for its owner's eyes, rather than print it")
    .action((name: string, options: AddOptions) => runCommand(options, () => add(name, options)));
  sub("list", "List who may call.").action((options: Options) => runCommand(options, () => list(options)));
  sub("revoke <client>", "Let a client call no longer. Its jobs go on.").action((name: string, options: Options) =>
    runCommand(options, async () => {
      await removeClient(clientsFile(await findRequester(options)), name);
      return { json: { revoked: name }, text: `${name} may call no longer` };
    }),
  );
}

async function add(name: string, options: AddOptions): Promise<CommandResult> {
  const path = clientsFile(await findRequester(options));
  const token = newToken();
  const { budget, per, maxJobs, out } = options;
  const client = checked({ name, tokenSha256: tokenHash(token), budget: { amount: budget, per }, maxJobs });
  if (out === undefined) {
    await addClient(path, client);
    return { json: { client: name, token }, text: token };
  }
  const file = resolve(out);
  await writeNew(file, token);
  try {
    await addClient(path, client);
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
  return { json: { client: name, tokenFile: file }, text: `${name} may call with the token in ${file}` };
}

function checked(value: unknown): Client {
  const parsed = clientSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [{ path = [], message = "" } = {}] = parsed.error.issues;
  throw new SuretyError("CLIENT_INVALID", `${path.map(String).join(".")}: ${message}`, {
    details: { field: path.map(String).join(".") },
    fix: "See surety service token add --help.",
    exit: ExitStatus.badInput,
  });
}

/** A file that nobody else can read, and that was not there. */
async function writeNew(path: string, token: string): Promise<void> {
  try {
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(`${token}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new SuretyError("OUTPUT_UNWRITABLE", `the token cannot be written to ${path}: ${(cause as Error).message}`, {
      details: { path },
      fix: "Name a file that is not there yet, in a folder that you may write to.",
      cause,
      exit: ExitStatus.badInput,
    });
  }
}

async function list(options: Options): Promise<CommandResult> {
  const clients = await readClients(clientsFile(await findRequester(options)));
  const rows = clients.map(({ name, budget, maxJobs, tokenSha256 }) => [
    name,
    `${budget.amount} ${budget.per === "day" ? "a day" : "in all"}`,
    `${maxJobs} jobs at once`,
    `token ${tokenSha256.slice(0, 8)}…`,
  ]);
  return { json: { clients }, text: rows.length === 0 ? "nobody may call" : table(rows) };
}
