import { contentIdFromBytes32, type Directory } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import {
  decodeInput,
  decodeResult,
  INPUT_BYTES_FILE,
  MAX_INPUT_BYTES_DIGITS,
  parseInputBytes,
  type RequestInput,
  type RequestResult,
} from "#sdk/request-content.ts";
import type { RequestRecord, WorkerRecord } from "#sdk/request-state.ts";
import { MAX_MESSAGE_BYTES } from "#sdk/schema-message.ts";
import {
  checkKeys,
  contentBinding,
  inputBinding,
  openContent,
  openKey,
  SEALED_CONTENT_FILE,
  type Recipients,
} from "#sdk/sealed-content.ts";
import type { EncryptionKeyPair } from "#sdk/seed.ts";
import { contentShare } from "../schema/content-fields.ts";
import { MAX_CHECKPOINT_BYTES } from "../schema/run-schema.ts";
import { evaluatorsOf, resultRecipients } from "./recipients.ts";
import type { RequestAgent } from "./request-agent.ts";

/** Most bytes of an input, opened: what all that judge it can hold. */
export const MAX_INPUT_BYTES = contentShare(2).maxBytes + MAX_MESSAGE_BYTES;
const MAX_TEST_DATA_BYTES = 64 * 2 ** 20;
const MAX_KEYS_BYTES = 2 ** 20;
const MAX_FILES = 20_000;
/** So many of a requester's grants are looked at, the first ones. */
const MAX_GRANTS = 16;
/** Of a stored directory over what is sealed in it. */
const OVERHEAD_BYTES = 2 ** 20;

/** Codes that say that a requester's content cannot be used by anybody, whenever it is looked at. */
const UNUSABLE: readonly string[] = [
  "CONTENT_INVALID",
  "CONTENT_PATH_NOT_FOUND",
  "CONTENT_TOO_LARGE",
  "SEALED_FILE_CORRUPT",
  "SEALED_CONTENT_MISSING",
];

/** What a {@link RequestReader} works with. */
export interface RequestReaderDependencies {
  agent: Pick<RequestAgent, "address" | "storage" | "context">;
  /** What is sealed for the account opens with. */
  keys: EncryptionKeyPair;
}

/** Fetches and opens what belongs to requests: inputs, results, test data. Every byte is checked on arrival. */
export class RequestReader {
  readonly #agent: RequestReaderDependencies["agent"];
  readonly #keys: EncryptionKeyPair;

  constructor({ agent, keys }: RequestReaderDependencies) {
    this.#agent = agent;
    this.#keys = keys;
  }

  /**
   * How large a request's input says it is, without fetching it.
   *
   * @returns bytes, opened
   * @throws SuretyError `REQUEST_INPUT_INVALID`; StorageError for what cannot be had
   */
  async inputBytes({ request }: RequestRecord, signal?: AbortSignal): Promise<number> {
    const options = { maxBytes: MAX_INPUT_BYTES_DIGITS, signal };
    const cid = contentIdFromBytes32(request.input);
    const bytes = parseInputBytes(
      await usable(() => this.#agent.storage.getFile(cid, INPUT_BYTES_FILE, options), "size"),
    );
    if (bytes <= MAX_INPUT_BYTES) return bytes;
    throw unusable(`it has ${bytes} bytes, expected at most ${MAX_INPUT_BYTES}`);
  }

  /**
   * A request's input, as one of its workers sees it.
   *
   * @throws SuretyError `REQUEST_KEY_MISSING` (retryable) while no key was granted; `REQUEST_INPUT_INVALID`; StorageError
   */
  inputForWorker(record: RequestRecord, signal?: AbortSignal): Promise<RequestInput> {
    return this.#input(record, new Map(), signal);
  }

  /**
   * A request's input, as one that judges it sees it once nobody can reveal any more: it counts only if all that judge
   * it were granted the same key in time.
   *
   * @throws SuretyError `REQUEST_INPUT_WITHHELD` if they were not; `REQUEST_INPUT_INVALID`; StorageError
   */
  async inputForEvaluation(record: RequestRecord, signal?: AbortSignal): Promise<RequestInput> {
    try {
      return await this.#input(record, evaluatorsOf(record), signal);
    } catch (error) {
      if (!(error instanceof SuretyError) || error.code !== "REQUEST_KEY_MISSING") throw error;
      throw new SuretyError("REQUEST_INPUT_WITHHELD", "not all that judge the request were granted its input", {
        details: { id: record.id },
        cause: error,
      });
    }
  }

  /**
   * A request's revealed test data; empty where there are none.
   *
   * @throws SuretyError `REQUEST_INPUT_INVALID`; StorageError
   */
  async testData({ testData }: RequestRecord, signal?: AbortSignal): Promise<Directory> {
    if (testData === undefined) return new Map();
    const limits = { maxBytes: MAX_TEST_DATA_BYTES, maxFiles: MAX_FILES, signal };
    return usable(() => this.#agent.storage.get(contentIdFromBytes32(testData), limits), "test data");
  }

  /**
   * What a worker revealed. It counts only if its requester and all that judge it can open it, too.
   *
   * @throws SuretyError `SEALED_KEY_MISSING`, `SEALED_KEY_WRONG`, `SEALED_CONTENT_MISSING`, `REQUEST_RESULT_INVALID`,
   *   `REQUEST_CHECKPOINTS_WRONG`; StorageError
   */
  async result(record: RequestRecord, worker: WorkerRecord, signal?: AbortSignal): Promise<RequestResult> {
    const share = contentShare(2 * record.revealed.length);
    const opened = share.maxBytes + MAX_CHECKPOINT_BYTES + MAX_MESSAGE_BYTES + OVERHEAD_BYTES;
    const maxFiles = share.maxFiles + MAX_FILES;
    const cid = contentIdFromBytes32(worker.digest!);
    const sealed = await this.#agent.storage.get(cid, { maxBytes: largest(opened), maxFiles, signal });
    const binding = contentBinding(this.#agent.context, { id: record.id, owner: worker.node });
    const key = openKey(sealed, { address: this.#agent.address, secretKey: this.#keys.secretKey, binding });
    checkKeys(sealed, key, resultRecipients(record), { binding });
    const content = await openContent(sealed, key, { binding, maxBytes: opened, maxFiles, signal });
    return decodeResult(content, worker.checkpoints);
  }

  async #input(record: RequestRecord, required: Recipients, signal?: AbortSignal): Promise<RequestInput> {
    const bytes = await this.inputBytes(record, signal);
    const { storage, context } = this.#agent;
    const limits = { maxFiles: MAX_FILES, signal };
    const cid = contentIdFromBytes32(record.request.input);
    const stored = await usable(() => storage.get(cid, { maxBytes: largest(bytes), ...limits }), "input");
    if (!stored.has(SEALED_CONTENT_FILE)) return decodeInput(stored);
    const key = await this.#inputKey(record, required, signal);
    const binding = inputBinding(context, record.request.requester);
    return decodeInput(
      await usable(() => openContent(stored, key, { binding, maxBytes: bytes, ...limits }), "sealed input"),
    );
  }

  /** @throws SuretyError `REQUEST_KEY_MISSING` (retryable) */
  async #inputKey(record: RequestRecord, required: Recipients, signal?: AbortSignal): Promise<Uint8Array> {
    const { id, request, grants, revealUntil } = record;
    const { requester, delegate } = request;
    const binding = contentBinding(this.#agent.context, { id, owner: requester });
    const counted = grants.filter(({ by, at }) => (by === requester || by === delegate) && at <= revealUntil);
    const lists: Directory[] = [];
    let trouble: unknown;
    for (const { content } of counted.slice(0, MAX_GRANTS)) {
      try {
        const limits = { maxBytes: MAX_KEYS_BYTES, signal };
        lists.push(await this.#agent.storage.get(contentIdFromBytes32(content), limits));
      } catch (error) {
        signal?.throwIfAborted();
        // What cannot be had may be in another.
        if (!(error instanceof SuretyError) || error.kind === "retryable") trouble = error;
      }
    }
    const own = { address: this.#agent.address, secretKey: this.#keys.secretKey, binding };
    const key = firstOf(lists, (list) => openKey(list, own));
    const isShared = (address: string, publicKey: string): boolean =>
      firstOf(lists, (list) => {
        checkKeys(list, key!, new Map([[address, publicKey]]), { binding });
        return true;
      }) === true;
    if (key && [...required].every(([address, publicKey]) => isShared(address, publicKey))) return key;
    if (trouble !== undefined) throw trouble;
    throw new SuretyError("REQUEST_KEY_MISSING", `no key to the input of ${id} was granted yet`, {
      details: { id, grants: counted.length },
      kind: "retryable",
    });
  }
}

/** The first that it can be had of. */
function firstOf<T>(lists: readonly Directory[], find: (list: Directory) => T): T | undefined {
  for (const list of lists) {
    try {
      return find(list);
    } catch (error) {
      if (!(error instanceof SuretyError) || !error.code.startsWith("SEALED_KEY_")) throw error;
    }
  }
  return undefined;
}

function largest(opened: number): number {
  return Math.ceil(opened * 1.04) + OVERHEAD_BYTES;
}

async function usable<T>(fetch: () => Promise<T>, what: string): Promise<T> {
  try {
    return await fetch();
  } catch (error) {
    if (!(error instanceof SuretyError) || !UNUSABLE.includes(error.code)) throw error;
    throw unusable(`its ${what}: ${error.message}`, error);
  }
}

function unusable(what: string, cause?: unknown): SuretyError {
  return new SuretyError("REQUEST_INPUT_INVALID", `what the requester provides cannot be used: ${what}`, {
    details: { what },
    cause,
  });
}
