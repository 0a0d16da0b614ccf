import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ZeroHash } from "ethers";
import { contentIdToBytes32, type Directory } from "#sdk/content.ts";
import { openEmbeddedStorage, type EmbeddedStorage } from "#sdk/node/embedded-storage.ts";
import { encodeInput, encodeResult, inputBytesFile } from "#sdk/request-content.ts";
import type { RequestRecord } from "#sdk/request-state.ts";
import {
  contentBinding,
  inputBinding,
  sealContent,
  sealedKeyPath,
  sealKeys,
  type Recipients,
} from "#sdk/sealed-content.ts";
import { evaluatorsOf, inputRecipients, resultRecipients } from "../../agents/participant/recipients.ts";
import { RequestReader } from "../../agents/participant/request-reader.ts";
import { codeOf } from "../support/error-code.ts";
import {
  accountAt,
  EVALUATOR,
  KEY,
  PARENT,
  REQUEST,
  RequestHistory,
  REQUESTER,
  REQUEST_ID,
  ROOT,
} from "../support/request-history.ts";

const CONTEXT = { chainId: 31337n, requests: accountAt(200), schemas: accountAt(201) };
const WORKER = accountAt(0);
const INPUT = { message: Uint8Array.of(1, 2, 3), content: new Map() };
/** What is sealed for the point that all keys of these histories are opens with 1. */
const SECRET = new Uint8Array(32);
SECRET[31] = 1;
const KEYS = { secretKey: SECRET, publicKey: new Uint8Array(33) };
const keyBinding = contentBinding(CONTEXT, { id: REQUEST_ID, owner: REQUESTER });

describe("reader of requests", () => {
  let folder: string;
  let storage: EmbeddedStorage;
  let contentKey: Uint8Array;
  let input: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-reader-"));
    storage = await openEmbeddedStorage({ folder });
    const opened = encodeInput(INPUT);
    const sealed = await sealContent(opened, { binding: inputBinding(CONTEXT, REQUESTER) });
    contentKey = sealed.key;
    input = contentIdToBytes32(await storage.add(new Map([...sealed.directory, inputBytesFile(opened)])));
  });
  after(async () => {
    await storage.close();
    await rm(folder, { recursive: true });
  });

  const as = (address: string): RequestReader =>
    new RequestReader({ agent: { address, storage, context: CONTEXT }, keys: KEYS });
  const posted = (): RequestHistory =>
    new RequestHistory({ input }).keys(PARENT, ROOT).evaluator().worker(0, 1).started();

  /** Grants keys as files, in the request's newest block. */
  async function grant(record: RequestRecord, keys: Directory, at = record.revealUntil, by = REQUESTER): Promise<void> {
    record.grants.push({ by, content: contentIdToBytes32(await storage.add(keys)), at, block: 1 });
  }
  const keysFor = (recipients: Recipients): Directory => sealKeys(contentKey, recipients, { binding: keyBinding });

  it("opens an input for workers and for all that judge it", async () => {
    const { record } = posted();
    expect(await codeOf(() => as(WORKER).inputForWorker(record))).to.equal("REQUEST_KEY_MISSING");
    await grant(record, keysFor(inputRecipients(record)));
    expect(await as(WORKER).inputForWorker(record)).to.deep.equal(INPUT);
    for (const judge of [EVALUATOR, PARENT, ROOT]) {
      expect(await as(judge).inputForEvaluation(record)).to.deep.equal(INPUT);
    }
    expect(await codeOf(() => as(accountAt(50)).inputForEvaluation(record))).to.equal("REQUEST_INPUT_WITHHELD");
    expect(await as(WORKER).inputBytes(record)).to.equal(3);
  });

  it("takes an input for withheld that not all who judge it were given, whoever of them looks", async () => {
    const all = inputRecipients(posted().record);
    const other = sealKeys(new Uint8Array(32).fill(9), all, { binding: keyBinding });
    const path = sealedKeyPath(PARENT);
    const flaws: Directory[] = [
      keysFor(new Map([...all].filter(([address]) => address !== PARENT))),
      new Map([...keysFor(all), [path, other.get(path)!]]),
      new Map([...keysFor(all), [path, Uint8Array.of(1)]]),
    ];
    for (const keys of flaws) {
      const { record } = posted();
      await grant(record, keys);
      for (const judge of [EVALUATOR, ROOT]) {
        expect(await codeOf(() => as(judge).inputForEvaluation(record))).to.equal("REQUEST_INPUT_WITHHELD");
      }
      expect(await codeOf(() => as(PARENT).inputForEvaluation(record))).to.be.oneOf([
        "REQUEST_INPUT_WITHHELD",
        "REQUEST_INPUT_INVALID",
      ]);
      // A later one makes good for it, as long as somebody may still reveal.
      await grant(record, keysFor(new Map([[PARENT, KEY]])), record.revealUntil + 1);
      expect(await codeOf(() => as(EVALUATOR).inputForEvaluation(record))).to.equal("REQUEST_INPUT_WITHHELD");
      await grant(record, keysFor(new Map([[PARENT, KEY]])));
      expect(await as(EVALUATOR).inputForEvaluation(record)).to.deep.equal(INPUT);
    }
  });

  it("believes no keys but the requester's", async () => {
    const { record } = posted();
    await grant(record, keysFor(inputRecipients(record)), record.revealUntil, WORKER);
    expect(await codeOf(() => as(WORKER).inputForWorker(record))).to.equal("REQUEST_KEY_MISSING");
  });

  it("refuses inputs that are none, or larger than they say", async () => {
    const opened = encodeInput({ ...INPUT, message: new Uint8Array(3 * 2 ** 20) });
    const tried: Directory[] = [
      opened,
      new Map([...opened, ["bytes", new TextEncoder().encode("10")]]),
      new Map([...opened, ["bytes", new TextEncoder().encode("999999999999999")]]),
      new Map([inputBytesFile(opened)]),
    ];
    for (const directory of tried) {
      const history = new RequestHistory({ input: contentIdToBytes32(await storage.add(directory)) });
      expect(await codeOf(() => as(WORKER).inputForWorker(history.record))).to.equal("REQUEST_INPUT_INVALID");
    }
    const open = contentIdToBytes32(await storage.add(new Map([...opened, inputBytesFile(opened)])));
    const { message } = await as(WORKER).inputForWorker(new RequestHistory({ input: open }).record);
    expect(message).to.have.lengthOf(3 * 2 ** 20);
  });

  it("counts a result only if its requester and all that judge it can open it", async () => {
    const { record } = posted().submitted(0, 1).revealed(0, 1);
    const worker = record.workers.get(WORKER)!;
    const binding = contentBinding(CONTEXT, { id: REQUEST_ID, owner: WORKER });
    const result = { reply: Uint8Array.of(7), content: new Map(), checkpoints: [] };
    const { directory, key } = await sealContent(encodeResult(result), { binding });
    const shared = sealKeys(key, resultRecipients(record), { binding });
    const reveal = async (files: Directory): Promise<void> => {
      worker.digest = contentIdToBytes32(await storage.add(files));
    };
    await reveal(new Map([...directory, ...shared]));
    for (const reader of [REQUESTER, EVALUATOR, PARENT, ROOT]) {
      expect(await as(reader).result(record, worker)).to.deep.equal(result);
    }
    for (const left of [REQUESTER, EVALUATOR, ROOT]) {
      await reveal(new Map([...directory, ...[...shared].filter(([path]) => path !== sealedKeyPath(left))]));
      for (const reader of [REQUESTER, EVALUATOR, PARENT, ROOT]) {
        expect(await codeOf(() => as(reader).result(record, worker))).to.equal("SEALED_KEY_MISSING");
      }
    }
    // A copy of it is another's.
    const thief = record.workers.get(accountAt(1))!;
    await reveal(new Map([...directory, ...shared]));
    thief.digest = worker.digest!;
    expect(await codeOf(() => as(EVALUATOR).result(record, thief))).to.equal("SEALED_KEY_WRONG");
  });

  it("seals for the keys that judges had published when the evaluator accepted, and for none that is no point", () => {
    const { record } = new RequestHistory().keys(ROOT).evaluator().keys(PARENT);
    expect([...evaluatorsOf(record).keys()]).to.deep.equal([EVALUATOR, ROOT]);
    record.evaluator = { ...record.evaluator!, encryptionKey: `0x02${"ff".repeat(32)}` };
    expect([...evaluatorsOf(record).keys()]).to.deep.equal([ROOT]);
    expect(REQUEST.testData).to.equal(ZeroHash);
  });
});
