/** Protobuf's wire format: what the generated messages read and write with. */

/** Reads fields one after the other. */
export class Reader {
  private at: i32;

  constructor(
    private readonly bytes: Uint8Array,
    start: i32 = 0,
    private readonly end: i32 = bytes.length,
  ) {
    this.at = start;
  }

  /** True when there is nothing left. */
  get done(): bool {
    return this.at >= this.end;
  }

  varint(): u64 {
    let value: u64 = 0;
    for (let shift: u64 = 0; shift < 70; shift += 7) {
      const byte = <u64>this.byte();
      if (shift < 64) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new Error("a number of the message is too long");
  }

  zigzag(): i64 {
    const value = this.varint();
    return <i64>(value >> 1) ^ -(<i64>(value & 1));
  }

  fixed32(): u32 {
    const value = load<u32>(this.bytes.dataStart + this.take(4));
    return value;
  }

  fixed64(): u64 {
    const value = load<u64>(this.bytes.dataStart + this.take(8));
    return value;
  }

  data(): Uint8Array {
    const length = this.length();
    const start = this.take(length);
    return this.bytes.slice(start, start + length);
  }

  text(): string {
    const length = this.length();
    return String.UTF8.decodeUnsafe(this.bytes.dataStart + this.take(length), length);
  }

  /** What a field with a length holds, for itself. */
  inner(): Reader {
    const length = this.length();
    const start = this.take(length);
    return new Reader(this.bytes, start, start + length);
  }

  /** Passes over a field of the kind that its tag says. */
  skip(tag: u32): void {
    const kind = tag & 7;
    if (kind == 0) this.varint();
    else if (kind == 1) this.take(8);
    else if (kind == 2) this.take(this.length());
    else if (kind == 5) this.take(4);
    else throw new Error("a field of the message is of no known kind");
  }

  private length(): i32 {
    const length = this.varint();
    if (length > <u64>(this.end - this.at)) throw new Error("the message ends early");
    return <i32>length;
  }

  private byte(): u8 {
    const at = this.take(1);
    return load<u8>(this.bytes.dataStart + at);
  }

  private take(count: i32): i32 {
    const at = this.at;
    if (count > this.end - at) throw new Error("the message ends early");
    this.at = at + count;
    return at;
  }
}

/** Collects the bytes of a message. */
export class Writer {
  private bytes: Uint8Array = new Uint8Array(256);
  private size: i32 = 0;

  varint(value: u64): void {
    this.reserve(10);
    while (value >= 0x80) {
      this.put(<u8>(value & 0x7f) | 0x80);
      value >>= 7;
    }
    this.put(<u8>value);
  }

  zigzag(value: i64): void {
    this.varint(<u64>((value << 1) ^ (value >> 63)));
  }

  fixed32(value: u32): void {
    this.reserve(4);
    store<u32>(this.bytes.dataStart + this.size, value);
    this.size += 4;
  }

  fixed64(value: u64): void {
    this.reserve(8);
    store<u64>(this.bytes.dataStart + this.size, value);
    this.size += 8;
  }

  data(value: Uint8Array): void {
    this.varint(<u64>value.length);
    this.reserve(value.length);
    memory.copy(this.bytes.dataStart + this.size, value.dataStart, value.length);
    this.size += value.length;
  }

  text(value: string): void {
    this.data(Uint8Array.wrap(String.UTF8.encode(value)));
  }

  finish(): Uint8Array {
    return this.bytes.slice(0, this.size);
  }

  private put(byte: u8): void {
    store<u8>(this.bytes.dataStart + this.size, byte);
    this.size += 1;
  }

  private reserve(count: i32): void {
    const needed = this.size + count;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(max(needed, 2 * this.bytes.length));
    memory.copy(grown.dataStart, this.bytes.dataStart, this.size);
    this.bytes = grown;
  }
}
