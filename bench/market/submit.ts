import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const mainScript = fileURLToPath(new URL("../../agents/cli/main.ts", import.meta.url));

/**
 * Submits a job as a person would, and waits until all is settled.
 *
 * @param job Path of the job file.
 * @param devnet Path of the devnet's file.
 * @throws Error with what the command said if it fails
 */
export async function submit(job: string, devnet: string, signal: AbortSignal): Promise<void> {
  const args = [
    "--disable-warning=ExperimentalWarning",
    mainScript,
    "submit",
    job,
    "--devnet",
    devnet,
    "--wait",
    "--json",
  ];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], signal });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const status = await new Promise<number | null>((settle, fail) => child.once("error", fail).once("close", settle));
  if (status !== 0) throw new Error(`surety submit ended with status ${status}: ${said.trim()}`);
}
