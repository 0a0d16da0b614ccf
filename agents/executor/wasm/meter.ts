import { BinaryReader, BinaryWriter, invalidProgram } from "./binary.ts";
import { bulkBase, featureOf, operation, vectorBase, type FloatShape } from "./opcodes.ts";
import { forbiddenFeature, programLimits, tooLarge, valueType, type FunctionType, type Program } from "./program.ts";
import { SuretyError, ExitStatus } from "#sdk/errors.ts";

/**
 * Bytes of call stack a program may use, counted as {@link frameBytes} says. The worker's real stack is several times
 * as large, so that this count always runs out first.
 */
export const stackBytes = 16 * 1024 * 1024;

/** Units of fuel for one page of new memory: the engine clears 64 KiB. */
const pageFuel = 4096;

/** Bulk operations cost one unit for 2^3 bytes, table operations one for each entry. */
const bytesPerUnitShift = 3;

/** A segment as cheap as this is charged together with the one it hangs on, up to {@link foldRoom}. */
const foldCost = 12;
const foldRoom = (ownCost: number): number => Math.max(24, ownCost);

/** What the metered module exports beside its own, each behind {@link MeteredProgram.prefix}. */
export const meterExports = {
  /** Mutable i64: fuel left; negative once it ran out. */
  fuel: "fuel",
  /** Mutable i64: bytes of call stack left; negative once it ran out. */
  stack: "stack",
  /** Mutable i64: most pages of memory. */
  pages: "pages",
  /** Mutable i32: see {@link GrowthRefused}. */
  refused: "refused",
  /** Table of one function without parameters and results: called after memory has grown. Must be set. */
  grown: "grown",
  memory: "memory",
  /** The module's start function, to be called once the globals are set. */
  start: "start",
  /** What `_start` was. */
  entry: "entry",
} as const;

/** Values of the exported global `refused`. */
export const GrowthRefused = {
  no: 0,
  /** The task's cap stood in the way. */
  byCap: 1,
  /** The host had no memory left: no outcome, the machine failed. */
  byHost: 2,
} as const;

/** A module that counts its own fuel, stack and memory. */
export interface MeteredProgram {
  bytes: Uint8Array;
  /** In front of the names in {@link meterExports}; chosen so that it meets no name of the program's own. */
  prefix: string;
  hasStart: boolean;
  hasEntry: boolean;
}

/** An estimate from above of what a call takes of the engine's stack. */
function frameBytes(slots: number): number {
  return 96 + 16 * slots;
}

/** Straight-line code that runs at most once each time its beginning is reached. */
interface Segment {
  cost: number;
  /** The segment that is always reached before and never less often; folding into it overcharges, never under. */
  parent: number;
  /** Loop heads and function entries check; the others only count. */
  checks: boolean;
  folded: number;
}

interface Label {
  kind: "function" | "block" | "loop" | "if";
  /** Operand stack height below the label's parameters. */
  base: number;
  type: FunctionType;
  /** Segment that was current before the label. */
  outside: number;
  targeted: boolean;
  dead: boolean;
}

type Edit =
  | { kind: "charge"; at: number; segment: number }
  | { kind: "canonicalise"; at: number; shape: FloatShape; needed: boolean }
  | { kind: "return"; at: number; skip: number; depth: number }
  | { kind: "grow"; at: number; skip: number }
  | { kind: "bulk"; at: number; shift: number };

const emptyType: FunctionType = { params: [], results: [] };

const I32 = 0x7f;
const I64 = 0x7e;
const F32 = 0x7d;
const F64 = 0x7c;
const V128 = 0x7b;
const FUNCREF = 0x70;

interface Globals {
  fuel: number;
  stack: number;
  pages: number;
  refused: number;
}

/**
 * Rewrites a program so that it counts its own fuel, call stack and memory, and so that every NaN it makes has the one
 * canonical form. What the count is depends on the program and its input alone.
 *
 * Fuel: about one unit an instruction. A body is cut into segments, each charged where it begins; code behind a
 * conditional branch out of a block is charged although it may be skipped, so the count is an upper bound.
 *
 * @throws SuretyError `PROGRAM_FEATURE_FORBIDDEN`, `PROGRAM_INVALID`, `PROGRAM_TOO_LARGE`, `PROGRAM_NO_ENTRY`.
 */
export function meterProgram(program: Program): MeteredProgram {
  const entry = program.exports.get("_start");
  const hasEntry = entry?.kind === 0;
  const entryType = hasEntry ? program.types[program.functionTypes[entry.index] ?? -1] : undefined;
  if (
    hasEntry ? entryType?.params.length !== 0 || entryType.results.length !== 0 : program.startFunction === undefined
  ) {
    throw new SuretyError(
      "PROGRAM_NO_ENTRY",
      "the program exports no function _start without parameters and results, and has no start section",
      {
        fix: "Build a command, not a library (AssemblyScript: --exportStart _start; Go: no -buildmode).",
        exit: ExitStatus.badInput,
      },
    );
  }
  const memoryExport = program.exports.get("memory");
  if (program.imports.length > 0 && (memoryExport?.kind !== 2 || program.memory === undefined)) {
    throw new SuretyError("PROGRAM_NO_ENTRY", "the program does not export its memory as memory, as WASI asks", {
      fix: "Export the memory.",
      exit: ExitStatus.badInput,
    });
  }
  let prefix = "surety:";
  while ([...program.exports.keys()].some((name) => name.startsWith(prefix))) prefix += ":";

  const globals: Globals = {
    fuel: program.globals,
    stack: program.globals + 1,
    pages: program.globals + 2,
    refused: program.globals + 3,
  };
  const extraTypes = new ExtraTypes(program.types);
  const code = new BinaryWriter().u32(program.bodies.length);
  for (const [index, body] of program.bodies.entries()) {
    const type = program.types[program.functionTypes[program.imports.length + index] ?? -1];
    if (type === undefined) throw invalidProgram(`function ${index} has no type`);
    code.sized(new FunctionMeter(program, body.start, body.end, type, globals, extraTypes).rewrite());
  }

  const out = new BinaryWriter().raw(program.bytes.subarray(0, 8));
  const section = (number: number, content: BinaryWriter | undefined): void => {
    if (content !== undefined) out.byte(number).sized(content);
  };
  const copy = (number: number): BinaryWriter | undefined => {
    const span = program.sections.get(number);
    return span && new BinaryWriter().raw(program.bytes.subarray(span.start, span.end));
  };
  section(1, extraTypes.section(program));
  for (const number of [2, 3]) section(number, copy(number));
  section(
    4,
    appendTo(program, 4, 1, (writer) => writer.byte(FUNCREF, 0x01).u32(1).u32(1)),
  );
  section(5, copy(5));
  section(
    6,
    appendTo(program, 6, 4, (writer) => {
      for (let count = 0; count < 3; count++) writer.byte(I64, 0x01, 0x42, 0x00, 0x0b);
      writer.byte(I32, 0x01, 0x41, 0x00, 0x0b);
    }),
  );
  const exported: [string, number, number][] = [
    [meterExports.fuel, 3, globals.fuel],
    [meterExports.stack, 3, globals.stack],
    [meterExports.pages, 3, globals.pages],
    [meterExports.refused, 3, globals.refused],
    [meterExports.grown, 1, program.tables],
  ];
  if (program.memory !== undefined) exported.push([meterExports.memory, 2, 0]);
  if (hasEntry) exported.push([meterExports.entry, 0, entry.index]);
  if (program.startFunction !== undefined) exported.push([meterExports.start, 0, program.startFunction]);
  section(
    7,
    appendTo(program, 7, exported.length, (writer) => {
      for (const [name, kind, index] of exported)
        writer
          .name(prefix + name)
          .byte(kind)
          .u32(index);
    }),
  );
  // Section 8, the start function, is left out: it would run before anybody could set the limits.
  section(9, copy(9));
  section(12, copy(12));
  section(10, code);
  section(11, copy(11));
  return { bytes: out.view(), prefix, hasStart: program.startFunction !== undefined, hasEntry };
}

/** A section that is a vector, with `added` more entries. */
function appendTo(
  program: Program,
  number: number,
  added: number,
  write: (writer: BinaryWriter) => void,
): BinaryWriter {
  const span = program.sections.get(number);
  const writer = new BinaryWriter();
  if (span === undefined) writer.u32(added);
  else {
    const reader = new BinaryReader(program.bytes, span.start, span.end);
    writer.u32(reader.u32() + added).raw(program.bytes.subarray(reader.at, span.end));
  }
  write(writer);
  return writer;
}

/** Types without parameters: of blocks around the bodies of functions with several results, and of the host's hook. */
class ExtraTypes {
  private readonly first: number;
  private readonly indices = new Map<string, number>();
  private readonly added: number[][] = [];

  constructor(types: readonly FunctionType[]) {
    this.first = types.length;
  }

  /** Writes the block type that makes `results` out of nothing. */
  write(writer: BinaryWriter, results: number[]): void {
    if (results.length === 0) writer.byte(0x40);
    else if (results.length === 1) writer.byte(results[0]!);
    else writer.signed(this.index(results));
  }

  /** Index of the type that takes nothing and makes `results`. */
  index(results: number[]): number {
    const key = results.join();
    let index = this.indices.get(key);
    if (index === undefined) {
      index = this.first + this.added.length;
      this.indices.set(key, index);
      this.added.push(results);
    }
    return index;
  }

  section(program: Program): BinaryWriter {
    return appendTo(program, 1, this.added.length, (writer) => {
      for (const results of this.added) {
        writer
          .byte(0x60, 0x00)
          .u32(results.length)
          .byte(...results);
      }
    });
  }
}

/** Rewrites one function. */
class FunctionMeter {
  private readonly program: Program;
  private readonly reader: BinaryReader;
  private readonly start: number;
  private readonly end: number;
  private readonly type: FunctionType;
  private readonly globals: Globals;
  private readonly extraTypes: ExtraTypes;

  private readonly segments: Segment[] = [];
  private readonly labels: Label[] = [];
  private readonly edits: Edit[] = [];
  /** For each operand the edit that would canonicalise it, or undefined. */
  private readonly operands: ((Edit & { kind: "canonicalise" }) | undefined)[] = [];
  private segment = 0;
  private highest = 0;
  private calls = false;
  private loops = 0;
  private openLoops = 0;
  /** Places where control flow splits or joins. */
  private splits = 0;

  constructor(
    program: Program,
    start: number,
    end: number,
    type: FunctionType,
    globals: Globals,
    extraTypes: ExtraTypes,
  ) {
    this.program = program;
    this.reader = new BinaryReader(program.bytes, start, end);
    this.start = start;
    this.end = end;
    this.type = type;
    this.globals = globals;
    this.extraTypes = extraTypes;
  }

  rewrite(): BinaryWriter {
    const groups = this.reader.u32();
    const groupsStart = this.reader.at;
    let locals = this.type.params.length;
    for (let group = 0; group < groups; group++) {
      locals += this.reader.u32();
      valueType(this.reader.byte(), this.reader.at - 1);
      if (locals > programLimits.functionLocals) {
        throw tooLarge("locals in one function", locals, programLimits.functionLocals);
      }
    }
    const codeStart = this.reader.at;
    this.walk();
    const complexity = this.splits * (locals + 1);
    if (complexity > programLimits.functionComplexity) {
      throw tooLarge("locals times branches in one function", complexity, programLimits.functionComplexity);
    }
    this.fold();
    return this.write(groups, this.program.bytes.subarray(groupsStart, codeStart), codeStart, locals);
  }

  private walk(): void {
    const { reader } = this;
    this.segments.push({ cost: 1, parent: -1, checks: true, folded: 0 });
    this.edits.push({ kind: "charge", at: reader.at, segment: 0 });
    this.labels.push({
      kind: "function",
      base: 0,
      type: { params: [], results: this.type.results },
      outside: 0,
      targeted: false,
      dead: false,
    });
    while (this.labels.length > 0) this.step();
    if (reader.at !== this.end) throw invalidProgram("a function goes on behind its end", reader.at);
  }

  private step(): void {
    const { reader, labels } = this;
    const at = reader.at;
    let code = reader.byte();
    const label = labels[labels.length - 1]!;
    switch (code) {
      case 0x00:
        this.charge(1);
        return this.die(label);
      case 0x02:
      case 0x03:
      case 0x04: {
        this.splits++;
        if (code === 0x04) this.pop();
        if (code === 0x03) this.enterLoop();
        const type = this.blockType();
        this.escape(type.params.length);
        const kind = code === 0x02 ? "block" : code === 0x03 ? "loop" : "if";
        labels.push({
          kind,
          base: Math.max(label.base, this.operands.length - type.params.length),
          type,
          outside: this.segment,
          targeted: false,
          dead: false,
        });
        if (label.dead) {
          // Never reached, and so never charged; but the types must still fit.
          labels[labels.length - 1]!.dead = true;
        }
        if (kind === "if") this.charge(1);
        if (kind !== "block") this.open(this.segment, kind === "loop");
        if (kind === "loop") this.charge(1);
        return;
      }
      case 0x05: {
        if (label.kind !== "if") throw invalidProgram("else without if", at);
        this.escape(label.type.results.length);
        this.operands.length = label.base;
        this.push(label.type.params.length);
        label.dead = labels[labels.length - 2]?.dead ?? false;
        return this.open(label.outside, false);
      }
      case 0x0b: {
        this.escape(label.type.results.length);
        if (label.kind === "loop") this.openLoops--;
        labels.pop();
        if (labels.length === 0) return;
        this.operands.length = label.base;
        this.push(label.type.results.length);
        // Nothing but its own body leads behind a loop, or behind a block that no branch leaves.
        const onlyThrough = label.kind === "loop" || (label.kind === "block" && !label.targeted);
        if (onlyThrough && label.dead) return this.die(labels[labels.length - 1]!);
        if (!onlyThrough || label.kind === "loop") this.open(label.outside, false);
        return;
      }
      case 0x0c:
        this.charge(1);
        this.target(reader.u32());
        return this.die(label);
      case 0x0d:
        this.charge(1);
        this.pop();
        return this.target(reader.u32());
      case 0x0e: {
        this.charge(2);
        this.pop();
        for (let left = reader.u32(); left >= 0; left--) this.target(reader.u32());
        return this.die(label);
      }
      case 0x0f:
        this.charge(1);
        this.edits.push({ kind: "return", at, skip: 1, depth: labels.length - 1 });
        this.escape(this.type.results.length);
        return this.die(label);
      case 0x10: {
        const type = this.program.types[this.program.functionTypes[reader.u32()] ?? -1];
        if (type === undefined) throw invalidProgram("a call to a function that is not there", at);
        return this.call(type, 2);
      }
      case 0x11: {
        const type = this.program.types[reader.u32()];
        reader.u32();
        if (type === undefined) throw invalidProgram("a call with a type that is not there", at);
        this.pop();
        return this.call(type, 4);
      }
      case 0xfc:
        code = bulkBase + reader.u32();
        break;
      case 0xfd:
        code = vectorBase + reader.u32();
        break;
    }
    this.plain(code, at);
  }

  private enterLoop(): void {
    this.loops++;
    this.openLoops++;
    if (this.loops > programLimits.functionLoops) {
      throw tooLarge("loops in one function", this.loops, programLimits.functionLoops);
    }
    if (this.openLoops > programLimits.nestedLoops) {
      throw tooLarge("loops within loops", this.openLoops, programLimits.nestedLoops);
    }
  }

  /** Everything but control flow. */
  private plain(code: number, at: number): void {
    const { reader } = this;
    const found = operation(code);
    if (found === undefined) throw forbiddenFeature(featureOf(code), at);
    switch (found.immediate) {
      case "none":
        break;
      case "index":
        reader.u32();
        break;
      case "indices":
        reader.u32();
        reader.u32();
        break;
      case "memory":
      case "memory-lane": {
        const alignment = reader.u32();
        if (alignment & 0x40) throw forbiddenFeature("more than one memory", at);
        reader.u32();
        if (found.immediate === "memory-lane") reader.skip(1);
        break;
      }
      case "lane":
        reader.skip(1);
        break;
      case "leb":
        reader.skipLeb();
        break;
      case "bytes4":
        reader.skip(4);
        break;
      case "bytes8":
        reader.skip(8);
        break;
      case "bytes16":
        reader.skip(16);
        break;
      case "types":
        for (let left = reader.u32(); left > 0; left--) valueType(reader.byte(), reader.at - 1);
        break;
      case "reference":
        valueType(reader.byte(), reader.at - 1);
        break;
    }
    this.charge(found.cost);
    if (code === 0x40) this.edits.push({ kind: "grow", at, skip: reader.at - at });
    else if (found.pops === 3 && code >= bulkBase && code < vectorBase) {
      const entries = code === bulkBase + 12 || code === bulkBase + 14 || code === bulkBase + 17;
      this.edits.push({ kind: "bulk", at, shift: entries ? 0 : bytesPerUnitShift });
    }
    for (let count = found.pops; count > 0; count--) this.pop(found.ignoresNaN);
    if (found.makesNaN === undefined) return this.push(found.pushes);
    const edit = { kind: "canonicalise", at: reader.at, shape: found.makesNaN, needed: false } as const;
    this.edits.push(edit);
    this.operands.push(edit);
    this.highest = Math.max(this.highest, this.operands.length);
  }

  private call(type: FunctionType, cost: number): void {
    this.calls = true;
    this.charge(cost);
    for (let count = type.params.length; count > 0; count--) this.pop();
    this.push(type.results.length);
  }

  private charge(cost: number): void {
    if (this.labels[this.labels.length - 1]!.dead) return;
    this.segments[this.segment]!.cost += cost;
  }

  private open(parent: number, checks: boolean): void {
    this.segments.push({ cost: 0, parent, checks, folded: 0 });
    this.segment = this.segments.length - 1;
    this.edits.push({ kind: "charge", at: this.reader.at, segment: this.segment });
  }

  private push(count: number): void {
    for (let left = count; left > 0; left--) this.operands.push(undefined);
    this.highest = Math.max(this.highest, this.operands.length);
  }

  private pop(ignoresNaN = false): void {
    // Code that is never reached may take more than there is.
    if (this.operands.length <= this.labels[this.labels.length - 1]!.base) return;
    const operand = this.operands.pop();
    if (operand !== undefined && !ignoresNaN) (operand as { needed: boolean }).needed = true;
  }

  /** The topmost operands go where their bits may be seen. */
  private escape(count: number): void {
    for (let index = Math.max(0, this.operands.length - count); index < this.operands.length; index++) {
      const operand = this.operands[index];
      if (operand !== undefined) (operand as { needed: boolean }).needed = true;
    }
  }

  private target(depth: number): void {
    const label = this.labels[this.labels.length - 1 - depth];
    if (label === undefined) throw invalidProgram("a branch to a label that is not there", this.reader.at);
    label.targeted = true;
    this.splits++;
    this.escape((label.kind === "loop" ? label.type.params : label.type.results).length);
  }

  private die(label: Label): void {
    label.dead = true;
    this.operands.length = Math.min(this.operands.length, label.base);
  }

  private blockType(): FunctionType {
    const at = this.reader.at;
    const written = this.reader.s33();
    if (written === -64) return emptyType;
    if (written < 0) return { params: [], results: [valueType(written + 0x80, at)] };
    const type = this.program.types[written];
    if (type === undefined) throw invalidProgram("a block with a type that is not there", at);
    return type;
  }

  private fold(): void {
    for (let index = this.segments.length - 1; index > 0; index--) {
      const segment = this.segments[index]!;
      const parent = this.segments[segment.parent]!;
      const total = segment.cost + segment.folded;
      if (segment.checks || total > foldCost || parent.folded + total > foldRoom(parent.cost)) continue;
      parent.folded += total;
      segment.cost = 0;
      segment.folded = 0;
    }
  }

  private write(groups: number, groupBytes: Uint8Array, codeStart: number, locals: number): BinaryWriter {
    const { program, globals } = this;
    const shapes = new Set(
      this.edits.flatMap((edit) => (edit.kind === "canonicalise" && edit.needed ? [edit.shape] : [])),
    );
    const scratch: number[] = [];
    const takeScratch = (type: number): number => {
      scratch.push(type);
      return locals + scratch.length - 1;
    };
    const grows = this.edits.some((edit) => edit.kind === "grow");
    const count = grows || this.edits.some((edit) => edit.kind === "bulk") ? takeScratch(I32) : 0;
    const before = grows ? takeScratch(I32) : 0;
    const single = shapes.has("f32") ? takeScratch(F32) : 0;
    const double = shapes.has("f64") ? takeScratch(F64) : 0;
    const lanes = shapes.has("f32x4") || shapes.has("f64x2") ? takeScratch(V128) : 0;

    const out = new BinaryWriter().u32(groups + scratch.length).raw(groupBytes);
    for (const type of scratch) out.u32(1).byte(type);

    const frame = frameBytes(locals + scratch.length + this.highest);
    // A leaf holds the stack once only, and the real stack has room for any one frame.
    const countsStack = this.calls;

    const spend = (writeUnits: () => void): void => {
      out.byte(0x23).u32(globals.fuel);
      writeUnits();
      out.byte(0x7d, 0x24).u32(globals.fuel); // i64.sub, global.set
    };
    const trapIfNegative = (): void => {
      out.byte(0x42, 0x00, 0x53, 0x04, 0x40, 0x00, 0x0b); // i64.const 0, i64.lt_s, if, unreachable, end
    };
    const checkFuel = (): void => {
      out.byte(0x23).u32(globals.fuel);
      trapIfNegative();
    };

    const writeEdit = (edit: Edit): void => {
      switch (edit.kind) {
        case "charge": {
          const segment = this.segments[edit.segment]!;
          const cost = segment.cost + segment.folded;
          if (cost > 0) spend(() => out.byte(0x42).signed(cost));
          if (edit.segment === 0 && countsStack) {
            out.byte(0x23).u32(globals.stack).byte(0x42).signed(frame).byte(0x7d, 0x24).u32(globals.stack);
            out.byte(0x23).u32(globals.fuel).byte(0x23).u32(globals.stack).byte(0x84); // i64.or: negative if either is
            trapIfNegative();
            out.byte(0x02);
            this.extraTypes.write(out, this.type.results);
          } else if (segment.checks) checkFuel();
          return;
        }
        case "return":
          if (countsStack) out.byte(0x0c).u32(edit.depth);
          else out.byte(0x0f);
          return;
        case "bulk":
          out.byte(0x21).u32(count);
          spend(() => {
            out.byte(0x20).u32(count).byte(0xad); // i64.extend_i32_u
            if (edit.shift > 0) out.byte(0x42).signed(edit.shift).byte(0x88); // i64.shr_u
          });
          checkFuel();
          out.byte(0x20).u32(count);
          return;
        case "grow":
          this.writeGrow(out, count, before, spend, checkFuel);
          return;
        case "canonicalise":
          if (!edit.needed) return;
          writeCanonical(out, edit.shape, edit.shape === "f32" ? single : edit.shape === "f64" ? double : lanes);
      }
    };

    let at = codeStart;
    const bodyEnd = this.end - 1; // the function's own `end`
    for (const edit of this.edits) {
      out.raw(program.bytes.subarray(at, edit.at));
      at = edit.at;
      writeEdit(edit);
      if ("skip" in edit) at += edit.skip;
    }
    out.raw(program.bytes.subarray(at, bodyEnd));
    if (countsStack) {
      out.byte(0x0b);
      out.byte(0x23).u32(globals.stack).byte(0x42).signed(frame).byte(0x7c, 0x24).u32(globals.stack);
    }
    return out.byte(0x0b);
  }

  /** In place of `memory.grow`: keeps to the task's cap, remembers a refusal, charges for and tells what was granted. */
  private writeGrow(
    out: BinaryWriter,
    count: number,
    before: number,
    spend: (writeUnits: () => void) => void,
    checkFuel: () => void,
  ): void {
    const { globals, program } = this;
    const wanted = (): void => {
      out.byte(0x3f, 0x00, 0xad, 0x20).u32(count).byte(0xad, 0x7c); // memory.size + count, as i64
    };
    out.byte(0x21).u32(count);
    wanted();
    out.byte(0x23).u32(globals.pages).byte(0x56, 0x04, I32); // i64.gt_u, if
    out.byte(0x41).signed(GrowthRefused.byCap).byte(0x24).u32(globals.refused).byte(0x41, 0x7f);
    out.byte(0x05, 0x20).u32(count).byte(0x40, 0x00, 0x22).u32(before).byte(0x41, 0x7f, 0x46, 0x04, 0x40); // == -1, if
    wanted();
    out
      .byte(0x42)
      .signed(Math.min(program.memory?.maximumPages ?? 65536, 65536))
      .byte(0x58, 0x04, 0x40); // i64.le_u, if
    out.byte(0x41).signed(GrowthRefused.byHost).byte(0x24).u32(globals.refused).byte(0x00, 0x0b);
    out.byte(0x05); // granted
    spend(() => out.byte(0x20).u32(count).byte(0xad, 0x42).signed(pageFuel).byte(0x7e));
    checkFuel();
    // Only if there is more than before: asking for nothing is too cheap to call the host for.
    out.byte(0x20).u32(count).byte(0x04, 0x40); // if
    out.byte(0x41, 0x00, 0x11).u32(this.extraTypes.index([])).u32(program.tables); // call_indirect
    out.byte(0x0b, 0x0b, 0x20).u32(before).byte(0x0b);
  }
}

/** Replaces a NaN on top of the stack by the canonical one: positive, quiet, no payload. */
function writeCanonical(out: BinaryWriter, shape: FloatShape, local: number): void {
  const get = (): BinaryWriter => out.byte(0x20).u32(local);
  switch (shape) {
    case "f32":
      out.byte(0x22).u32(local).byte(0x43, 0x00, 0x00, 0xc0, 0x7f);
      get();
      get().byte(0x5b, 0x1b); // f32.eq, select
      return;
    case "f64":
      out.byte(0x22).u32(local).byte(0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f);
      get();
      get().byte(0x61, 0x1b); // f64.eq, select
      return;
    case "f32x4":
    case "f64x2": {
      const lane = shape === "f32x4" ? [0x00, 0x00, 0xc0, 0x7f] : [0, 0, 0, 0, 0, 0, 0xf8, 0x7f];
      out
        .byte(0x22)
        .u32(local)
        .byte(0xfd)
        .u32(0x0c)
        .byte(...lane, ...lane, ...(shape === "f32x4" ? [...lane, ...lane] : []));
      get();
      get()
        .byte(0xfd)
        .u32(shape === "f32x4" ? 0x41 : 0x47); // eq
      out.byte(0xfd).u32(0x52); // v128.bitselect
    }
  }
}
