import { createHash } from "node:crypto";
import type { Fd } from "@bjorn3/browser_wasi_shim";
import { WASI, wasi } from "@bjorn3/browser_wasi_shim";
import type { ResourceTrace } from "#sdk/resource-trace.ts";
import type { WasmTask } from "../executor.ts";
import {
  EmptyInput,
  Folder,
  inputFolder,
  LimitReached,
  OpenFolder,
  OutputBudget,
  OutputStream,
  longestPath,
  type FileSystem,
} from "./files.ts";
import { FuelTrace } from "./fuel-trace.ts";

/** What the clocks show when a task begins: 2000-01-01T00:00:00Z. They stand still, but waiting moves them on. */
export const startOfTime = 946_684_800_000_000_000n;

/** Fuel for calling the host at all. */
const callFuel = 256;

/** Most buffers in one call, as POSIX systems have it, and most files open at once. */
const mostBuffers = 1024;
const mostDescriptors = 1024;

/** Where a function's arguments point into memory, by their positions. */
interface Pointers {
  /** A pointer, and the argument with the length or a fixed length. */
  spans?: [pointer: number, length: number | { bytes: number }][];
  paths?: [pointer: number, length: number][];
  /** A list of buffers and the number of them. */
  buffers?: [pointer: number, count: number];
}

const fixed = (pointer: number, bytes: number): [number, { bytes: number }] => [pointer, { bytes }];

const pointers: Record<string, Pointers> = {
  clock_res_get: { spans: [fixed(1, 8)] },
  clock_time_get: { spans: [fixed(2, 8)] },
  environ_sizes_get: { spans: [fixed(0, 4), fixed(1, 4)] },
  args_sizes_get: { spans: [fixed(0, 4), fixed(1, 4)] },
  fd_fdstat_get: { spans: [fixed(1, 24)] },
  fd_filestat_get: { spans: [fixed(1, 64)] },
  fd_pread: { buffers: [1, 2], spans: [fixed(4, 4)] },
  fd_prestat_get: { spans: [fixed(1, 8)] },
  fd_prestat_dir_name: { spans: [[1, 2]] },
  fd_pwrite: { buffers: [1, 2], spans: [fixed(4, 4)] },
  fd_read: { buffers: [1, 2], spans: [fixed(3, 4)] },
  fd_readdir: { spans: [[1, 2], fixed(4, 4)] },
  fd_seek: { spans: [fixed(3, 8)] },
  fd_tell: { spans: [fixed(1, 8)] },
  fd_write: { buffers: [1, 2], spans: [fixed(3, 4)] },
  path_create_directory: { paths: [[1, 2]] },
  path_filestat_get: { paths: [[2, 3]], spans: [fixed(4, 64)] },
  path_filestat_set_times: { paths: [[2, 3]] },
  path_open: { paths: [[2, 3]], spans: [fixed(8, 4)] },
  path_remove_directory: { paths: [[1, 2]] },
  path_rename: {
    paths: [
      [1, 2],
      [4, 5],
    ],
  },
  path_unlink_file: { paths: [[1, 2]] },
  random_get: { spans: [[0, 1]] },
};

type HostFunction = (...args: never[]) => unknown;

/** What the host functions need of the running program. */
export interface ProgramMachine {
  memory: WebAssembly.Memory | undefined;
  /** Units left; negative once the program ran out. */
  fuel: WebAssembly.Global;
}

/** Deterministic bytes: SHA-256 over a label, the program's hash, the task's index and a counter. */
class RandomStream {
  private readonly seed: Buffer;
  private counter = 0;
  private rest = new Uint8Array(0);

  constructor(programHash: string, index: number) {
    const tail = Buffer.alloc(8);
    tail.writeBigUInt64BE(BigInt(index));
    this.seed = Buffer.concat([Buffer.from("surety/random/1"), Buffer.from(programHash, "hex"), tail]);
  }

  fill(target: Uint8Array): void {
    let at = 0;
    while (at < target.length) {
      if (this.rest.length === 0) {
        const block = Buffer.alloc(8);
        block.writeBigUInt64BE(BigInt(this.counter++));
        this.rest = new Uint8Array(createHash("sha256").update(this.seed).update(block).digest());
      }
      const part = this.rest.subarray(0, target.length - at);
      target.set(part, at);
      at += part.length;
      this.rest = this.rest.subarray(part.length);
    }
  }
}

/**
 * The world of one task: `/in`, `/out`, three streams, arguments, a clock and a source of randomness. The shim does
 * WASI's calling convention; in front of it stands a guard that checks every pointer, charges fuel for the host's work
 * and replaces whatever would differ between two runs.
 */
export class TaskWorld {
  /** The module `wasi_snapshot_preview1`. */
  readonly imports: Record<string, HostFunction> = {};
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly out: Folder;

  private readonly shim: WASI;
  private readonly random: RandomStream;
  private readonly args: Uint8Array[];
  private readonly budget: OutputBudget;
  private readonly fuelLimit: bigint;
  private readonly trace = new FuelTrace();
  private machine: ProgramMachine | undefined;
  private memoryBytes = 0;
  /** Fuel left at which the next sample of the trace is due. */
  private sampleAt: bigint;
  private now = startOfTime;

  constructor(task: Omit<WasmTask, "program">, programHash: string) {
    this.budget = new OutputBudget(task.limits.outputBytes, task.limits.files);
    this.fuelLimit = task.limits.fuel;
    this.sampleAt = this.fuelLimit - BigInt(this.trace.next);
    const system: FileSystem = {
      budget: this.budget,
      charge: (units) => this.charge(units),
      nextInode: 1n,
    };
    const input = inputFolder(system, task.input);
    this.out = new Folder(system, undefined, true);
    this.stdout = new OutputStream(system);
    this.stderr = new OutputStream(system);
    this.random = new RandomStream(programHash, task.index);
    this.args = ["task", ...task.args].map((arg) =>
      new TextEncoder().encode(arg.replaceAll("{index}", String(task.index)) + "\0"),
    );
    this.shim = new WASI(
      [],
      [],
      [
        new EmptyInput(),
        this.stdout,
        this.stderr,
        new OpenFolder(system, input, input, "/in"),
        new OpenFolder(system, this.out, this.out, "/out"),
      ],
      { debug: false },
    );
    const own = this.ownFunctions();
    for (const [name, implementation] of Object.entries({ ...this.shim.wasiImport, ...own })) {
      this.imports[name] = this.guard(implementation as (...args: unknown[]) => unknown, pointers[name] ?? {});
    }
  }

  /** Must be called before the program runs. */
  connect(machine: ProgramMachine): void {
    this.machine = machine;
    this.memoryBytes = machine.memory?.buffer.byteLength ?? 0;
    this.shim.inst = { exports: { memory: machine.memory! } };
  }

  /** Must be called after the program's memory has grown. */
  grown(): void {
    const { fuel, memory } = this.machine!;
    this.sample(fuel.value as bigint);
    this.memoryBytes = memory!.buffer.byteLength;
  }

  /**
   * What the program used while it ran.
   *
   * @param spent Units of fuel burned in all.
   */
  endTrace(spent: bigint): ResourceTrace | undefined {
    return this.trace.end(Number(spent), this.state);
  }

  private get state(): { memory: number; output: number } {
    return { memory: this.memoryBytes, output: this.budget.bytesTaken };
  }

  private sample(left: bigint): void {
    if (left > this.sampleAt) return;
    this.trace.advance(Number(this.fuelLimit - (left > 0n ? left : 0n)), this.state);
    this.sampleAt = this.fuelLimit - BigInt(this.trace.next);
  }

  private charge(units: number): void {
    const { fuel } = this.machine!;
    const left = (fuel.value as bigint) - BigInt(units);
    fuel.value = left;
    this.sample(left);
    if (left < 0n) throw new LimitReached("fuel");
  }

  private get bytes(): Uint8Array {
    return new Uint8Array(this.machine!.memory!.buffer);
  }

  private get view(): DataView {
    return new DataView(this.machine!.memory!.buffer);
  }

  private guard(implementation: (...args: unknown[]) => unknown, where: Pointers): HostFunction {
    const guarded = (...raw: unknown[]): unknown => {
      this.charge(callFuel);
      // Addresses above 2 GiB arrive as negative numbers.
      const args = raw.map((arg) => (typeof arg === "number" ? arg >>> 0 : arg));
      const number = (position: number): number => args[position] as number;
      const size = this.machine!.memory?.buffer.byteLength ?? 0;
      for (const [pointer, length] of where.spans ?? []) {
        const bytes = typeof length === "number" ? number(length) : length.bytes;
        if (number(pointer) + bytes > size) return wasi.ERRNO_FAULT;
        this.charge(bytes >>> 3);
      }
      for (const [pointer, length] of where.paths ?? []) {
        if (number(length) > longestPath) return wasi.ERRNO_NAMETOOLONG;
        if (number(pointer) + number(length) > size) return wasi.ERRNO_FAULT;
        this.charge(number(length));
        try {
          const path = this.path(number(pointer), number(length));
          if (path.includes("\0")) return wasi.ERRNO_INVAL;
        } catch {
          return wasi.ERRNO_ILSEQ;
        }
      }
      if (where.buffers !== undefined) {
        const [pointer, count] = [number(where.buffers[0]), number(where.buffers[1])];
        if (count > mostBuffers) return wasi.ERRNO_INVAL;
        if (pointer + count * 8 > size) return wasi.ERRNO_FAULT;
        const { view } = this;
        let total = 0;
        for (let index = 0; index < count; index++) {
          const length = view.getUint32(pointer + index * 8 + 4, true);
          if (view.getUint32(pointer + index * 8, true) + length > size) return wasi.ERRNO_FAULT;
          total += length;
        }
        this.charge(count * 16 + Math.floor(total / 8));
      }
      return implementation(...args);
    };
    return guarded;
  }

  private path(pointer: number, length: number): string {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      this.bytes.subarray(pointer, pointer + length),
    );
  }

  private get descriptors(): (Fd | undefined)[] {
    return this.shim.fds;
  }

  /** Replaces what the shim leaves to the machine, does not do, or gets wrong. */
  private ownFunctions(): Record<string, HostFunction> {
    const shim = this.shim.wasiImport;
    const fits = (pointer: number, length: number): boolean => pointer + length <= this.bytes.length;
    return {
      args_sizes_get: (count: number, size: number): number => {
        this.view.setUint32(count, this.args.length, true);
        this.view.setUint32(
          size,
          this.args.reduce((sum, arg) => sum + arg.length, 0),
          true,
        );
        return wasi.ERRNO_SUCCESS;
      },
      args_get: (list: number, buffer: number): number => {
        const size = this.args.reduce((sum, arg) => sum + arg.length, 0);
        if (!fits(list, this.args.length * 4) || !fits(buffer, size)) return wasi.ERRNO_FAULT;
        this.charge(size);
        let at = buffer;
        for (const [index, arg] of this.args.entries()) {
          this.view.setUint32(list + index * 4, at, true);
          this.bytes.set(arg, at);
          at += arg.length;
        }
        return wasi.ERRNO_SUCCESS;
      },
      environ_get: (): number => wasi.ERRNO_SUCCESS,
      clock_res_get: (clock: number, result: number): number => {
        if (clock > wasi.CLOCKID_THREAD_CPUTIME_ID) return wasi.ERRNO_INVAL;
        this.view.setBigUint64(result, 1n, true);
        return wasi.ERRNO_SUCCESS;
      },
      clock_time_get: (clock: number, _precision: bigint, result: number): number => {
        const time = this.time(clock);
        if (time === undefined) return wasi.ERRNO_INVAL;
        this.view.setBigUint64(result, time, true);
        return wasi.ERRNO_SUCCESS;
      },
      fd_close: (descriptor: number): number => {
        const error = shim["fd_close"]!(descriptor) as number;
        // The shim never uses a number twice; give back those at the end, or a long loop would fill its table.
        while (this.descriptors.length > 5 && this.descriptors.at(-1) === undefined) this.descriptors.pop();
        return error;
      },
      fd_renumber: (from: number, to: number): number =>
        from === to && this.descriptors[from] !== undefined
          ? wasi.ERRNO_SUCCESS
          : (shim["fd_renumber"]!(from, to) as number),
      fd_seek: (descriptor: number, offset: bigint, whence: number, result: number): number => {
        const open = this.descriptors[descriptor];
        if (open === undefined) return wasi.ERRNO_BADF;
        const sought = open.fd_seek(offset, whence);
        if (sought.ret === wasi.ERRNO_NOTSUP) return wasi.ERRNO_SPIPE;
        if (sought.ret === wasi.ERRNO_SUCCESS) this.view.setBigInt64(result, sought.offset, true);
        return sought.ret;
      },
      path_open: (...args: unknown[]): number => {
        if (this.descriptors.length >= mostDescriptors) return wasi.ERRNO_MFILE;
        return shim["path_open"]!(...args) as number;
      },
      path_rename: (
        from: number,
        path: number,
        length: number,
        to: number,
        newPath: number,
        newLength: number,
      ): number => {
        const [source, target] = [this.descriptors[from], this.descriptors[to]];
        if (source === undefined || target === undefined) return wasi.ERRNO_BADF;
        if (!(source instanceof OpenFolder) || !(target instanceof OpenFolder)) return wasi.ERRNO_NOTDIR;
        return source.rename(this.path(path, length), target, this.path(newPath, newLength));
      },
      path_link: (): number => wasi.ERRNO_NOTSUP,
      path_symlink: (): number => wasi.ERRNO_NOTSUP,
      path_readlink: (): number => wasi.ERRNO_INVAL,
      proc_raise: (): number => wasi.ERRNO_NOSYS,
      sched_yield: (): number => wasi.ERRNO_SUCCESS,
      random_get: (pointer: number, length: number): number => {
        this.charge(length);
        this.random.fill(this.bytes.subarray(pointer, pointer + length));
        return wasi.ERRNO_SUCCESS;
      },
      poll_oneoff: (subscriptions: number, events: number, count: number, result: number): number =>
        this.poll(subscriptions, events, count, result),
    };
  }

  private time(clock: number): bigint | undefined {
    if (clock === wasi.CLOCKID_REALTIME) return this.now;
    // From 1 s: Go's runtime takes a monotonic clock of 0 for a broken one.
    return clock <= wasi.CLOCKID_THREAD_CPUTIME_ID ? this.now - startOfTime + 1_000_000_000n : undefined;
  }

  /**
   * Nothing ever blocks here: files are always ready, and where the program only waits for a clock, the clock jumps to
   * the first moment it waits for.
   */
  private poll(subscriptions: number, events: number, count: number, result: number): number {
    if (count === 0 || count > mostBuffers) return wasi.ERRNO_INVAL;
    const { view } = this;
    if (
      subscriptions + count * 48 > view.byteLength ||
      events + count * 32 > view.byteLength ||
      result + 4 > view.byteLength
    ) {
      return wasi.ERRNO_FAULT;
    }
    this.charge(count * 64);
    interface Event {
      userdata: bigint;
      error: number;
      kind: number;
      bytes: bigint;
      due: bigint | undefined;
    }
    const asked: Event[] = [];
    for (let index = 0; index < count; index++) {
      const at = subscriptions + index * 48;
      const event: Event = {
        userdata: view.getBigUint64(at, true),
        error: 0,
        kind: view.getUint8(at + 8),
        bytes: 0n,
        due: undefined,
      };
      if (event.kind === wasi.EVENTTYPE_CLOCK) {
        const time = this.time(view.getUint32(at + 16, true));
        const timeout = view.getBigUint64(at + 24, true);
        const absolute = (view.getUint16(at + 40, true) & wasi.SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME) !== 0;
        if (time === undefined) event.error = wasi.ERRNO_INVAL;
        else event.due = this.now + (absolute ? (timeout > time ? timeout - time : 0n) : timeout);
      } else if (this.descriptors[view.getUint32(at + 16, true)] === undefined) event.error = wasi.ERRNO_BADF;
      else event.bytes = 1n;
      asked.push(event);
    }
    let ready = asked.filter((event) => event.due === undefined || event.due <= this.now);
    if (ready.length === 0) {
      const first = asked.map((event) => event.due!).reduce((a, b) => (a < b ? a : b));
      // The clock holds 64 bits; a wait beyond its end ends there.
      this.now = first < 1n << 63n ? first : (1n << 63n) - 1n;
      ready = asked.filter((event) => event.due === first);
    }
    for (const [index, event] of ready.entries()) {
      const at = events + index * 32;
      this.bytes.fill(0, at, at + 32);
      view.setBigUint64(at, event.userdata, true);
      view.setUint16(at + 8, event.error, true);
      view.setUint8(at + 10, event.kind);
      view.setBigUint64(at + 16, event.bytes, true);
    }
    view.setUint32(result, ready.length, true);
    return wasi.ERRNO_SUCCESS;
  }
}
