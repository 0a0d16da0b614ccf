import { SuretyError, ExitStatus } from "#sdk/errors.ts";
import { BinaryReader, invalidProgram } from "./binary.ts";

/** What a module may be at most, so that checking and compiling it stay cheap. */
export const programLimits = {
  bytes: 32 * 1024 * 1024,
  functions: 100_000,
  functionBytes: 1024 * 1024,
  functionLocals: 10_000,
  /** The compiler's time grows faster than the number of a function's loops, and with their depth. */
  functionLoops: 4096,
  nestedLoops: 64,
  /** Locals times places where control flow splits or joins: what the compiler keeps for one function. */
  functionComplexity: 50_000_000,
  tables: 16,
  tableEntries: 1_000_000,
  globals: 10_000,
} as const;

/**
 * The WASI functions a program may import, with their parameters: `i` for i32, `I` for i64. Sockets are not among them.
 * All of them return an i32, but `proc_exit`, which never returns.
 */
export const permittedImports: ReadonlyMap<string, string> = new Map(
  Object.entries({
    args_get: "ii",
    args_sizes_get: "ii",
    clock_res_get: "ii",
    clock_time_get: "iIi",
    environ_get: "ii",
    environ_sizes_get: "ii",
    fd_advise: "iIIi",
    fd_allocate: "iII",
    fd_close: "i",
    fd_datasync: "i",
    fd_fdstat_get: "ii",
    fd_fdstat_set_flags: "ii",
    fd_fdstat_set_rights: "iII",
    fd_filestat_get: "ii",
    fd_filestat_set_size: "iI",
    fd_filestat_set_times: "iIIi",
    fd_pread: "iiiIi",
    fd_prestat_dir_name: "iii",
    fd_prestat_get: "ii",
    fd_pwrite: "iiiIi",
    fd_read: "iiii",
    fd_readdir: "iiiIi",
    fd_renumber: "ii",
    fd_seek: "iIii",
    fd_sync: "i",
    fd_tell: "ii",
    fd_write: "iiii",
    path_create_directory: "iii",
    path_filestat_get: "iiiii",
    path_filestat_set_times: "iiiiIIi",
    path_link: "iiiiiii",
    path_open: "iiiiiIIii",
    path_readlink: "iiiiii",
    path_remove_directory: "iii",
    path_rename: "iiiiii",
    path_symlink: "iiiii",
    path_unlink_file: "iii",
    poll_oneoff: "iiii",
    proc_exit: "i",
    proc_raise: "i",
    random_get: "ii",
    sched_yield: "",
  }),
);

/** Parameters and results as value type bytes. */
export interface FunctionType {
  params: number[];
  results: number[];
}

/** Where a section's or body's content lies in the module. */
export interface Span {
  start: number;
  end: number;
}

/** A module taken apart as far as metering needs it. */
export interface Program {
  bytes: Uint8Array;
  /** By section number; custom sections are left out. In the order of the file. */
  sections: Map<number, Span>;
  types: FunctionType[];
  /** `module.name` of each imported function. */
  imports: string[];
  /** Type of every function, the imported ones first. */
  functionTypes: number[];
  memory: { initialPages: number; maximumPages: number | undefined } | undefined;
  tables: number;
  globals: number;
  exports: Map<string, { kind: number; index: number }>;
  startFunction: number | undefined;
  /** One for each function that is not imported, locals included. */
  bodies: Span[];
}

/** The error for a feature that this sandbox does not run. */
export function forbiddenFeature(feature: string, at?: number): SuretyError {
  return new SuretyError("PROGRAM_FEATURE_FORBIDDEN", `the program uses ${feature}, which is not permitted here`, {
    details: { feature, at },
    fix: "Build it for WebAssembly 2.0 with fixed-width SIMD at most, without threads, exceptions or garbage collection.",
    exit: ExitStatus.badInput,
  });
}

/** The error for a program beyond one of the {@link programLimits}. */
export function tooLarge(what: string, actual: number, limit: number): SuretyError {
  return new SuretyError("PROGRAM_TOO_LARGE", `the program has ${actual} ${what}, at most ${limit} are permitted`, {
    details: { what, actual, limit },
    fix: "Build a smaller program: strip it, optimise for size, or move data to the task's input.",
    exit: ExitStatus.badInput,
  });
}

function atMost(what: string, actual: number, limit: number): number {
  if (actual > limit) throw tooLarge(what, actual, limit);
  return actual;
}

const sectionNumber = {
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  code: 10,
};

/** Checks a value type: numbers, vectors, `funcref` and `externref`. */
export function valueType(byte: number, at: number): number {
  const known = (byte >= 0x7b && byte <= 0x7f) || byte === 0x70 || byte === 0x6f;
  if (!known) throw forbiddenFeature(`the value type 0x${byte.toString(16)}`, at);
  return byte;
}

function readLimits(reader: BinaryReader): { initial: number; maximum: number | undefined } {
  const at = reader.at;
  const flags = reader.byte();
  if (flags & 0x02) throw forbiddenFeature("shared memory (threads)", at);
  if (flags & 0x04) throw forbiddenFeature("memory64", at);
  if (flags & 0x08) throw forbiddenFeature("custom page sizes", at);
  if (flags > 1) throw invalidProgram("unknown kind of limits", at);
  const initial = reader.u32();
  return { initial, maximum: flags === 1 ? reader.u32() : undefined };
}

/** Steps over a constant expression and refuses what is not plain in it. */
function skipConstant(reader: BinaryReader): void {
  for (;;) {
    const at = reader.at;
    const code = reader.byte();
    if (code === 0x0b) return;
    if (code === 0x41 || code === 0x42) reader.skipLeb();
    else if (code === 0x43) reader.skip(4);
    else if (code === 0x44) reader.skip(8);
    else if (code === 0x23 || code === 0xd2) reader.u32();
    else if (code === 0xd0) reader.skip(1);
    else if (code === 0xfd && reader.u32() === 12) reader.skip(16);
    else if ([0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e].includes(code)) continue;
    else throw forbiddenFeature(`instruction 0x${code.toString(16)} in a constant`, at);
  }
}

/**
 * Takes a module apart and refuses what may not run here. What it lets through may still be invalid in ways that only
 * the engine's validator sees.
 *
 * @throws SuretyError `PROGRAM_NOT_WASM`, `PROGRAM_INVALID`, `PROGRAM_TOO_LARGE`, `PROGRAM_IMPORT_FORBIDDEN`,
 * `PROGRAM_FEATURE_FORBIDDEN`.
 */
export function readProgram(bytes: Uint8Array): Program {
  const magic = [0x00, 0x61, 0x73, 0x6d];
  if (bytes.length < 8 || magic.some((byte, index) => bytes[index] !== byte)) {
    throw new SuretyError("PROGRAM_NOT_WASM", "the program does not begin like a WebAssembly module", {
      details: { bytes: bytes.length, begins: Buffer.from(bytes.subarray(0, 4)).toString("hex") },
      fix: "Give a WASI command module, built for wasm32-wasi or GOOS=wasip1.",
      exit: ExitStatus.badInput,
    });
  }
  if (bytes[4] !== 1 || bytes[5] !== 0 || bytes[6] !== 0 || bytes[7] !== 0) {
    throw forbiddenFeature("a binary version other than 1 (a component?)", 4);
  }
  atMost("bytes", bytes.length, programLimits.bytes);

  const program: Program = {
    bytes,
    sections: new Map(),
    types: [],
    imports: [],
    functionTypes: [],
    memory: undefined,
    tables: 0,
    globals: 0,
    exports: new Map(),
    startFunction: undefined,
    bodies: [],
  };
  const reader = new BinaryReader(bytes, 8);
  while (reader.at < bytes.length) {
    const at = reader.at;
    const number = reader.byte();
    const size = reader.u32();
    const span = { start: reader.at, end: reader.at + size };
    reader.skip(size);
    if (number === 0) continue;
    if (number === 13) throw forbiddenFeature("exceptions", at);
    if (number > 13) throw invalidProgram(`unknown section ${number}`, at);
    if (program.sections.has(number)) throw invalidProgram(`section ${number} comes twice`, at);
    program.sections.set(number, span);
    const content = new BinaryReader(bytes, span.start, span.end);
    readSection(program, number, content);
  }
  return program;
}

function readSection(program: Program, number: number, reader: BinaryReader): void {
  switch (number) {
    case sectionNumber.type: {
      for (let count = reader.u32(); count > 0; count--) {
        const at = reader.at;
        if (reader.byte() !== 0x60) throw forbiddenFeature("types of garbage collection", at);
        const list = (): number[] => {
          const types: number[] = [];
          for (let left = reader.u32(); left > 0; left--) types.push(valueType(reader.byte(), reader.at - 1));
          return types;
        };
        program.types.push({ params: list(), results: list() });
      }
      return;
    }
    case sectionNumber.import: {
      for (let count = reader.u32(); count > 0; count--) {
        const module = reader.name();
        const name = reader.name();
        const kind = reader.byte();
        const kindName = ["function", "table", "memory", "global", "tag"][kind] ?? "thing";
        if (kind !== 0 || module !== "wasi_snapshot_preview1" || !permittedImports.has(name)) {
          throw new SuretyError("PROGRAM_IMPORT_FORBIDDEN", `the program imports the ${kindName} ${module}.${name}`, {
            details: { module, name, kind: kindName },
            fix: "Only functions of wasi_snapshot_preview1 may be imported, sockets excepted.",
            exit: ExitStatus.badInput,
          });
        }
        const type = reader.u32();
        const { params, results } = program.types[type] ?? { params: [], results: [0] };
        const letters = params.map((param) => (param === 0x7f ? "i" : param === 0x7e ? "I" : "?")).join("");
        const returns = name === "proc_exit" ? "" : "127";
        if (letters !== permittedImports.get(name) || results.join() !== returns) {
          throw new SuretyError(
            "PROGRAM_IMPORT_FORBIDDEN",
            `the program imports ${module}.${name} with a type it does not have`,
            {
              details: { module, name, parameters: letters, expected: permittedImports.get(name) },
              fix: "Declare it as WASI preview 1 does.",
              exit: ExitStatus.badInput,
            },
          );
        }
        program.imports.push(`${module}.${name}`);
        program.functionTypes.push(type);
      }
      return;
    }
    case sectionNumber.function: {
      const count = atMost("functions", reader.u32(), programLimits.functions);
      for (let index = 0; index < count; index++) program.functionTypes.push(reader.u32());
      return;
    }
    case sectionNumber.table: {
      program.tables = atMost("tables", reader.u32(), programLimits.tables);
      for (let index = 0; index < program.tables; index++) {
        valueType(reader.byte(), reader.at - 1);
        atMost("table entries", readLimits(reader).initial, programLimits.tableEntries);
      }
      return;
    }
    case sectionNumber.memory: {
      const count = reader.u32();
      if (count > 1) throw forbiddenFeature("more than one memory", reader.at);
      if (count === 1) {
        const { initial, maximum } = readLimits(reader);
        program.memory = { initialPages: initial, maximumPages: maximum };
      }
      return;
    }
    case sectionNumber.global: {
      program.globals = atMost("globals", reader.u32(), programLimits.globals);
      for (let index = 0; index < program.globals; index++) {
        valueType(reader.byte(), reader.at - 1);
        reader.byte();
        skipConstant(reader);
      }
      return;
    }
    case sectionNumber.export: {
      for (let count = reader.u32(); count > 0; count--) {
        const name = reader.name();
        program.exports.set(name, { kind: reader.byte(), index: reader.u32() });
      }
      return;
    }
    case sectionNumber.start:
      program.startFunction = reader.u32();
      return;
    case sectionNumber.code: {
      const count = reader.u32();
      for (let index = 0; index < count; index++) {
        const size = atMost("bytes in one function", reader.u32(), programLimits.functionBytes);
        program.bodies.push({ start: reader.at, end: reader.at + size });
        reader.skip(size);
      }
      return;
    }
  }
}
