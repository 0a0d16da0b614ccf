import type { Readable } from "node:stream";

/** What a container wrote to its two streams. */
export interface Streams {
  stdout: Uint8Array;
  stderr: Uint8Array;
}

/**
 * Reads both streams of a container as the engine sends them, in frames: kind, three zeros, length, bytes. What is over
 * the cap is not kept.
 *
 * @param options.maxBytes Of both together.
 * @param options.over Called once there is more.
 * @throws Error if the connection breaks or what comes is no frame
 */
export async function readStreams(
  frames: Readable,
  { maxBytes, over }: { maxBytes: number; over: () => void },
): Promise<Streams> {
  const pieces: Record<1 | 2, Uint8Array[]> = { 1: [], 2: [] };
  const header = Buffer.alloc(8);
  let [headerBytes, left, kept, isOver] = [0, 0, 0, false];
  for await (const chunk of frames as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length;) {
      if (left === 0) {
        const taken = chunk.copy(header, headerBytes, at, at + 8 - headerBytes);
        headerBytes += taken;
        at += taken;
        if (headerBytes < 8) continue;
        if (header[0] !== 1 && header[0] !== 2) throw new Error(`the engine sent a frame of kind ${header[0]}`);
        headerBytes = 0;
        left = header.readUInt32BE(4);
        continue;
      }
      const piece = chunk.subarray(at, at + left);
      at += piece.length;
      left -= piece.length;
      kept += piece.length;
      if (kept <= maxBytes) pieces[header[0] as 1 | 2].push(piece);
      else if (!isOver) {
        isOver = true;
        over();
      }
    }
  }
  return { stdout: Buffer.concat(pieces[1]), stderr: Buffer.concat(pieces[2]) };
}
