import { getBytes, hexlify } from "ethers";
import { contentIdFromBytes32, contentIdToBytes32, type Directory } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Head } from "#sdk/follower.ts";
import * as requestCalls from "#sdk/request-calls.ts";
import { checkpointCommitment, decodeResult, encodeResult, type RequestResult } from "#sdk/request-content.ts";
import type { RequestRecord } from "#sdk/request-state.ts";
import { resultCommitment } from "#sdk/request-terms.ts";
import { contentBinding, openContent, sealContent, sealKeys } from "#sdk/sealed-content.ts";
import { checkpointSalt, resultSalt } from "#sdk/seed.ts";
import { contentIds } from "../schema/content-fields.ts";
import { runWorker } from "../schema/run-schema.ts";
import { workDuties, type RequestDuty } from "./duties.ts";
import { HeldContent } from "./held-content.ts";
import type { ParticipantContext, Part } from "./part.ts";
import { resultRecipients } from "./recipients.ts";
import { Tasks } from "./tasks.ts";

/** A result as the journal keeps it; the sealed directory is in the private storage. */
interface KeptResult {
  /** Content id of the sealed directory: 32 bytes, hexadecimal. */
  digest: string;
  /** 32 bytes, hexadecimal: opens it. */
  contentKey: string;
}

/** More than any result of this account has: it was made here. */
const MAX_OWN_BYTES = 2 ** 40;
const MIB = 2 ** 20;
const IN_THE_JOURNAL = "result";
/** Bytes of a request's input, by request. */
const RESERVED = "reserved";

/**
 * A worker's part: accepts requests that it can run and that pay, computes, commits, and shows its result once nobody
 * can commit any more. Until then nothing of it leaves this machine. What was committed to is in the journal before the
 * commitment is sent, so that there is never a second one.
 */
export class Work implements Part {
  readonly #context: ParticipantContext;
  readonly #tasks: Tasks;

  constructor(context: ParticipantContext) {
    this.#context = context;
    const { logger, signal, metrics } = context;
    this.#tasks = new Tasks({ logger, signal, onCount: (count) => metrics.underWay(count) });
  }

  get isIdle(): boolean {
    return this.#tasks.isIdle;
  }

  settled(): Promise<void> {
    return this.#tasks.settled();
  }

  async act(head: Head): Promise<void> {
    const facts = await this.#context.facts(head);
    for (const duty of workDuties(this.#context.agent.state, facts)) {
      if (duty.kind === "accept-work" && !this.#context.mayBegin) continue;
      this.#tasks.run(`${duty.kind}:${duty.id}`, () => this.#do(duty, head));
    }
  }

  async #do({ kind, id }: RequestDuty, head: Head): Promise<void> {
    const record = this.#context.agent.state.requests.get(id);
    if (!record) return;
    switch (kind) {
      case "accept-work":
        return this.#accept(record);
      case "prepare":
        return this.#prepare(record);
      case "compute":
        return this.#compute(record);
      case "reveal":
        return this.#reveal(record);
      case "check":
        return this.#check(record, head);
      default:
      // Not a worker's.
    }
  }

  async #accept(record: RequestRecord): Promise<void> {
    const { agent, releases, reader, keys, signal, logger, config } = this.#context;
    const { id, request, startAt } = record;
    await releases.of(request.release, { signal });
    const bytes = await reader.inputBytes(record, signal);
    // Stored, and opened.
    if (2 * bytes + this.#reserved() > config.reserve * MIB) {
      logger.debug({ id, bytes }, "leaves a request alone, for there is no room");
      return;
    }
    agent.journal.put(RESERVED, id, 2 * bytes);
    const encryptionKey = hexlify(keys.publicKey);
    const call = requestCalls.acceptJob(agent.context.requests, { request, role: "worker", encryptionKey });
    await agent.send({ key: `accept-work:${id}`, ...call, deadline: startAt });
  }

  /** Bytes that accepted requests may take. */
  #reserved(): number {
    const { agent } = this.#context;
    let sum = 0;
    for (const [id, bytes] of agent.journal.list(RESERVED)) {
      const record = agent.state.requests.get(id);
      if (record && !record.outcome && record.workers.get(agent.address)?.status === "accepted") sum += Number(bytes);
    }
    return sum;
  }

  /** Gives up in time what turns out not to run here, such as after a change of the configuration. */
  async #prepare({ id, request, startAt }: RequestRecord): Promise<void> {
    const { agent, releases, signal, logger } = this.#context;
    try {
      await releases.of(request.release, { signal });
    } catch (error) {
      if (!(error instanceof SuretyError) || error.kind === "retryable") throw error;
      logger.warn({ id, error }, "resigns from a request that does not run here");
      const call = requestCalls.resign(agent.context.requests, { id });
      await agent.send({ key: `resign:${id}`, ...call, deadline: startAt });
    }
  }

  async #compute(record: RequestRecord): Promise<void> {
    const { agent } = this.#context;
    const { id, submitUntil } = record;
    const made = this.#kept(id) ?? (await this.#make(record));
    if (!made) return;
    const { digest } = made;
    const salt = this.#salt(id);
    const commitment = resultCommitment(agent.context, { id, worker: agent.address, digest, salt });
    const call = requestCalls.submitResult(agent.context.requests, { id, commitment });
    await agent.send({ key: `submit:${id}`, ...call, deadline: submitUntil });
  }

  /** @returns undefined until the requester has granted the input */
  async #make(record: RequestRecord): Promise<KeptResult | undefined> {
    const { agent, executor, releases, reader, privateStorage, retention, signal, logger } = this.#context;
    const { id, request, submitUntil } = record;
    const schema = await releases.of(request.release, { signal });
    const input = await reader.inputForWorker(record, signal).catch((error: unknown) => {
      if (error instanceof SuretyError && error.code === "REQUEST_KEY_MISSING") return undefined;
      throw error;
    });
    if (!input) return undefined;
    const held = new HeldContent(input.content);
    const salts: string[] = [];
    const states: Uint8Array[] = [];
    const onCheckpoint = async (number: number, state: Uint8Array): Promise<void> => {
      const salt = checkpointSalt(agent.secret, { ...agent.context, id }, number);
      const commitment = checkpointCommitment(salt, state);
      const call = requestCalls.submitCheckpoint(agent.context.requests, { id, number, commitment });
      await agent.send({ key: `checkpoint:${id}:${number}`, ...call, deadline: submitUntil });
      salts.push(salt);
      states.push(state);
    };
    logger.info({ id, schema: schema.name }, "computes");
    const order = { request: input.message, node: agent.address, seed: getBytes(id) };
    const runner = { schema, executor, storage: held };
    const { reply, fuel, milliseconds } = await runWorker(runner, order, { signal, onCheckpoint });
    logger.info({ id, fuel: String(fuel), milliseconds }, "computed");
    const content = held.pick(contentIds(schema.proto.worker.output, reply));
    const checkpoints = states.map((state, number) => ({ state, salt: salts[number]! }));
    const binding = contentBinding(agent.context, { id, owner: agent.address });
    const sealed = await sealContent(encodeResult({ reply, content, checkpoints }), { binding, signal });
    const shared = sealKeys(sealed.key, resultRecipients(record), { binding });
    const cid = await privateStorage.add(new Map([...sealed.directory, ...shared]), { signal });
    retention.note(id, cid);
    const kept = { digest: contentIdToBytes32(cid), contentKey: hexlify(sealed.key) };
    agent.journal.put(IN_THE_JOURNAL, id, kept);
    return kept;
  }

  async #reveal(record: RequestRecord): Promise<void> {
    const { agent, signal, logger } = this.#context;
    const { id, revealUntil } = record;
    const { digest } = this.#requireKept(id);
    const directory = await this.#sealed(digest);
    // Before the word on chain, which sends everybody to look for it.
    await agent.storage.add(directory, { signal });
    const call = requestCalls.revealResult(agent.context.requests, { id, digest, salt: this.#salt(id) });
    await agent.send({ key: `reveal:${id}`, ...call, deadline: revealUntil });
    logger.debug({ id, digest }, "revealed a result");
  }

  /** Looks whether a result that was left out is valid, and calls a judge if it is. */
  async #check(record: RequestRecord, head: Head): Promise<void> {
    const { agent, evaluation, reader, treasury, signal, logger } = this.#context;
    const { id, request, evaluator, tier, deadline } = record;
    const drawn = await evaluation.drawBlock(record, head, signal);
    if (!drawn) return;
    const noteKey = `${id}`;
    let isValid = agent.journal.get("own-check", noteKey) as boolean | undefined;
    if (isValid === undefined) {
      const [input, own] = [await reader.inputForWorker(record, signal), await this.#own(record)];
      const checkpoints = own.checkpoints.map(({ state }) => state);
      const result = { node: agent.address, reply: own.reply, checkpoints, content: own.content, input };
      isValid = await evaluation.isValidAlone(record, drawn, result, signal);
      agent.journal.put("own-check", noteKey, isValid);
      logger.info({ id, isValid }, "checked a result of its own that was left out");
    }
    if (!isValid) return;
    await treasury.spend(`challenge:${id}:${tier}`, request.challengeFee, () => {
      const call = requestCalls.challenge(agent.context.requests, { request, path: evaluator?.path ?? [] });
      return agent.sendAndSee({ key: `challenge:${id}:${tier}`, ...call, deadline });
    });
  }

  async #own(record: RequestRecord): Promise<RequestResult> {
    const { agent, signal } = this.#context;
    const { digest, contentKey } = this.#requireKept(record.id);
    const binding = contentBinding(agent.context, { id: record.id, owner: agent.address });
    const options = { binding, maxBytes: MAX_OWN_BYTES, signal };
    const opened = await openContent(await this.#sealed(digest), getBytes(contentKey), options);
    return decodeResult(opened, record.workers.get(agent.address)!.checkpoints);
  }

  #sealed(digest: string): Promise<Directory> {
    const { privateStorage, signal } = this.#context;
    return privateStorage.get(contentIdFromBytes32(digest), { maxBytes: MAX_OWN_BYTES, signal });
  }

  #kept(id: string): KeptResult | undefined {
    return this.#context.agent.journal.get(IN_THE_JOURNAL, id) as KeptResult | undefined;
  }

  #requireKept(id: string): KeptResult {
    const kept = this.#kept(id);
    if (kept) return kept;
    throw new SuretyError("RESULT_LOST", `the result that was committed to for ${id} is not in the journal`, {
      details: { id },
      fix: "Put back the home that the agent had when it committed.",
    });
  }

  #salt(id: string): string {
    const { agent } = this.#context;
    return resultSalt(agent.secret, { ...agent.context, id });
  }
}
