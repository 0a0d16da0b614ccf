import { chmod, cp, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** What the programs of a new package can be written in. */
export const templates = ["wasm", "python", "typescript"] as const;
export type Template = (typeof templates)[number];

const TEMPLATES = fileURLToPath(new URL("./templates", import.meta.url));
/** The example that all templates are another spelling of. */
const EXAMPLE = fileURLToPath(new URL("../../examples/schemas/square-root", import.meta.url));

/** What is taken of the example: by every template, and beside that by the one that is in its language. */
const SHARED = ["job_schema.proto", "test/four.json"];
const OWN = ["schema.yaml", "assembly/worker.ts", "assembly/evaluator.ts"];

/**
 * Makes a schema package: the proto and test data that all templates share, and programs.
 *
 * @param folder Made if it is not there.
 * @returns paths of its files
 * @throws SuretyError `SCHEMA_FOLDER_NOT_EMPTY`; `SCHEMA_FOLDER_UNUSABLE`
 */
export async function initPackage(folder: string, template: Template): Promise<string[]> {
  try {
    await mkdir(folder, { recursive: true });
    const there = await readdir(folder);
    if (there.length > 0) {
      throw new SuretyError("SCHEMA_FOLDER_NOT_EMPTY", `${folder} has ${there.length} files in it already`, {
        details: { folder, files: there.length },
        fix: "Name a folder that is empty or not there.",
        exit: ExitStatus.badInput,
      });
    }
    for (const path of template === "wasm" ? [...SHARED, ...OWN] : SHARED) {
      await cp(join(EXAMPLE, path), join(folder, path));
    }
    await cp(join(TEMPLATES, template), folder, { recursive: true });
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    for (const file of files) await chmod(file, 0o644);
    return files.map((file) => file.slice(folder.length + 1)).sort();
  } catch (error) {
    if (error instanceof SuretyError) throw error;
    throw new SuretyError("SCHEMA_FOLDER_UNUSABLE", `${folder} cannot be written: ${(error as Error).message}`, {
      details: { folder },
      fix: "Name a folder that this user may write to.",
      exit: ExitStatus.badInput,
      cause: error,
    });
  }
}
