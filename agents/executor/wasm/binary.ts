import { SuretyError, ExitStatus } from "#sdk/errors.ts";

/** The error for bytes that cannot be a module. */
export function invalidProgram(what: string, at?: number): SuretyError {
  return new SuretyError("PROGRAM_INVALID", at === undefined ? what : `${what} at byte ${at}`, {
    details: { at },
    fix: "Build the program again and check that the file is whole.",
    exit: ExitStatus.badInput,
  });
}

/** Reads the WebAssembly binary format. Every method throws `PROGRAM_INVALID` past the end. */
export class BinaryReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  byte(): number {
    if (this.at >= this.end) throw invalidProgram("the program ends too early", this.at);
    return this.bytes[this.at++]!;
  }

  skip(count: number): void {
    if (count > this.end - this.at) throw invalidProgram("the program ends too early", this.at);
    this.at += count;
  }

  /** Unsigned LEB128 of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    throw invalidProgram("a number is out of range", this.at);
  }

  /** Signed LEB128 of at most 33 bits, as block types are written. */
  s33(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return byte & 0x40 ? value - 2 ** (shift + 7) : value;
    }
    throw invalidProgram("a number is out of range", this.at);
  }

  /** Steps over a LEB128 number of any size up to 64 bits. */
  skipLeb(): void {
    for (let count = 0; count < 10; count++) if (this.byte() < 0x80) return;
    throw invalidProgram("a number is out of range", this.at);
  }

  name(): string {
    const length = this.u32();
    const start = this.at;
    this.skip(length);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.bytes.subarray(start, this.at));
    } catch (cause) {
      throw invalidProgram(`a name is not UTF-8 (${String(cause)})`, start);
    }
  }
}

/** Writes the WebAssembly binary format into one growing buffer. */
export class BinaryWriter {
  private buffer = new Uint8Array(1024);
  length = 0;

  private reserve(count: number): void {
    if (this.length + count <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.length + count));
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }

  byte(...bytes: number[]): this {
    this.reserve(bytes.length);
    for (const byte of bytes) this.buffer[this.length++] = byte;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  u32(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    return this.byte(rest);
  }

  /** Signed LEB128; `value` must be a safe integer. */
  signed(value: number): this {
    let rest = value;
    for (;;) {
      const low = ((rest % 0x80) + 0x80) % 0x80;
      rest = Math.floor(rest / 0x80);
      if ((rest === 0 && low < 0x40) || (rest === -1 && low >= 0x40)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  name(name: string): this {
    const bytes = new TextEncoder().encode(name);
    return this.u32(bytes.length).raw(bytes);
  }

  /** A section, or any other thing with its size in front. */
  sized(content: BinaryWriter): this {
    return this.u32(content.length).raw(content.view());
  }

  /** What was written, without a copy; valid until the next write. */
  view(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }
}
