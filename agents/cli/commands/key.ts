import { resolve } from "node:path";
import type { Command } from "commander";
import { computeAddress, hexlify, randomBytes } from "ethers";
import { readAgentConfig } from "../../config.ts";
import type { KeySource, WordSource } from "../../config/key.ts";
import { openSigner } from "../../key/agent-key.ts";
import { writeKeystore } from "../../key/keystore.ts";
import { readKey, readWord } from "../../key/private-key.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { runCommand, type CommandResult } from "../run-command.ts";

interface PasswordOptions {
  passwordEnv?: string;
  passwordFile?: string;
  json?: boolean;
}

interface KeyOptions extends PasswordOptions {
  keyEnv?: string;
  keyFile?: string;
}

interface ShowOptions extends PasswordOptions {
  config?: string;
  keystore?: string;
}

/** `surety key`: makes, takes over and looks at the keys of agents. */
export function addKeyCommand(program: Command): void {
  const key = program
    .command("key")
    .description("Make, take over and look at keys in encrypted files.")
    .addHelpText(
      "after",
      `
docs/keys.md says which keys there are, and which an agent should have.

Examples:
  $ surety key new node-key.json --password-file node.password
  $ surety key import node-key.json --key-file old.key --password-file node.password
  $ surety key show --config node.yaml`,
    );
  const withPassword = (command: Command): Command =>
    command
      .option("--password-env <variable>", "environment variable with the file's password")
      .option("--password-file <file>", "file with the file's password")
      .option("--json", "print one JSON object at the end");

  withPassword(key.command("new <file>").description("Make a key, and write it into a new encrypted file."))
    .addHelpText("after", "\nExample:\n  $ surety key new node-key.json --password-file node.password")
    .action((file: string, options: PasswordOptions) =>
      runCommand(options, async () => write(file, hexlify(randomBytes(32)), options)),
    );

  withPassword(key.command("import <file>").description("Write a key that there is into a new encrypted file."))
    .option("--key-env <variable>", "environment variable with the private key")
    .option("--key-file <file>", "file with the private key")
    .addHelpText(
      "after",
      "\nExample:\n  $ surety key import node-key.json --key-file old.key --password-file node.password",
    )
    .action((file: string, options: KeyOptions) =>
      runCommand(options, async () => {
        const source = oneOf(options.keyEnv, options.keyFile, "Give either --key-env or --key-file.");
        return write(file, await readKey(source), options);
      }),
    );

  withPassword(
    key
      .command("show")
      .description("Open what a configuration or a file names, and say whose key it is. Shows no key."),
  )
    .option("--config <file>", "an agent's configuration")
    .option("--keystore <file>", "an encrypted file, opened with the password given")
    .addHelpText("after", "\nExample:\n  $ surety key show --config node.yaml")
    .action((options: ShowOptions) => runCommand(options, ({ signal }) => show(options, signal)));
}

async function write(file: string, privateKey: string, options: PasswordOptions): Promise<CommandResult> {
  const password = await readWord(passwordSource(options), "KEY_PASSWORD_UNREADABLE");
  const path = resolve(file);
  await writeKeystore(path, { privateKey, password });
  const address = computeAddress(privateKey);
  return {
    json: { address, keystore: path },
    text: `${address}\nwritten to ${path}; keep a copy of it and of its password`,
  };
}

async function show(options: ShowOptions, signal: AbortSignal): Promise<CommandResult> {
  const { config, keystore } = options;
  if ((config === undefined) === (keystore === undefined)) throw usage("Give either --config or --keystore.");
  if (keystore !== undefined) {
    const source = { keystore: resolve(keystore), password: passwordSource(options) };
    const address = computeAddress(await readKey(source));
    return { json: { address, kind: "keystore" }, text: `${address}  ${kindText(source)}` };
  }
  const { key } = await readAgentConfig(config as string);
  const { address } = (await openSigner(key, { signal })).signer;
  return { json: { address, kind: kindOf(key) }, text: `${address}  ${kindText(key)}` };
}

function kindOf(source: KeySource): string {
  for (const kind of ["env", "file", "hex", "keystore", "signer"]) if (kind in source) return kind;
  throw new TypeError("a key of no kind");
}

function kindText(source: KeySource): string {
  if ("env" in source) return `a key in the variable ${source.env}`;
  if ("file" in source) return `a key in the clear, in ${source.file}`;
  if ("hex" in source) return "a key in the clear, in the configuration";
  if ("keystore" in source) return `a key in the encrypted file ${source.keystore}`;
  return `a key that the signer at ${new URL(source.signer).host} keeps`;
}

function passwordSource({ passwordEnv, passwordFile }: PasswordOptions): WordSource {
  return oneOf(passwordEnv, passwordFile, "Give either --password-env or --password-file.");
}

function oneOf(env: string | undefined, file: string | undefined, fix: string): WordSource {
  if (env !== undefined && file === undefined) return { env };
  if (file !== undefined && env === undefined) return { file };
  throw usage(fix);
}

function usage(fix: string): SuretyError {
  return new SuretyError("USAGE", "something must come from one place", { fix, exit: ExitStatus.badInput });
}
