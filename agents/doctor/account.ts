import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { KeySource } from "../config/key.ts";
import { heldBy } from "../journal/lock.ts";
import { ExternalSigner } from "../key/external-signer.ts";
import { addressOf, readKey, readWord } from "../key/private-key.ts";
import { fromError, ok, problem, warning, type Finding } from "./finding.ts";
import { mayWrite, nearestFolder } from "./host.ts";

/** What is known of an agent's home. */
export interface HomeState {
  findings: Finding[];
  /** Process that works with it now. */
  holder: number | undefined;
}

/** Looks at an agent's folder without changing anything in it. */
export async function examineHome(home: string): Promise<HomeState> {
  const info = await stat(home).catch(() => undefined);
  const user = process.getuid?.();
  if (!info) {
    const above = await nearestFolder(home);
    const finding = (await mayWrite(above))
      ? ok("home", `${home} will be made by the agent`)
      : problem(
          "home",
          `${home} is not there, and user ${user} may not make it in ${above}`,
          `Make it and give it to the agent's user: install -d -m 700 -o USER ${home}. Or name another in home.`,
          "JOURNAL_UNWRITABLE",
        );
    return { findings: [finding], holder: undefined };
  }
  const findings: Finding[] = [];
  if (!info.isDirectory()) {
    findings.push(problem("home", `${home} is no folder`, "Name a folder in home.", "JOURNAL_UNWRITABLE"));
    return { findings, holder: undefined };
  }
  if (!(await mayWrite(home))) {
    const fix = `Give it to the agent's user (chown -R USER ${home}), or run this as that user.`;
    findings.push(problem("home", `user ${user} may not write to ${home}`, fix, "JOURNAL_UNWRITABLE"));
    return { findings, holder: undefined };
  }
  const others = (info.mode & 0o077).toString(8).padStart(2, "0");
  findings.push(
    others === "00"
      ? ok("home", home)
      : warning(
          "home",
          `other users of this machine may look into ${home} (mode ${mode(info.mode)})`,
          `chmod 700 ${home}`,
        ),
  );
  const holder = heldBy(join(home, "journal.lock"));
  findings.push(holder === undefined ? await journal(home) : ok("agent", `process ${holder} works with this home now`));
  return { findings, holder };
}

async function journal(home: string): Promise<Finding> {
  const file = join(home, "journal.sqlite");
  if (!(await stat(file).catch(() => undefined))) return ok("journal", "none yet; the agent begins one");
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 5_000 });
    const answer = database.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
    if (answer.quick_check === "ok") return ok("journal", `${file} is sound`);
    throw new Error(answer.quick_check);
  } catch (error) {
    return problem(
      "journal",
      `${file} is damaged: ${(error as Error).message}`,
      "Put back a copy of it. If there is none, move it away: the agent reads the chain anew, and runs its open tasks again.",
      "JOURNAL_INVALID",
    );
  } finally {
    database?.close();
  }
}

/** What is known of an agent's account. */
export interface KeyState {
  findings: Finding[];
  /** EIP-55; undefined if it cannot be told. */
  address: string | undefined;
}

/** Looks at the key: whether the agent gets it, and who else does. */
export async function examineKey(source: KeySource, { signal }: { signal: AbortSignal }): Promise<KeyState> {
  const findings: Finding[] = [];
  let address: string | undefined;
  try {
    address = await addressOf(source);
    if ("signer" in source) {
      const token = source.token && (await readWord(source.token, "SIGNER_TOKEN_UNREADABLE"));
      const { signer: url, timeoutMs } = source;
      await ExternalSigner.open({ url, address, timeoutMs, token }, { signal });
      findings.push(ok("key", `the signer at ${new URL(url).host} signs for ${address}`));
    } else {
      await readKey(source);
      findings.push(ok("key", `of ${address}`));
    }
  } catch (error) {
    findings.push(fromError("key", error, "Name in key where the key is."));
  }
  for (const [about, file] of secretFiles(source)) {
    const info = await stat(file).catch(() => undefined);
    if (info && (info.mode & 0o077) !== 0 && !isCredential(file)) {
      findings.push(
        warning(about, `other users of this machine may read ${file} (mode ${mode(info.mode)})`, `chmod 600 ${file}`),
      );
    }
  }
  return { findings, address };
}

/** systemd gives them to the service's user by other means than their mode. */
function isCredential(file: string): boolean {
  return dirname(file) === process.env["CREDENTIALS_DIRECTORY"] && basename(file) !== "";
}

function secretFiles(source: KeySource): [about: string, file: string][] {
  if ("file" in source) return [["key file", source.file]];
  if ("keystore" in source) {
    const { keystore, password } = source;
    return [
      ["keystore", keystore],
      ...("file" in password ? [["password file", password.file] as [string, string]] : []),
    ];
  }
  if ("signer" in source && source.token && "file" in source.token) return [["token file", source.token.file]];
  return [];
}

function mode(bits: number): string {
  return (bits & 0o777).toString(8);
}
