import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Directory } from "#sdk/content.ts";
import { decodeTrace, encodeTrace, type ResourceTrace } from "#sdk/resource-trace.ts";
import type { RequesterConfig } from "../config.ts";
import { outputsFolder, tracesFolder } from "./spool.ts";

/**
 * Where outputs lie: first, while nobody is paid for them yet, in `<home>/fetched/<batch>/<task of the batch>`; then in
 * the results, by their numbers in the ticket. The traces of what tasks used lie beside the outputs, not in them:
 * `<home>/fetched/<batch>/<task of the batch>.trace.json`, then `<home>/traces/<ticket>/<task>.json`.
 */
export class Outputs {
  readonly #config: Pick<RequesterConfig, "home" | "resultsFolder">;

  constructor(config: Pick<RequesterConfig, "home" | "resultsFolder">) {
    this.#config = config;
  }

  /** Puts down what was fetched, whole or not at all. */
  async keep(batchId: string, task: number, output: Directory): Promise<void> {
    await writeDirectory(this.#fetched(batchId, task), output);
  }

  /**
   * Moves what was fetched to the results.
   *
   * @returns false if it is not there
   */
  async hand(batchId: string, task: number, ticket: string, number: number): Promise<boolean> {
    const from = this.#fetched(batchId, task);
    if (!existsSync(from)) return false;
    const to = this.#result(ticket, number);
    await mkdir(dirname(to), { recursive: true });
    await rm(to, { recursive: true, force: true });
    await rename(from, to);
    return true;
  }

  /** Puts down what a node says that a task used. */
  async keepTrace(batchId: string, task: number, trace: ResourceTrace): Promise<void> {
    const file = this.#fetchedTrace(batchId, task);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(`${file}.part`, encodeTrace(trace));
    await rename(`${file}.part`, file);
  }

  /**
   * Moves a trace to those of the ticket.
   *
   * @returns it, also if an earlier life moved it; undefined if there is none
   */
  async handTrace(batchId: string, task: number, ticket: string, number: number): Promise<ResourceTrace | undefined> {
    const to = join(tracesFolder(this.#config.home, ticket), `${number}.json`);
    const from = this.#fetchedTrace(batchId, task);
    if (existsSync(from)) {
      await mkdir(dirname(to), { recursive: true });
      await rename(from, to);
    }
    return existsSync(to) ? decodeTrace(await readFile(to)) : undefined;
  }

  /** Puts an output into the results. */
  async write(ticket: string, number: number, output: Directory): Promise<void> {
    await writeDirectory(this.#result(ticket, number), output);
  }

  /** Forgets what was fetched of a batch and handed to nobody. */
  async drop(batchId: string): Promise<void> {
    await rm(join(this.#config.home, "fetched", batchId), { recursive: true, force: true });
  }

  #fetched(batchId: string, task: number): string {
    return join(this.#config.home, "fetched", batchId, String(task));
  }

  #fetchedTrace(batchId: string, task: number): string {
    return `${this.#fetched(batchId, task)}.trace.json`;
  }

  #result(ticket: string, number: number): string {
    return join(outputsFolder(this.#config.home, ticket, this.#config.resultsFolder), String(number));
  }
}

/** Writes a directory beside its place and moves it there, so that a reader sees all of it or nothing. */
async function writeDirectory(folder: string, directory: Directory): Promise<void> {
  const temporary = `${folder}.part`;
  await rm(temporary, { recursive: true, force: true });
  for (const [path, bytes] of directory) {
    const file = join(temporary, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, bytes);
  }
  await rm(folder, { recursive: true, force: true });
  await rename(temporary, folder);
}
