import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedStorage, startGateway } from "#sdk/node/index.ts";
import { timed } from "../timed.ts";
import type { MeasureOptions, Size } from "../section.ts";

/** One piece of content of so many bytes in so many files, by what is done with it: seconds of each run. */
export interface StorageRuns {
  name: string;
  files: number;
  bytes: number;
  /** Cut into blocks, hashed, kept and pinned. */
  add: number[];
  /** The same bytes written to as many files and synced. */
  write: number[];
  /** Fetched from another store over HTTP on this machine, every block hashed and kept. */
  fetch: number[];
  /** The same bytes in one answer over HTTP on this machine. */
  loopback: number[];
}

const MEBI = 2 ** 20;

const CONTENT: Record<Size, { name: string; files: number; each: number }[]> = {
  quick: [{ name: "a large file", files: 1, each: 32 * MEBI }],
  whole: [
    { name: "a large file", files: 1, each: 128 * MEBI },
    { name: "small files", files: 2_000, each: 4096 },
  ],
};

export async function runStorage({ size, repetitions, signal, say }: MeasureOptions): Promise<StorageRuns[]> {
  const all: StorageRuns[] = [];
  for (const { name, files, each } of CONTENT[size]) {
    say(`${repetitions} × storing and fetching ${name}: ${files} × ${each} bytes`);
    const bytes = files * each;
    const runs: StorageRuns = { name, files, bytes, add: [], write: [], fetch: [], loopback: [] };
    for (let place = 0; place < repetitions; place += 1) {
      // Other content each time: what is there already would not be stored again.
      const directory = new Map(
        Array.from({ length: files }, (_, index) => [`${index}.bin`, new Uint8Array(randomBytes(each))]),
      );
      signal.throwIfAborted();
      const home = await mkdtemp(join(tmpdir(), "surety-bench-"));
      try {
        runs.write.push(await timed(() => write(home, directory)));
        const here = await openEmbeddedStorage({ folder: join(home, "here") });
        let cid = "";
        runs.add.push(await timed(async () => void (cid = await here.add(directory, { signal }))));
        runs.loopback.push(await overLoopback(directory));
        const gateway = await startGateway({ storage: here });
        try {
          const there = await openEmbeddedStorage({ folder: join(home, "there"), gateways: [gateway.url] });
          runs.fetch.push(await timed(() => there.pin(cid, { maxBytes: 2 * bytes, signal })));
          await there.close();
        } finally {
          await gateway.close();
        }
        await here.close();
      } finally {
        await rm(home, { recursive: true, force: true });
      }
    }
    all.push(runs);
  }
  return all;
}

async function write(home: string, directory: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [name, bytes] of directory) {
    const file = await open(join(home, name), "w");
    await file.writeFile(bytes);
    await file.sync();
    await file.close();
  }
}

async function overLoopback(directory: ReadonlyMap<string, Uint8Array>): Promise<number> {
  const body = Buffer.concat([...directory.values()]);
  const server = createServer((_, response) => response.end(body));
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  try {
    const { port } = server.address() as AddressInfo;
    return await timed(async () => {
      const answer = await (await fetch(`http://127.0.0.1:${port}/`)).arrayBuffer();
      if (answer.byteLength !== body.length) throw new Error("the answer is incomplete");
    });
  } finally {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
}
