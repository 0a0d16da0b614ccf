import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StorageConfig } from "../config.ts";
import { openStorage } from "../chain-agent.ts";
import { fromError, ok, warning, type Finding } from "./finding.ts";

/** What the whole round may take, milliseconds. */
const TIMEOUT_MS = 20_000;
const PROBE_BYTES = 1_024;

/** Stores a few bytes as an agent would, and fetches them as somebody else would. */
export async function examineStorage(config: StorageConfig, { signal }: { signal: AbortSignal }): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (config.kind === "embedded") {
    if (config.publishTo === undefined) {
      findings.push(
        warning(
          "publishing",
          "what the agent stores is uploaded nowhere",
          "Give in storage.publishTo a gateway that others fetch from: outputs that cannot be fetched are not paid.",
        ),
      );
    }
    if (config.gateways.length === 0) {
      findings.push(
        warning(
          "gateways",
          "there are none to fetch from",
          "Give in storage.gateways those that requesters publish to.",
        ),
      );
    }
    if (findings.length > 0) return findings;
  }
  const about = config.kind === "kubo" ? `Kubo ${new URL(config.url).host}` : "storage";
  const folder = await mkdtemp(join(tmpdir(), "surety-doctor-"));
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const writer = await openStorage(config, join(folder, "writer"));
  const reader = await openStorage(config, join(folder, "reader"));
  try {
    const bytes = randomBytes(64);
    const cid = await writer.add(new Map([["probe", bytes]]), { signal: deadline });
    const read = await reader.getFile(cid, "probe", { maxBytes: PROBE_BYTES, signal: deadline });
    await writer.unpin(cid);
    if (Buffer.compare(read, bytes) !== 0) throw new Error("other bytes came back than were stored");
    findings.push(ok(about, "took a file, and gave it back"));
  } catch (error) {
    signal.throwIfAborted();
    findings.push(fromError(about, error, fixOf(config)));
  } finally {
    await Promise.all([writer.close(), reader.close()]);
    await rm(folder, { recursive: true, force: true });
  }
  return findings;
}

function fixOf(config: StorageConfig): string {
  return config.kind === "kubo"
    ? "Start Kubo (ipfs daemon), or give in storage.url the address of its RPC, such as http://127.0.0.1:5001."
    : "See that storage.publishTo is up and takes storage.token, and that storage.gateways serve what is published there.";
}
