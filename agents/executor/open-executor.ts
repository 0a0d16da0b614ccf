import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { ExecutorConfig } from "../config/executor.ts";
import type { Executor } from "./executor.ts";

/** File in an agent's home that names it in engines and clusters. */
const OWNER_FILE = "engine-owner";

/** Whom an executor is for. */
export interface ExecutorPlace {
  /** The agent's folder. */
  home: string;
  /** Tasks run at once. */
  workers: number;
}

/**
 * The executor that a configuration asks for; the metered WebAssembly sandbox if it asks for none. Engines and
 * clusters are not asked yet.
 *
 * @throws SuretyError `HOME_UNUSABLE` if the home cannot be read or written; `CLUSTER_UNKNOWN` if there is no such
 * kubeconfig or context
 */
export async function openExecutor(
  config: ExecutorConfig | undefined,
  { home, workers }: ExecutorPlace,
): Promise<Executor> {
  // What an agent does not use is not loaded.
  switch (config?.kind) {
    case undefined:
    case "wasm": {
      const { WasmExecutor } = await import("./wasm-executor.ts");
      return new WasmExecutor({ workers });
    }
    case "docker": {
      const { DockerExecutor } = await import("./docker-executor.ts");
      return new DockerExecutor({ ...config, owner: await readOwner(home) });
    }
    case "kubernetes": {
      const { KubernetesExecutor } = await import("./kubernetes-executor.ts");
      return new KubernetesExecutor({ ...config, owner: await readOwner(home) });
    }
  }
}

/** The name by which an agent finds again what it left in an engine: made once, and kept in its home. */
async function readOwner(home: string): Promise<string> {
  const path = join(home, OWNER_FILE);
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    // Whoever comes second uses the first one's.
    await writeFile(path, `${randomBytes(16).toString("hex")}\n`, { flag: "wx", mode: 0o600 }).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      },
    );
    return (await readFile(path, "utf8")).trim();
  } catch (cause) {
    throw new SuretyError("HOME_UNUSABLE", `${path} cannot be read or written: ${(cause as Error).message}`, {
      details: { path },
      fix: "Give the agent a folder of its own.",
      exit: ExitStatus.unavailable,
      cause,
    });
  }
}
