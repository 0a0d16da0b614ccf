import {
  ConsoleStdout,
  Directory,
  File,
  OpenFile,
  PreopenDirectory,
  WASI,
  type Inode,
} from "@bjorn3/browser_wasi_shim";
import type { TaskOutcome, WasmTask } from "../../agents/executor/executor.ts";

/**
 * Runs a task's program as it is: no metering, no limits, no worker, the real clock. What the real
 * executor returns for an honest, deterministic program must equal what this returns.
 */
export class BareWasi {
  readonly #compiled = new WeakMap<Uint8Array, WebAssembly.Module>();

  async run({ program, args, index, input }: WasmTask): Promise<TaskOutcome> {
    let module = this.#compiled.get(program);
    if (!module) {
      module = await WebAssembly.compile(program as BufferSource);
      this.#compiled.set(program, module);
    }
    const stdout: Uint8Array[] = [];
    const stderr: Uint8Array[] = [];
    const out = new PreopenDirectory("/out", new Map());
    const wasi = new WASI(
      ["task", ...args.map((argument) => argument.replaceAll("{index}", String(index)))],
      [],
      [
        new OpenFile(new File([])),
        new ConsoleStdout((bytes) => stdout.push(bytes.slice())),
        new ConsoleStdout((bytes) => stderr.push(bytes.slice())),
        new PreopenDirectory(
          "/in",
          new Map([...input].map(([name, bytes]) => [name, new File(bytes, { readonly: true })])),
        ),
        out,
      ],
      { debug: false },
    );
    const started = performance.now();
    const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport });
    const code = wasi.start(instance as Parameters<WASI["start"]>[0]);
    const memory = instance.exports["memory"] as WebAssembly.Memory;
    return {
      exit: { code },
      stdout: Buffer.concat(stdout),
      stderr: Buffer.concat(stderr),
      files: new Map(filesIn(out.dir.contents, "")),
      usage: {
        fuel: 0n,
        peakMemoryBytes: memory.buffer.byteLength,
        milliseconds: performance.now() - started,
      },
    };
  }
}

function filesIn(contents: Map<string, Inode>, prefix: string): [string, Uint8Array][] {
  return [...contents].flatMap(([name, node]) => {
    if (node instanceof File) return [[prefix + name, node.data] as [string, Uint8Array]];
    return node instanceof Directory ? filesIn(node.contents, `${prefix}${name}/`) : [];
  });
}
