import { readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { SchemaProto } from "#sdk/schema-proto.ts";
import type { Storage } from "#sdk/storage.ts";
import type { Requesting, RequestOrder } from "../../agents/participant/requesting.ts";
import type { Ask } from "./ask.ts";

/** A requester of one job's schema on a chain. */
export interface ChainRequester {
  requesting: Pick<Requesting, "order" | "answerTo">;
  /**
   * The agent's, or one that it fetches from: what replies name is put there, for later requests to name. Where it
   * publishes, it publishes that, too, sealed or not.
   */
  storage: Pick<Storage, "add">;
  proto: SchemaProto;
  /** Of every request. */
  terms: RequestOrder["terms"];
  visibility: RequestOrder["visibility"];
  signal: AbortSignal;
}

/** Has requests answered by strangers. What comes back is the best reply, or none if nobody was ranked. */
export function askOnChain({ requesting, storage, proto, terms, visibility, signal }: ChainRequester): Ask {
  return async (message, { testData, signal: own = signal } = {}) => {
    const order = { terms, visibility, testData, message: proto.worker.input.fromJson(message) };
    const id = await requesting.order(order);
    const { outcome, replies, folder, report = "" } = await requesting.answerTo(id, { signal: own });
    if (outcome !== "ranked") return { ranked: [], report: `the request ended ${outcome}` };
    for (const cid of replies.flatMap(({ content }) => content)) {
      await storage.add(await readDirectory(join(folder!, cid)), { signal: own });
    }
    const ranked = replies.map(({ node, reply }) => ({ node, reply: reply as Record<string, unknown> }));
    return { ranked, report };
  };
}

async function readDirectory(folder: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(relative(folder, path).split(sep).join("/"), new Uint8Array(await readFile(path)));
  }
  return files;
}
