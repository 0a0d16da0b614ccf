import { getAddress, hexlify, type BytesLike, type Signer } from "ethers";

import { BATCH_MANIFEST_FILE, buildBatchManifest } from "./batch-manifest.ts";
import * as calls from "./calls.ts";
import { seedCommitment } from "./commitment.ts";
import { contentIdToBytes32, type Directory } from "./content.ts";
import type { Deployment } from "./deployment.ts";
import { contendedUntil } from "./dispute.ts";
import { ExitStatus, SuretyError } from "./errors.ts";
import type { RawEvent } from "./event-store.ts";
import { decodeEvent, type EventOf, type SuretyEvent } from "./events.ts";
import type { JsonRpc } from "./json-rpc.ts";
import { marketInterface } from "./market-abi.ts";
import { MarketState, phaseOf, type BatchPhase, type BatchRecord } from "./market-state.ts";
import { quote } from "./pricing.ts";
import * as reads from "./reads.ts";
import type { TaskResult } from "./result-manifest.ts";
import { readOutput, readResults } from "./results.ts";
import { batchSeed, encryptionKeyPair } from "./seed.ts";
import type { Storage } from "./storage.ts";
import { jobIdOf, type Batch, type Matter, type Stage, type Terms } from "./terms.ts";

/** What a {@link SuretyClient} works with. */
export interface ClientDependencies {
  /** The chain of the deployment. */
  rpc: JsonRpc;
  /** Signs and sends: the requester's account. Needed by whatever moves money. */
  signer?: Signer;
  /** Where inputs and results are. Needed by `post`, `results` and `output`. */
  storage?: Storage;
  /**
   * The requester's secret, 32 bytes: seeds and the encryption key derive from it, so whoever has it, and only who has
   * it, can reveal batches and read results. Needed by `post` and `results`.
   */
  secret?: BytesLike;
}

/** How long a call may go on. */
export interface CallOptions {
  signal?: AbortSignal;
}

/** A batch that was posted. */
export interface PostedBatch {
  id: string;
  batch: Batch;
  /** Base units. */
  escrow: bigint;
  bond: bigint;
  transactionHash: string;
}

/** Where a batch stands. */
export interface BatchStatus {
  phase: BatchPhase;
  /** Assignments that the requester accused or that are disputed: nothing of them is paid before that is over. */
  contended: ContendedAssignment[];
  record: BatchRecord;
}

/** An assignment under accusation or dispute. */
export interface ContendedAssignment {
  /** Index in the batch. */
  assignment: number;
  /** What the dispute is about; `none` while nobody has challenged the requester's exception. */
  matter: Matter;
  /** Which step of the dispute is due; `none` while there is only an exception. */
  stage: Stage;
  /** Until when who is concerned can challenge, answer, open, appeal or cast, seconds; 0 where a ruling is final. */
  until: number;
}

/** What one assignment brought. */
export interface AssignmentResults {
  assignment: number;
  /** The primary. */
  node: string;
  /** By task; missing if `error` says why. */
  results?: TaskResult[];
  /** What was submitted is not what it should be, or cannot be fetched now. */
  error?: unknown;
}

/**
 * What a requester's application needs, one verb each, over the functions of this package. It keeps no state: a batch
 * that it posted still needs somebody who reveals the seed, compares and judges in time, which is what the requester
 * agent does with the same secret.
 *
 * @example
 * ```ts
 * const provider = new BrowserProvider(window.ethereum);
 * const client = new SuretyClient(deployment, {
 *   rpc: fromEip1193(window.ethereum),
 *   signer: await provider.getSigner(),
 *   storage: new KuboStorage({ url: "http://127.0.0.1:5001" }),
 *   secret,
 * });
 * const { escrow, bond } = client.quote(terms, inputs.length);
 * await client.deposit(escrow + bond);
 * const { id } = await client.post({ terms, inputs });
 * const { phase } = await client.status(id); // "claiming"
 * for (const { results = [] } of await client.results(id)) {
 *   for (const result of results) show(result.task, await client.output(result, { maxBytes: 1_000_000 }));
 * }
 * ```
 */
export class SuretyClient {
  readonly deployment: Deployment;
  readonly #dependencies: ClientDependencies;

  constructor(deployment: Deployment, dependencies: ClientDependencies) {
    this.deployment = deployment;
    this.#dependencies = dependencies;
  }

  /** What a batch of `count` tasks will lock, base units. */
  quote(terms: Terms, count: number): { escrow: bigint; bond: bigint } {
    return quote(terms, count, this.deployment.parameters);
  }

  /** The key that goes into terms, hexadecimal: results are sealed for it. */
  get encryptionKey(): string {
    const { publicKey } = encryptionKeyPair(this.#need("secret"));
    return hexlify(publicKey);
  }

  /**
   * Brings tokens into the market's ledger, where posting takes them from; approves them first if need be.
   *
   * @param amount Base units.
   * @throws `CLIENT_INCOMPLETE` without a signer, and what the wallet and the chain refuse with
   */
  async deposit(amount: bigint, options: CallOptions = {}): Promise<void> {
    const { token, vault, market } = this.deployment;
    const holder = await this.#need("signer").getAddress();
    const allowed = await reads.allowance(this.#dependencies.rpc, token.address, holder, vault, options);
    if (allowed < amount) await this.#send(calls.approve(token.address, { spender: vault, amount }), options);
    await this.#send(calls.deposit(vault, { ledger: market, holder, amount }), options);
  }

  /**
   * Sends available tokens from the market's ledger back to the signer.
   *
   * @param amount Base units.
   */
  async withdraw(amount: bigint, options: CallOptions = {}): Promise<void> {
    const { vault, market } = this.deployment;
    const to = await this.#need("signer").getAddress();
    await this.#send(calls.withdraw(vault, { ledger: market, amount, to }), options);
  }

  /** What an account can post or withdraw with, and what it has outside the vault, base units. */
  async balance(account: string, options: CallOptions = {}): Promise<{ available: bigint; outside: bigint }> {
    const { token, vault, market } = this.deployment;
    const { rpc } = this.#dependencies;
    return {
      available: await reads.available(rpc, vault, market, account, options),
      outside: await reads.balanceOf(rpc, token.address, account, options),
    };
  }

  /**
   * Publishes the list of inputs and posts a batch. One at a time for the same terms: a batch's seed is made for its
   * number.
   *
   * @param request `inputs` are content ids of directories, one per task; `terms.requester` is the signer.
   * @throws `CLIENT_INCOMPLETE` without signer, storage and secret; `BALANCE_TOO_LOW` before anything is published;
   * `BATCH_MANIFEST_INVALID`; `BATCH_SEQUENCE_LOST` if another batch of these terms came between; and what storage,
   * wallet and chain refuse with
   */
  async post(
    { terms, inputs }: { terms: Terms; inputs: readonly string[] },
    options: CallOptions = {},
  ): Promise<PostedBatch> {
    const { chainId, market, token } = this.deployment;
    const { rpc } = this.#dependencies;
    const { escrow, bond } = this.quote(terms, inputs.length);
    const { available } = await this.balance(terms.requester, options);
    if (available < escrow + bond) {
      throw new SuretyError(
        "BALANCE_TOO_LOW",
        `${inputs.length} tasks lock ${escrow + bond}, available are ${available}`,
        {
          details: { actual: available, expected: escrow + bond, token: token.address },
          fix: "Deposit the difference.",
          exit: ExitStatus.refused,
        },
      );
    }
    const files = new Map([[BATCH_MANIFEST_FILE, buildBatchManifest(inputs)]]);
    const manifest = contentIdToBytes32(await this.#need("storage").add(files, options));
    const context = { chainId: BigInt(chainId), market, jobId: jobIdOf({ chainId, market }, terms) };
    const sequence = await reads.batchesOf(rpc, market, context.jobId, options);
    const seed = batchSeed(this.#need("secret"), { ...context, sequence });
    const commitment = seedCommitment({ ...context, sequence }, seed);
    const request = { terms, count: inputs.length, manifest, seedCommitment: commitment };
    const events = await this.#send(calls.post(market, request), options);
    const posted = events.find((event): event is EventOf<"BatchPosted"> => event.name === "BatchPosted");
    if (posted?.batch.sequence !== sequence) {
      throw new SuretyError(
        "BATCH_SEQUENCE_LOST",
        `the batch got number ${posted?.batch.sequence}, its seed is for ${sequence}`,
        {
          details: { actual: posted?.batch.sequence, expected: sequence, batchId: posted?.id },
          fix: "Post batches of one job one after the other. This one cannot be revealed: what nodes submit will be paid.",
        },
      );
    }
    const { id, batch, transactionHash } = posted;
    return { id, batch, escrow: posted.escrow, bond: posted.bond, transactionHash };
  }

  /**
   * Where a batch stands, and which of its assignments are under dispute and until when, from its events.
   *
   * @throws `BATCH_UNKNOWN` if the market never had it
   */
  async status(batchId: string, options: CallOptions = {}): Promise<BatchStatus> {
    const { market } = this.deployment;
    const { rpc } = this.#dependencies;
    const events = await this.#logs([null, batchId], options);
    const posted = events.find((event): event is EventOf<"BatchPosted"> => event.name === "BatchPosted");
    if (!posted) {
      throw new SuretyError("BATCH_UNKNOWN", `the market has no batch ${batchId}`, {
        details: { batchId },
        exit: ExitStatus.badInput,
      });
    }
    const opened = await this.#logs([marketInterface.getEvent("JobOpened").topicHash, posted.job], options);
    const state = new MarketState(market);
    for (const event of [...opened, ...events]) state.apply(event);
    const record = state.batches.get(posted.id) as BatchRecord;
    const head = (await rpc.request("eth_getBlockByNumber", ["latest", false], options)) as { timestamp: string };
    const contended = record.assignments.flatMap((assignment): ContendedAssignment[] => {
      const until = contendedUntil(record, assignment);
      if (until === undefined) return [];
      const { matter, stage } = assignment.dispute ?? { matter: "none", stage: "none" };
      return [{ assignment: assignment.index, matter, stage, until }];
    });
    return { phase: phaseOf(record, Number(head.timestamp)), contended, record };
  }

  /**
   * What the nodes submitted for a batch, decrypted and checked against their commitments. Whether it was also run
   * again and found right is in the status: see each assignment's outcome.
   *
   * @throws `CLIENT_INCOMPLETE` without storage and secret; `BATCH_UNKNOWN`
   */
  async results(batchId: string, options: CallOptions = {}): Promise<AssignmentResults[]> {
    const { chainId, market } = this.deployment;
    const { secretKey } = encryptionKeyPair(this.#need("secret"));
    const opener = { storage: this.#need("storage"), context: { chainId: BigInt(chainId), market }, secretKey };
    const { record } = await this.status(batchId, options);
    const all: AssignmentResults[] = [];
    for (const { index: assignment, node, first, count, submission } of record.assignments) {
      if (!submission) continue;
      const tasks = Array.from({ length: count }, (_, place) => first + place);
      try {
        const part = { ...submission, member: "primary" as const, assignment, tasks };
        all.push({ assignment, node, results: await readResults(record.id, part, opener, options) });
      } catch (error) {
        options.signal?.throwIfAborted();
        all.push({ assignment, node, error });
      }
    }
    return all;
  }

  /**
   * One task's output: what the program wrote, its standard output and error, its exit code.
   *
   * @param options `maxBytes` caps what is fetched.
   * @throws `OUTPUT_MISMATCH` if it is not what the node committed to; StorageError if it cannot be fetched now
   */
  async output(result: TaskResult, options: CallOptions & { maxBytes: number }): Promise<Directory> {
    return readOutput(result, { storage: this.#need("storage") }, options);
  }

  /** Sends a call and waits until it is mined; what it made the contracts tell. */
  async #send(call: calls.ContractCall, { signal }: CallOptions): Promise<SuretyEvent[]> {
    signal?.throwIfAborted();
    const response = await this.#need("signer").sendTransaction({ ...call });
    const receipt = await response.wait();
    if (!receipt) throw new Error(`no receipt of ${response.hash}`);
    return this.#decode(
      receipt.logs.map((log) => ({ ...log, logIndex: log.index, topics: [...log.topics] })),
      { signal },
    );
  }

  /** The market's events with these topics, oldest first. */
  async #logs(topics: (string | null)[], options: CallOptions): Promise<SuretyEvent[]> {
    const { market, startBlock } = this.deployment;
    const filter = { address: market, fromBlock: `0x${startBlock.toString(16)}`, toBlock: "latest", topics };
    return this.#decode((await this.#dependencies.rpc.request("eth_getLogs", [filter], options)) as Log[], options);
  }

  async #decode(logs: readonly Log[], options: CallOptions): Promise<SuretyEvent[]> {
    const timestamps = new Map<string, number>();
    const events: SuretyEvent[] = [];
    for (const { blockHash, transactionHash, blockNumber, logIndex, address, topics, data } of logs) {
      if (!timestamps.has(blockHash)) {
        const block = (await this.#dependencies.rpc.request("eth_getBlockByHash", [blockHash, false], options)) as {
          timestamp: string;
        };
        timestamps.set(blockHash, Number(block.timestamp));
      }
      const place = { blockHash, transactionHash, blockNumber: Number(blockNumber), logIndex: Number(logIndex) };
      const timestamp = timestamps.get(blockHash)!;
      const event = decodeEvent({ ...place, address: getAddress(address), topics, data, timestamp });
      if (event) events.push(event);
    }
    return events;
  }

  #need<Name extends keyof ClientDependencies>(name: Name): NonNullable<ClientDependencies[Name]> {
    const dependency = this.#dependencies[name];
    if (dependency !== undefined) return dependency;
    throw new SuretyError("CLIENT_INCOMPLETE", `the client was made without ${name}`, {
      details: { name },
      fix: `Give ${name} to the client's constructor.`,
    });
  }
}

/** A log as nodes and ethers give it. */
type Log = Omit<RawEvent, "timestamp" | "blockNumber" | "logIndex"> & {
  blockNumber: string | number;
  logIndex: string | number;
};
