import { resolve } from "node:path";
import { InvalidArgumentError, Option, type Command } from "commander";
import { isHexString } from "ethers";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { readParticipantConfig } from "../../config.ts";
import { dockerExecutorSchema, type ExecutorConfig } from "../../config/executor.ts";
import { createLogger } from "../../logger.ts";
import { AgentMetrics } from "../../monitoring/metrics.ts";
import { registerPackage, releasePackage } from "../../participant/registering.ts";
import { RequestAgent } from "../../participant/request-agent.ts";
import { checkPackage, type CheckedPackage } from "../../schema/check-package.ts";
import { initPackage, templates, type Template } from "../../schema/templates.ts";
import { schemaText, testJson, testText } from "../schema-text.ts";
import { version } from "../../version.ts";
import { runCommand, type CommandContext, type CommandResult } from "../run-command.ts";

interface CheckOptions {
  socket?: string;
  runtime?: string;
  json?: boolean;
}

interface AgentOptions extends CheckOptions {
  config: string;
}

interface RegisterOptions extends AgentOptions {
  nonce: number;
}

/** `surety schema`: job schemas, from the first file to a release that can be registered. */
export function addSchemaCommand(program: Command): void {
  const schema = program
    .command("schema")
    .description("Job schemas: a worker and an evaluator program behind messages of your own proto3.");

  schema
    .command("init")
    .description("Make a schema package to begin with: the square root by guessing, which passes its check.")
    .argument("<folder>", "a folder that is empty or not there")
    .addOption(
      new Option("--template <name>", "what the programs are written in").choices([...templates]).default("wasm"),
    )
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Examples:
  $ surety schema init my-schema
  $ surety schema init my-schema --template python`,
    )
    .action((folder: string, options: { template: Template; json?: boolean }) =>
      runCommand(options, async () => {
        const files = await initPackage(resolve(folder), options.template);
        return {
          json: { folder: resolve(folder), template: options.template, files },
          text: [...files, `next: read ${folder}/README.md, then: surety schema check ${folder}`].join("\n"),
        };
      }),
    );

  withCheckOptions(
    schema
      .command("check")
      .description("Read a schema package, build it, and run its programs on its test data. Registers nothing.")
      .argument("<folder>", "a folder with schema.yaml"),
  )
    .addHelpText(
      "after",
      `
Exit status: 0 all is well, 1 a program failed its test, 2 the package is wrong.

Examples:
  $ surety schema check my-schema
  $ surety schema check my-schema --runtime runsc --json`,
    )
    .action((folder: string, options: CheckOptions) =>
      runCommand(options, (context) => checkSchema(resolve(folder), options, context)),
    );

  withCheckOptions(
    schema
      .command("register")
      .description("Check a schema package, publish its release, and register it: it becomes a job of this account's.")
      .argument("<folder>", "a folder with schema.yaml")
      .requiredOption("--config <file>", "a participant's configuration: who registers it")
      .option("--nonce <number>", "tells jobs apart that are the same otherwise", whole, 0),
  )
    .addHelpText(
      "after",
      `
Waits until it is final. Doing it again prints the same job. Its admins, evaluators and workers are participants:
surety participant.

Examples:
  $ surety schema register my-schema --config participant.yaml`,
    )
    .action((folder: string, options: RegisterOptions) =>
      runCommand(options, (context) => registerSchema(resolve(folder), options, context)),
    );

  withCheckOptions(
    schema
      .command("release")
      .description("Check a schema package, publish it, and make it the newest release of a job.")
      .argument("<job>", "what registering printed")
      .argument("<folder>", "a folder with schema.yaml")
      .requiredOption("--config <file>", "the configuration of who registered the job"),
  )
    .addHelpText(
      "after",
      `
Waits until it is final. Agents take it up between requests; requests that were posted keep theirs.

Examples:
  $ surety schema release 0xabcd… my-schema --config participant.yaml`,
    )
    .action((job: string, folder: string, options: AgentOptions) =>
      runCommand(options, (context) => releaseSchema(job, resolve(folder), options, context)),
    );
}

function withCheckOptions(command: Command): Command {
  return command
    .option("--socket <path>", "the Docker engine's socket, for images (default: DOCKER_HOST, or the usual)")
    .option("--runtime <name>", "the engine's runtime, such as runsc (default: the engine's own)")
    .option("--json", "print one JSON object");
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("expected a whole number, 0 or more");
  return Number(text);
}

async function checkSchema(folder: string, options: CheckOptions, context: CommandContext): Promise<CommandResult> {
  const { schema, release, cid, digest, tested } = await check(folder, options, context);
  const { file, proto } = schema;
  return {
    json: {
      name: file.name,
      runtime: file.runtime,
      verification: file.verification,
      worker: `${proto.worker.service}.${proto.worker.method}`,
      evaluator: `${proto.evaluator.service}.${proto.evaluator.method}`,
      build: release.build,
      release: { cid, digest },
      tests: tested.map((each) => testJson(each, proto)),
    },
    text: `build ${release.build}\nrelease ${cid}\n        ${digest}\n${file.name}: all is well`,
  };
}

function check(folder: string, options: CheckOptions, { signal, say }: CommandContext): Promise<CheckedPackage> {
  return checkPackage(folder, {
    executorFor: (runtime) => executorOf(runtime, options),
    onRead: (schema) => schemaText(schema).forEach(say),
    onTested: (result, { proto }) => testText(result, proto).forEach(say),
    signal,
  });
}

async function registerSchema(
  folder: string,
  options: RegisterOptions,
  context: CommandContext,
): Promise<CommandResult> {
  const checked = await check(folder, options, context);
  return withAgent(options.config, context, async (agent) => {
    context.say("publishing the release, and registering");
    const nonce = BigInt(options.nonce);
    const { job, cid, isNew } = await registerPackage(agent, checked, { signal: context.signal, nonce });
    return {
      json: { job, release: { cid, digest: checked.digest }, registrant: agent.address, new: isNew },
      text: isNew ? `Registration complete. Job ID is ${job}.` : `Registered before. Job ID is ${job}.`,
    };
  });
}

async function releaseSchema(
  job: string,
  folder: string,
  options: AgentOptions,
  context: CommandContext,
): Promise<CommandResult> {
  const id = schemaIdFrom(job);
  const checked = await check(folder, options, context);
  return withAgent(options.config, context, async (agent) => {
    context.say("publishing the release, and naming it on chain");
    const { cid, number, isNew } = await releasePackage(agent, id, checked, { signal: context.signal });
    return {
      json: { job: id, number, release: { cid, digest: checked.digest }, new: isNew },
      text: isNew ? `Release ${number} of ${id}.` : `This is release ${number} of ${id} already.`,
    };
  });
}

/** Opens the agent of a configuration: its key, journal and storage, which nobody else may be using. */
async function withAgent(
  path: string,
  { signal, json }: CommandContext,
  work: (agent: RequestAgent) => Promise<CommandResult>,
): Promise<CommandResult> {
  const config = await readParticipantConfig(path);
  const level = json ? "silent" : "warn";
  const logger = createLogger({ agent: "schema", level });
  const metrics = new AgentMetrics({ agent: "participant", version });
  const agent = await RequestAgent.open({ config, logger, signal, metrics });
  try {
    return await work(agent);
  } finally {
    await agent.close();
  }
}

function schemaIdFrom(text: string): string {
  if (isHexString(text, 32)) return text.toLowerCase();
  throw new SuretyError("USAGE", `"${text.slice(0, 80)}" is no job`, {
    fix: "Give the id that surety schema register printed: 0x and 64 hexadecimal digits.",
    exit: ExitStatus.badInput,
  });
}

function executorOf(runtime: "wasm" | "container", { socket, runtime: engines }: CheckOptions): ExecutorConfig {
  if (runtime === "wasm") return { kind: "wasm" };
  const host = process.env["DOCKER_HOST"];
  const usual = host?.startsWith("unix://") ? host.slice("unix://".length) : undefined;
  const place = socket ?? usual;
  return {
    ...dockerExecutorSchema.parse({ kind: "docker", ...(place === undefined ? {} : { socket: place }) }),
    ...(engines === undefined ? {} : { runtime: engines }),
  };
}
