import { packImage, type PackedImage } from "./pack-image.ts";

/*
 * What a task writes lies in a volume in memory, which the kernel keeps within its size and its number of files. Such a
 * volume is emptied when the last container that has it ends, so beside each task runs a container of our own that holds
 * it until the output is read. It is 129 bytes of program that sleep.
 */

/** Sleeps for ever, by the engine's name of the architecture. */
const SLEEP: Readonly<Record<string, { machine: number; code: readonly number[] }>> = {
  // again: mov eax, 34 (pause); syscall; jmp again
  amd64: { machine: 62, code: [0xb8, 0x22, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xeb, 0xf7] },
  // again: x0 to x4 = 0; x8 = 73 (ppoll); svc 0; b again
  arm64: {
    machine: 183,
    code: [0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004, 0xd2800928, 0xd4000001, 0x17fffff9].flatMap(
      (word) => [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24],
    ),
  },
};

const HEADERS = 64 + 56;
const LOADED_AT = 0x400000n;

/** A static executable of nothing but this code. */
function executable(machine: number, code: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(HEADERS + code.length);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  bytes.writeUInt16LE(2, 16);
  bytes.writeUInt16LE(machine, 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(LOADED_AT + BigInt(HEADERS), 24);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  // One segment: all of the file, to be read and executed.
  bytes.writeUInt32LE(1, 64);
  bytes.writeUInt32LE(5, 68);
  bytes.writeBigUInt64LE(LOADED_AT, 80);
  bytes.writeBigUInt64LE(LOADED_AT, 88);
  bytes.writeBigUInt64LE(BigInt(bytes.length), 96);
  bytes.writeBigUInt64LE(BigInt(bytes.length), 104);
  bytes.writeBigUInt64LE(0x10000n, 112);
  bytes.set(code, HEADERS);
  return bytes;
}

/** The image of the container that holds a task's volumes; undefined for an architecture it was not written for. */
export async function keeperImage(architecture: string): Promise<PackedImage | undefined> {
  const sleep = SLEEP[architecture];
  if (sleep === undefined) return undefined;
  return packImage(
    [
      { name: "in", type: "directory", mode: 0o755 },
      { name: "out", type: "directory", mode: 0o755 },
      { name: "sleep", mode: 0o755, bytes: executable(sleep.machine, sleep.code) },
    ],
    { architecture, config: { Entrypoint: ["/sleep"] } },
  );
}
