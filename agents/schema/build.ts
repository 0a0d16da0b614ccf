import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { WasmSchemaFile } from "#sdk/schema-file.ts";
import type { SchemaCall, SchemaProto, SchemaRole } from "#sdk/schema-proto.ts";
import { assemblyMessages } from "./assembly-messages.ts";

/** What AssemblyScript programs import as `surety/…`. */
const LIBRARY = fileURLToPath(new URL("./assembly", import.meta.url));

/** Name of the file with the generated messages, beside the sources. */
export const MESSAGES_FILE = "messages.ts";

/** The compiler's settings: the same for everybody, since a build is known by its digest. */
const SETTINGS = [
  ...["--runtime", "incremental", "--optimizeLevel", "3", "--shrinkLevel", "0", "--noAssert"],
  ...["--disable", "simd", "--exportStart", "_start"],
  // As asconfig.json of the WASI library has it, whose name no config file could know.
  ...["ASC_WASI=1", "abort=wasi_abort", "trace=wasi_trace", "seed=wasi_seed", "console=wasi_console"].flatMap(use),
  ...["crypto=wasi_crypto", "performance=wasi_performance", "process=wasi_process", "Date=wasi_Date"].flatMap(use),
];

function use(name: string): string[] {
  return ["--use", name];
}

/**
 * Compiles a schema's AssemblyScript: writes `messages.ts` beside the sources for the editor's sake, then both modules
 * to where `schema.yaml` says they are. The same sources and compiler give the same bytes.
 *
 * @returns the modules
 * @throws SuretyError `SCHEMA_BUILD_FAILED` with the compiler's messages; `SCHEMA_COMPILER_MISSING`;
 * `SCHEMA_TYPE_UNSUPPORTED`
 */
export async function buildModules(
  folder: string,
  file: WasmSchemaFile & Required<Pick<WasmSchemaFile, "sources">>,
  proto: SchemaProto,
): Promise<Record<SchemaRole, Uint8Array>> {
  const messages = assemblyMessages(proto.registry);
  const { sources } = file;
  for (const place of new Set(Object.values(sources).map(dirname))) {
    await mkdir(join(folder, place), { recursive: true });
    await writeFile(join(folder, place, MESSAGES_FILE), messages);
  }
  const build = async (role: SchemaRole): Promise<Uint8Array> => {
    const bytes = await compile({ folder, source: sources[role], call: proto[role] });
    await mkdir(dirname(join(folder, file[role])), { recursive: true });
    await writeFile(join(folder, file[role]), bytes);
    return bytes;
  };
  return { worker: await build("worker"), evaluator: await build("evaluator") };
}

async function compile({
  folder,
  source,
  call,
}: {
  folder: string;
  source: string;
  call: SchemaCall;
}): Promise<Uint8Array> {
  const { asc, wasi } = await loadCompiler();
  const entry = join(dirname(source), `${call.role}.entry.ts`);
  const virtual = new Map([[resolve(folder, entry), entryOf(source, call)]]);
  const output = resolve(folder, "module.wasm");
  let module: Uint8Array | undefined;
  const files = {
    readFile: async (name: string, base: string): Promise<string | null> => {
      const path = resolve(base, name);
      return virtual.get(path) ?? (await readFile(path, "utf8").catch(() => null));
    },
    writeFile: (name: string, content: string | Uint8Array, base: string): void => {
      if (resolve(base, name) === output && typeof content !== "string") module = content;
    },
    listFiles: async (name: string, base: string): Promise<string[]> => {
      const names = await readdir(resolve(base, name)).catch(() => []);
      return names.filter((each) => each.endsWith(".ts") && !each.endsWith(".d.ts"));
    },
  };
  const { error, stderr } = await asc.main(
    [entry, "--baseDir", resolve(folder), "--lib", wasi, "--lib", LIBRARY, "--outFile", "module.wasm", ...SETTINGS],
    files,
  );
  if (error || module === undefined) {
    throw new SuretyError("SCHEMA_BUILD_FAILED", `${source} does not compile:\n${stderr.toString().trim()}`, {
      details: { source },
      fix: "Correct the source.",
      exit: ExitStatus.badInput,
      cause: error ?? undefined,
    });
  }
  return module;
}

/** The program's beginning: reads the message, calls the function of the rpc's name, leaves what it returns. */
function entryOf(source: string, { input, output, method }: SchemaCall): string {
  const name = (type: SchemaCall["input"]): string => {
    const names: string[] = [];
    for (let desc: SchemaCall["input"]["desc"] | undefined = type.desc; desc; desc = desc.parent)
      names.unshift(desc.name);
    return names.join("_");
  };
  const types = [...new Set([name(input), name(output)])].join(", ");
  return `import { Call } from "surety/call";
import { ${types} } from "./${basename(MESSAGES_FILE, ".ts")}";
import { ${method} } from "./${basename(source, ".ts")}";

const call = new Call();
const reply: ${name(output)} = ${method}(${name(input)}.decode(call.request()), call);
call.reply(reply.encode());
`;
}

async function loadCompiler() {
  try {
    const { default: asc } = await import("assemblyscript/asc");
    return { asc, wasi: fileURLToPath(import.meta.resolve("@assemblyscript/wasi-shim/assembly")) };
  } catch (cause) {
    throw new SuretyError("SCHEMA_COMPILER_MISSING", "there is no AssemblyScript compiler here", {
      fix: "npm install assemblyscript@0.28 @assemblyscript/wasi-shim@0.1, or name modules without sources.",
      exit: ExitStatus.unavailable,
      cause,
    });
  }
}
