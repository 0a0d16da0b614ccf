import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { getBytes, hexlify, randomBytes, toBigInt, ZeroAddress, ZeroHash } from "ethers";
import { formatAmount } from "#sdk/amount.ts";
import { computeContentId, contentIdFromBytes32, contentIdToBytes32, type Directory } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Head } from "#sdk/follower.ts";
import * as calls from "#sdk/request-calls.ts";
import { decodeInput, encodeInput, inputBytesFile, type RequestInput } from "#sdk/request-content.ts";
import { requestSettlementOf } from "#sdk/request-settlement.ts";
import {
  requestPhaseOf,
  standingRuling,
  workersOf,
  type RequestPhase,
  type RequestRecord,
} from "#sdk/request-state.ts";
import { requestIdOf, testDataCommitment, type JobRequest } from "#sdk/request-terms.ts";
import { contentBinding, inputBinding, openContent, sealContent, sealKeys } from "#sdk/sealed-content.ts";
import { REFUSED_YET } from "../chain-agent.ts";
import { CallReverted } from "../chain/revert.ts";
import { contentIds, contentShare } from "../schema/content-fields.ts";
import type { VerifiedRelease } from "../schema/release.ts";
import { isEquivalentRuling } from "./evaluation.ts";
import { OwnRequests, type OwnRequest } from "./own-requests.ts";
import type { ParticipantContext, Part } from "./part.ts";
import { inputRecipients } from "./recipients.ts";
import { fetchReport } from "./report.ts";
import { answering, endOf, type AnsweredReply, type RequestAnswer } from "./request-answer.ts";
import { requestDuties, type Judgement, type RequestDuty } from "./request-duties.ts";
import { MAX_INPUT_BYTES } from "./request-reader.ts";
import { Tasks } from "./tasks.ts";

/** What to ask of a job's workers: a request without what follows from who asks it and what. */
export interface RequestOrder {
  terms: Omit<JobRequest, "requester" | "delegate" | "release" | "nonce" | "input" | "testData" | "encryptionKey">;
  /** The worker's message, serialised; the directories that it names are taken from the storage. */
  message: Uint8Array;
  /** Whether only those who take part can read it, or everybody. */
  visibility: "sealed" | "open";
  /** What is shown to the evaluator once everybody has committed. */
  testData?: Directory;
}

/** How far a request is. */
export interface RequestProgress {
  id: string;
  phase: RequestPhase;
  /** That take part; of these those that committed to a result, and revealed it. */
  workers: number;
  submitted: number;
  revealed: number;
  evaluator?: string;
  /** Whose ruling stands or is awaited: 0 the evaluator's. */
  tier: number;
}

const MAX_TEST_DATA_BYTES = 64 * 2 ** 20;

/**
 * The part that asks: posts requests, gives those who take part what they need, looks at the results itself, accepts or
 * challenges, settles, and brings home what came of it. All of it is in the journal: whatever ends the process, the next
 * life goes on.
 */
export class Requesting implements Part {
  readonly #context: ParticipantContext;
  readonly #onProgress: (progress: RequestProgress) => void;
  readonly #own: OwnRequests;
  readonly #tasks: Tasks;
  /** The phase in which each was last seen, and the block in which that began to be so. */
  readonly #phases = new Map<string, { phase: RequestPhase; since: number }>();
  readonly #shown = new Map<string, string>();
  readonly #unable = new Set<string>();
  readonly #waiting = new Map<string, ((answer: RequestAnswer) => void)[]>();
  /** Being posted by {@link Requesting.order}. */
  readonly #posting = new Set<string>();

  /** @param options.onProgress Told when something about a request of one's own has changed. */
  constructor(
    context: ParticipantContext,
    { onProgress = () => undefined }: { onProgress?: (progress: RequestProgress) => void } = {},
  ) {
    this.#context = context;
    this.#onProgress = onProgress;
    this.#own = new OwnRequests(context.agent.journal);
    this.#tasks = new Tasks({ logger: context.logger, signal: context.signal });
  }

  /** Whether none is under way. */
  get isIdle(): boolean {
    return this.#tasks.isIdle && this.#posting.size === 0;
  }

  settled(): Promise<void> {
    return this.#tasks.settled();
  }

  /** Those that have not ended, oldest first. */
  get open(): OwnRequest[] {
    return this.#own.all.filter(({ answer }) => answer === undefined);
  }

  /** Whether a request is this account's, open or ended. */
  knows(id: string): boolean {
    return this.#own.find(id) !== undefined;
  }

  /**
   * Stores the input and posts the request.
   *
   * @returns its id; see {@link Requesting.answerTo}
   * @throws SuretyError `SCHEMA_MESSAGE_INVALID` for another message than the job's worker takes, `BALANCE_TOO_LOW`,
   *   `CallReverted` with what the contract refuses; what storage and sender throw
   */
  async order({ terms, message, visibility, testData }: RequestOrder): Promise<string> {
    const { agent, keys, signal, retention, privateStorage } = this.#context;
    const schema = agent.state.schemas.get(terms.schema);
    const release = schema?.releases.at(-1)?.release;
    if (release === undefined) throw new SuretyError("SCHEMA_UNKNOWN", `no job ${terms.schema} was registered here`);
    const { proto } = await this.#context.releases.of(release, { signal });
    const input = await this.#inputOf(proto.worker.input.check(message), proto);
    const { directory, key } = await this.#pack(input, visibility);
    const cid = await computeContentId(directory, { signal });
    const shown = testData && (await this.#commitTo(testData));
    const request: JobRequest = {
      ...terms,
      requester: agent.address,
      delegate: ZeroAddress,
      release,
      nonce: toBigInt(randomBytes(8)),
      input: contentIdToBytes32(cid),
      testData: shown ? testDataCommitment(agent.context, { requester: agent.address, ...shown }) : ZeroHash,
      encryptionKey: hexlify(keys.publicKey),
    };
    const id = requestIdOf(agent.context, request);
    const own: OwnRequest = { id, request, grants: [] };
    if (key) own.key = key;
    if (shown) own.testData = shown;
    retention.note(id, cid);
    await agent.storage.add(directory, { signal });
    if (testData && shown) {
      retention.note(id, contentIdFromBytes32(shown.digest));
      await privateStorage.add(testData, { signal });
    }
    this.#posting.add(id);
    this.#own.save(own);
    try {
      await this.#post(own);
    } catch (error) {
      // What was not sent is not to be sent by a later life either.
      if (!signal.aborted && this.#mustPost(id)) this.#own.remove(id);
      // Nobody waits here until nothing can change any more.
      throw error instanceof SuretyError && error.code === REFUSED_YET ? error.cause : error;
    } finally {
      this.#posting.delete(id);
    }
    return id;
  }

  /** Resolves when a request has ended and that is final; rejects with the signal's reason. */
  answerTo(id: string, { signal }: { signal: AbortSignal }): Promise<RequestAnswer> {
    const answer = this.#own.find(id)?.answer;
    if (answer) return Promise.resolve(answer);
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), resolve]);
    });
  }

  async act(head: Head): Promise<void> {
    const { agent } = this.#context;
    for (const own of this.open) {
      if (this.#posting.has(own.id)) continue;
      const record = agent.state.requests.get(own.id);
      if (!record) {
        // Of an earlier life that ended between the journal and the chain. What was sent the sender looks after.
        if (this.#mustPost(own.id)) this.#tasks.run(`post ${own.id}`, () => this.#postLate(own));
        continue;
      }
      this.#show(record, head);
      if (record.outcome) {
        if (record.outcome.block <= head.finalNumber)
          this.#tasks.run(`bring ${own.id}`, () => this.#bring(own, record));
        continue;
      }
      for (const duty of requestDuties(record, this.#factsOf(own, record, head))) {
        await this.#do(duty, own, record, head);
      }
    }
  }

  #factsOf(own: OwnRequest, record: RequestRecord, head: Head): Parameters<typeof requestDuties>[1] {
    return {
      now: head.timestamp,
      finalBlock: head.finalNumber,
      phaseSince: this.#phases.get(own.id)!.since,
      isSealed: own.key !== undefined,
      granted: new Set(own.grants.flatMap(({ nodes }) => nodes)),
      judgement: this.#judgementOf(own, record),
      challenge: this.#context.config.challenge,
    };
  }

  #judgementOf({ id, judged }: OwnRequest, record: RequestRecord): Judgement {
    if (this.#unable.has(id)) return "unable";
    const standing = standingRuling(record);
    if (!judged || !standing) return "pending";
    if (isEquivalentRuling(judged, standing.ruling)) return "agrees";
    // Who could not be given what it needs has nothing to hold against what others found.
    return judged.verdict === "ranking" ? "differs" : "unable";
  }

  async #do(duty: RequestDuty, own: OwnRequest, record: RequestRecord, head: Head): Promise<void> {
    const { agent } = this.#context;
    const { requests } = agent.context;
    const { id, request } = own;
    switch (duty.kind) {
      case "start":
        await agent.send({ key: `start-request:${id}`, ...calls.start(requests, { request }) });
        return;
      case "cancel":
        await agent.send({ key: `cancel-request:${id}`, ...calls.cancel(requests, { request }) });
        return;
      case "grant":
        this.#tasks.run(`grant ${id}`, () => this.#grant(own, record, duty.nodes));
        return;
      case "reveal-test-data":
        this.#tasks.run(`show ${id}`, () => this.#revealTestData(own));
        return;
      case "judge":
        this.#tasks.run(`judge ${id}`, () => this.#judge(own, record, head));
        return;
      case "accept":
        await agent.send({ key: `accept-ranking:${id}`, ...calls.acceptResult(requests, { request }) });
        return;
      case "challenge": {
        const path = record.evaluator!.path;
        const call = { key: `challenge:${id}:${duty.tier}`, ...calls.challenge(requests, { request, path }) };
        await this.#context.treasury.spend(call.key, request.challengeFee, () => agent.sendAndSee(call));
        return;
      }
      case "climb":
        await agent.send({ key: `climb-request:${id}:${duty.tier}`, ...calls.climb(requests, { id }) });
        return;
      case "settle": {
        const { path, ruling, revealed } = requestSettlementOf(record);
        const call = calls.settle(requests, { request, path, ruling, revealed });
        await agent.send({ key: `settle-request:${id}`, ...call });
        return;
      }
    }
  }

  async #post({ id, request }: OwnRequest): Promise<void> {
    const { agent, treasury, logger } = this.#context;
    const { evaluatorReward, workerReward, testData } = request;
    const locked = evaluatorReward + workerReward * (BigInt(testData) === 0n ? 1n : 2n);
    const call = calls.requestJob(agent.context.requests, { request });
    const isPosted = await treasury.spend(postKey(id), locked, async () => {
      await agent.sendAndWait({ key: postKey(id), ...call }, postKey(id));
      return true;
    });
    if (!isPosted) {
      const { decimals, symbol } = agent.deployment.token;
      const text = `${formatAmount(locked, decimals)} ${symbol}`;
      throw new SuretyError("BALANCE_TOO_LOW", `this locks ${text}, more than ${agent.address} has`, {
        details: { needed: locked },
        fix: "Offer less, or send the account more tokens.",
        kind: "retryable",
      });
    }
    logger.info({ id }, "posted a request");
  }

  /** Whether a request has yet to be sent, or was refused. */
  #mustPost(id: string): boolean {
    const status = this.#context.agent.sender.find(postKey(id))?.status;
    return status === undefined || status === "failed";
  }

  /** Nobody waits any more for the refusal of a request of an earlier life. */
  async #postLate(own: OwnRequest): Promise<void> {
    try {
      await this.#post(own);
    } catch (error) {
      if (!(error instanceof CallReverted)) throw error;
      this.#context.logger.warn({ id: own.id, error }, "a request that was not posted yet is refused, and forgotten");
      this.#own.remove(own.id);
    }
  }

  async #inputOf(message: Uint8Array, { worker }: VerifiedRelease["proto"]): Promise<RequestInput> {
    const { agent, signal } = this.#context;
    const content = new Map<string, Directory>();
    for (const cid of contentIds(worker.input, message)) {
      content.set(cid, await agent.storage.get(cid, { ...contentShare(2), signal }));
    }
    return { message, content };
  }

  /** An input as it is stored. */
  async #pack(
    input: RequestInput,
    visibility: RequestOrder["visibility"],
  ): Promise<{ directory: Directory; key?: string }> {
    const { agent, signal } = this.#context;
    const opened = encodeInput(input);
    const bytes = inputBytesFile(opened);
    if (visibility === "open") return { directory: new Map([...opened, bytes]) };
    const binding = inputBinding(agent.context, agent.address);
    const { directory, key } = await sealContent(opened, { binding, signal });
    return { directory: new Map([...directory, bytes]), key: hexlify(key) };
  }

  async #commitTo(testData: Directory): Promise<{ digest: string; salt: string }> {
    const cid = await computeContentId(testData, { signal: this.#context.signal });
    return { digest: contentIdToBytes32(cid), salt: hexlify(randomBytes(32)) };
  }

  async #grant(own: OwnRequest, record: RequestRecord, nodes: readonly string[]): Promise<void> {
    const { agent, retention, signal } = this.#context;
    const { id, request, key } = own;
    const all = inputRecipients(record);
    const recipients = new Map(nodes.map((node): [string, string] => [node, all.get(node)!]));
    const binding = contentBinding(agent.context, { id, owner: agent.address });
    const list = sealKeys(getBytes(key!), recipients, { binding });
    const cid = await computeContentId(list, { signal });
    retention.note(id, cid);
    await agent.storage.add(list, { signal });
    const content = contentIdToBytes32(cid);
    const call = calls.grant(agent.context.requests, { request, content });
    if (!(await agent.sendAndSee({ key: `grant-input:${id}:${content}`, ...call }))) return;
    this.#change(id, (now) => now.grants.push({ content, nodes: [...nodes] }));
  }

  async #revealTestData({ id, request, testData }: OwnRequest): Promise<void> {
    const { agent, privateStorage, signal } = this.#context;
    const cid = contentIdFromBytes32(testData!.digest);
    await agent.storage.add(await privateStorage.get(cid, { maxBytes: MAX_TEST_DATA_BYTES, signal }), { signal });
    const call = calls.revealTestData(agent.context.requests, { request, ...testData! });
    await agent.sendAndSee({ key: `reveal-test-data:${id}`, ...call });
  }

  async #judge(own: OwnRequest, record: RequestRecord, head: Head): Promise<void> {
    const { evaluation, signal, logger } = this.#context;
    const { id } = own;
    const drawn = await evaluation.drawBlock(record, head, signal);
    if (!drawn) return;
    try {
      const { ruling, leftOut, mayPass } = await evaluation.assess(record, drawn, {
        signal,
        input: await this.#ownInput(own),
      });
      const standing = standingRuling(record);
      if (mayPass && !(standing && isEquivalentRuling(ruling, standing.ruling))) {
        throw new SuretyError("RESULTS_INCOMPLETE", `not all results of ${id} can be had`, {
          details: { id, missing: leftOut.filter((each) => each.mayPass).length },
          kind: "retryable",
        });
      }
      this.#change(id, (now) => (now.judged = ruling));
      logger.info({ id, order: ruling.order, leftOut }, "looked at the results");
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof SuretyError && error.kind === "retryable") throw error;
      this.#unable.add(id);
      logger.warn({ id, error }, "cannot tell whether the ranking is right");
    }
  }

  async #ownInput({ request, key }: OwnRequest): Promise<RequestInput> {
    const { agent, signal } = this.#context;
    const limits = { maxBytes: 2 * MAX_INPUT_BYTES, signal };
    const stored = await agent.storage.get(contentIdFromBytes32(request.input), limits);
    if (key === undefined) return decodeInput(stored);
    const binding = inputBinding(agent.context, agent.address);
    return decodeInput(await openContent(stored, getBytes(key), { ...limits, binding }));
  }

  /** Brings home what an ended request came to. */
  async #bring({ id }: OwnRequest, record: RequestRecord): Promise<void> {
    const { logger } = this.#context;
    const end = endOf(record);
    const replies: AnsweredReply[] = [];
    let folder: string | undefined;
    for (const node of end.outcome === "cancelled" ? [] : answering(record)) {
      const read = await this.#readReply(record, node);
      if (!read) continue;
      replies.push(read.reply);
      if (read.folder !== undefined) folder = read.folder;
    }
    const answer: RequestAnswer = { ...end, replies };
    if (folder !== undefined) answer.folder = folder;
    const report = await this.#readReport(record);
    if (report !== undefined) answer.report = report;
    this.#change(id, (now) => (now.answer = answer));
    logger.info({ id, outcome: end.outcome }, "a request has ended");
    for (const resolve of this.#waiting.get(id) ?? []) resolve(answer);
    this.#waiting.delete(id);
    this.#phases.delete(id);
  }

  async #readReply(
    record: RequestRecord,
    node: string,
  ): Promise<{ reply: AnsweredReply; folder?: string } | undefined> {
    const { reader, releases, signal, logger, config } = this.#context;
    const { id, request } = record;
    try {
      const { proto } = await releases.of(request.release, { signal });
      const { reply, content } = await reader.result(record, record.workers.get(node)!, signal);
      const read = { node, reply: proto.worker.output.toJson(reply), content: [...content.keys()] };
      if (content.size === 0) return { reply: read };
      const folder = join(config.home, "results", id);
      for (const [cid, files] of content) await writeDirectory(join(folder, cid), files);
      return { reply: read, folder };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SuretyError)) throw error;
      logger.warn({ id, node, error }, "a result cannot be read");
      return undefined;
    }
  }

  async #readReport(record: RequestRecord): Promise<string | undefined> {
    const { agent, signal, logger } = this.#context;
    const ruled = standingRuling(record);
    if (!ruled) return undefined;
    try {
      return (await fetchReport(agent.storage, ruled.report, { signal })).report;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SuretyError)) throw error;
      logger.warn({ id: record.id, judge: ruled.judge, error }, "a report cannot be read");
      return undefined;
    }
  }

  #change(id: string, change: (own: OwnRequest) => void): void {
    const own = this.#own.find(id);
    if (!own) return;
    change(own);
    this.#own.save(own);
  }

  #show(record: RequestRecord, head: Head): void {
    const { id, evaluator, revealed, tier } = record;
    const phase = requestPhaseOf(record, head.timestamp);
    if (this.#phases.get(id)?.phase !== phase) this.#phases.set(id, { phase, since: head.number });
    const workers = workersOf(record);
    const submitted = workers.filter(({ status }) => status !== "accepted").length;
    const progress: RequestProgress = {
      ...{ id, phase, workers: workers.length, submitted, revealed: revealed.length, tier },
      ...(evaluator ? { evaluator: evaluator.node } : {}),
    };
    const text = JSON.stringify(progress);
    if (this.#shown.get(id) === text) return;
    this.#shown.set(id, text);
    this.#onProgress(progress);
  }
}

function postKey(id: string): string {
  return `post-request:${id}`;
}

async function writeDirectory(folder: string, directory: Directory): Promise<void> {
  const beside = `${folder}.new`;
  await rm(beside, { recursive: true, force: true });
  for (const [path, bytes] of directory) {
    await mkdir(dirname(join(beside, path)), { recursive: true });
    await writeFile(join(beside, path), bytes);
  }
  await rm(folder, { recursive: true, force: true });
  await rename(beside, folder);
}
