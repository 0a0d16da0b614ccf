import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join } from "node:path";
import { parse, stringify } from "yaml";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { SCHEMA_FILE } from "#sdk/schema-file.ts";
import { SCHEMA_PROTO_FILE, type SchemaRole } from "#sdk/schema-proto.ts";
import { TEST_FOLDER } from "../schema/package-folder.ts";

/** Terms of a job that lies about without a `schema.yaml`, tokens. */
const USUAL_TERMS = { deposit: "10", challengeFee: "1" };

/**
 * Does something with the package that files make: a proto, a worker and an evaluator. What else a package says comes
 * from the `schema.yaml` beside the proto, and its test data from `test` there; without, it has usual terms.
 *
 * @throws SuretyError `SCHEMA_IMAGE_NEEDED` (exit 2) for Python, `CONSOLE_PROGRAM_UNKNOWN` (exit 2), and what `work`
 *   throws
 */
export async function withPackageOf<T>(
  { proto, worker, evaluator }: { proto: string } & Record<SchemaRole, string>,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const kinds = [worker, evaluator].map(kindOfProgram);
  if (kinds[0] !== kinds[1]) throw unknownProgram(`${worker} and ${evaluator} are of two kinds`);
  const folder = await mkdtemp(join(tmpdir(), "surety-job-"));
  try {
    const beside = dirname(proto);
    const said = await readFile(join(beside, SCHEMA_FILE), "utf8").catch(() => undefined);
    const known = (said === undefined ? {} : parse(said, { schema: "failsafe" })) as Record<string, unknown>;
    const terms: Record<string, unknown> = { name: basename(beside) || "job", ...USUAL_TERMS, ...known };
    // These say what the programs are, which the command line does.
    for (const key of ["sources", "build", "runtime", "image", "imageId"]) delete terms[key];
    await copy(proto, join(folder, SCHEMA_PROTO_FILE));
    const programs: Record<string, unknown> = { proto: SCHEMA_PROTO_FILE };
    if (kinds[0] === "source") {
      programs["sources"] = {
        worker: await copySources(worker, folder, "worker"),
        evaluator: await copySources(evaluator, folder, "evaluator"),
      };
    } else {
      await copy(worker, join(folder, "worker.wasm"));
      await copy(evaluator, join(folder, "evaluator.wasm"));
    }
    const file = { ...terms, ...programs, worker: "worker.wasm", evaluator: "evaluator.wasm" };
    await writeFile(join(folder, SCHEMA_FILE), stringify(file));
    await cp(join(beside, TEST_FOLDER), join(folder, TEST_FOLDER), { recursive: true }).catch(() => undefined);
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function kindOfProgram(path: string): "module" | "source" {
  switch (extname(path)) {
    case ".wasm":
      return "module";
    case ".ts":
      return "source";
    case ".py":
      throw new SuretyError("SCHEMA_IMAGE_NEEDED", `${path} is Python, which runs in an image`, {
        fix: "surety schema init my-schema --template python; put worker.py and evaluator.py there, build and save the image as its README says, and registerJob my-schema.",
        exit: ExitStatus.badInput,
      });
    default:
      throw unknownProgram(`${path} is no program`);
  }
}

/** Copies a source with what lies beside it, for it may import that. */
async function copySources(path: string, folder: string, role: SchemaRole): Promise<string> {
  const from = dirname(path);
  await mkdir(join(folder, role));
  const names = await readdir(from).catch(() => []);
  for (const name of names) if (extname(name) === ".ts") await copy(join(from, name), join(folder, role, name));
  await copy(path, join(folder, role, basename(path)));
  return `${role}/${basename(path)}`;
}

async function copy(from: string, to: string): Promise<void> {
  try {
    await cp(from, to);
  } catch (cause) {
    throw new SuretyError("SCHEMA_FILE_MISSING", `${from} cannot be read: ${(cause as Error).message}`, {
      details: { path: from },
      fix: "registerJob job_schema.proto worker.wasm evaluator.wasm, with paths from where the console was started.",
      exit: ExitStatus.badInput,
      cause,
    });
  }
}

function unknownProgram(what: string): SuretyError {
  return new SuretyError("CONSOLE_PROGRAM_UNKNOWN", what, {
    fix: "Give two WebAssembly modules (.wasm) or two AssemblyScript sources (.ts); or a package's folder alone.",
    exit: ExitStatus.badInput,
  });
}
