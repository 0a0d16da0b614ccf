import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ArtifactResolver, EIP1193Provider } from "@nomicfoundation/ignition-core";
import { Transaction } from "ethers";
import type { JsonRpc } from "#sdk/json-rpc.ts";

/**
 * Keeps a signed transaction in the folder of a deployment, on the disk when this resolves. Ignition's own journal has a
 * nonce before it sends and the hash after it: killed between the two, only this tells what was sent.
 *
 * @param raw The signed transaction, hex.
 */
export async function keepSigned(folder: string, raw: string): Promise<void> {
  const file = await open(path(folder), "a");
  try {
    await file.appendFile(`${raw}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Finishes what was begun to be sent when the deployment was killed. What was signed is sent, if the node does not have
 * it, and Ignition told of it; where nothing was signed, the step is taken back, to be begun anew.
 *
 * @throws what the node refuses such a transaction with
 */
export async function finishSending(
  folder: string,
  { rpc, provider, artifactResolver }: { rpc: JsonRpc; provider: EIP1193Provider; artifactResolver: ArtifactResolver },
): Promise<void> {
  const begun = await begunSends(folder);
  if (begun.length === 0) return;
  const { trackTransaction, wipe } = await import("@nomicfoundation/ignition-core");
  const signed = (await lines(path(folder))).map((raw) => Transaction.from(raw));
  for (const { futureId, nonce } of begun) {
    const transaction = signed.findLast((each) => each.nonce === nonce);
    if (transaction) {
      const known = await rpc.request("eth_getTransactionByHash", [transaction.hash]);
      if (!known) await rpc.request("eth_sendRawTransaction", [transaction.serialized]);
      await trackTransaction(folder, transaction.hash!, provider);
    } else {
      await wipe(folder, artifactResolver, futureId);
    }
  }
}

/** What of Ignition's journal is looked at. */
interface JournalMessage {
  type: string;
  futureId: string;
  nonce: number;
}

/**
 * Steps that have a nonce and no transaction. One with a transaction, of which another with higher fees was prepared, is
 * not among them: Ignition looks after those.
 */
async function begunSends(folder: string): Promise<JournalMessage[]> {
  const begun = new Map<string, JournalMessage>();
  const sent = new Set<string>();
  for (const line of await lines(join(folder, "journal.jsonl"))) {
    const message = JSON.parse(line) as JournalMessage;
    switch (message.type) {
      case "TRANSACTION_PREPARE_SEND":
        if (!sent.has(message.futureId)) begun.set(message.futureId, message);
        break;
      case "TRANSACTION_SEND":
        sent.add(message.futureId);
        begun.delete(message.futureId);
        break;
      case "WIPE_APPLY":
      case "ONCHAIN_INTERACTION_REPLACED_BY_USER":
        sent.delete(message.futureId);
        begun.delete(message.futureId);
        break;
    }
  }
  return [...begun.values()];
}

function path(folder: string): string {
  return join(folder, "signed.txt");
}

async function lines(file: string): Promise<string[]> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return text.split("\n").filter((line) => line !== "");
}
