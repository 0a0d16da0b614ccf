import { formatAmount } from "#sdk/amount.ts";
import type { Deployment } from "#sdk/deployment.ts";
import { decodeEvent, type SuretyEvent } from "#sdk/events.ts";
import { MemoryEventStore, type RawEvent } from "#sdk/event-store.ts";
import { Follower, type FollowerHooks } from "#sdk/follower.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { tokenInterface } from "#sdk/market-abi.ts";
import { MarketState, sampledCountOf } from "#sdk/market-state.ts";
import * as reads from "#sdk/reads.ts";
import { stakeLockIdOf } from "#sdk/terms.ts";

/** Steps of a batch's life, whose gas counts; deposits, stakes and registrations do not. */
const LIFE = new Set([
  "BatchPosted",
  "Claimed",
  "Voided",
  "Submitted",
  "Sealed",
  "EntropyCaptured",
  "Revealed",
  "Answered",
  "RoundOpened",
  "Excepted",
  "Judged",
  "Settled",
  "BatchClosed",
]);

/** What one account has, wherever it is. Base units. */
export interface Holdings {
  wallet: bigint;
  /** In the vault, free: pay that was not withdrawn, money not used. */
  vault: bigint;
  /** At stake, what is unbonding included. */
  stake: bigint;
}

/** Where every token is. */
export interface Money {
  /** By address. */
  accounts: Map<string, Holdings>;
  burned: bigint;
  /** Locked in batches that are open. */
  escrow: bigint;
  /** Whether all of it adds up to all tokens there are, and the vault's books to what it has. */
  conserved: boolean;
}

/**
 * Watches a market from outside, as anybody could: tells what happens as it happens, and counts money and gas from what
 * is on chain and nothing else.
 */
export class Witness {
  /** Replaced after a reorganisation: do not keep it. */
  state: MarketState;
  /** What happened, without what a reorganisation removed. */
  events: SuretyEvent[] = [];
  readonly #deployment: Deployment;
  readonly #rpc: JsonRpc;
  readonly #names: ReadonlyMap<string, string>;
  readonly #tell: (line: string) => void;
  readonly #follower: Follower;
  readonly #hooks: FollowerHooks = {
    onEvents: (events) => this.#see(events),
    onRewind: (number) => this.#unsee(number),
  };

  /**
   * @param names What to call addresses.
   * @param tell Gets a line for each event worth telling.
   */
  constructor(deployment: Deployment, rpc: JsonRpc, names: ReadonlyMap<string, string>, tell: (line: string) => void) {
    this.state = new MarketState(deployment.market);
    this.#deployment = deployment;
    this.#rpc = rpc;
    this.#names = names;
    this.#tell = tell;
    const { chainId, market, registry, vault, startBlock, parameters } = deployment;
    const options = {
      chainId,
      addresses: [market, registry, vault],
      startBlock,
      finalDepth: parameters.finalDepth,
      pollMs: 300,
    };
    this.#follower = new Follower(options, { rpc, store: new MemoryEventStore() });
  }

  /** Watches until the signal aborts. */
  watch(signal: AbortSignal): Promise<void> {
    return this.#follower.run({ signal, ...this.#hooks });
  }

  /** Sees what is there now. */
  async catchUp(): Promise<void> {
    await this.#follower.sync(this.#hooks);
  }

  /** Gas of every transaction in the life of the batches seen. */
  async gas(): Promise<bigint> {
    const hashes = new Set(this.events.filter(({ name }) => LIFE.has(name)).map((event) => event.transactionHash));
    let total = 0n;
    for (const hash of hashes) {
      const receipt = (await this.#rpc.request("eth_getTransactionReceipt", [hash])) as { gasUsed: string };
      total += BigInt(receipt.gasUsed);
    }
    return total;
  }

  /** Where every token is now: as of one block, since a token on its way between two looks would be missed. */
  async money(): Promise<Money> {
    const { vault, registry, market, token } = this.#deployment;
    const rpc = this.#rpc;
    const at = { blockNumber: Number(await rpc.request("eth_blockNumber", [])) };
    const accounts = new Map<string, Holdings>();
    const inVault = await reads.balanceOf(rpc, token.address, vault, at);
    const burned = await reads.vaultBurned(rpc, vault, at);
    let everywhere = inVault;
    let books = burned;
    for (const address of this.#names.keys()) {
      const wallet = await reads.balanceOf(rpc, token.address, address, at);
      const free =
        (await reads.available(rpc, vault, market, address, at)) +
        (await reads.available(rpc, vault, registry, address, at));
      const { amount: stake } = await reads.lockedUnder(rpc, vault, registry, stakeLockIdOf(market, address), at);
      accounts.set(address, { wallet, vault: free, stake });
      everywhere += wallet;
      books += free + stake;
    }
    let escrow = 0n;
    for (const id of this.state.batches.keys()) escrow += (await reads.lockedUnder(rpc, vault, market, id, at)).amount;
    books += escrow;
    const supply = await reads.read<bigint>(rpc, token.address, tokenInterface, "totalSupply", [], at);
    const owed = await reads.vaultTotal(rpc, vault, at);
    return { accounts, burned, escrow, conserved: everywhere === supply && books === owed && owed === inVault };
  }

  name(address: string): string {
    return this.#names.get(address) ?? address;
  }

  /** Forgets what happened above a block. */
  #unsee(number: number): void {
    this.events = this.events.filter(({ blockNumber }) => blockNumber <= number);
    this.state = new MarketState(this.#deployment.market);
    for (const event of this.events) this.state.apply(event);
  }

  #see(raw: readonly RawEvent[]): void {
    for (const one of raw) {
      const event = decodeEvent(one);
      if (!event) continue;
      this.state.apply(event);
      this.events.push(event);
      const line = this.#line(event);
      if (line) this.#tell(line);
    }
  }

  #line(event: SuretyEvent): string | undefined {
    const amount = (units: bigint): string =>
      `${formatAmount(units, this.#deployment.token.decimals)} ${this.#deployment.token.symbol}`;
    const who = (address: string): string => this.name(address);
    switch (event.name) {
      case "BatchPosted":
        return `posted: ${event.batch.count} tasks, ${amount(event.escrow)} in escrow, ${amount(event.bond)} as the requester's bond`;
      case "Claimed":
        return `claimed: ${who(event.node)} takes tasks ${event.first} to ${event.first + event.count - 1}`;
      case "Submitted":
        return `submitted: ${who(event.node)} commits to its results, sealed for the requester`;
      case "Voided":
        return `void: ${who(event.node)} was late and pays ${amount(event.fined)}`;
      case "Sealed":
        return `sealed: block ${event.entropyBlock}, not mined yet, will decide what is checked`;
      case "Revealed": {
        const record = this.state.batches.get(event.id);
        const sampled = record?.assignments.reduce((sum, assignment) => sum + sampledCountOf(record, assignment), 0);
        return `revealed: ${sampled} of ${record?.batch.count} tasks are run again`;
      }
      case "Answered": {
        const record = this.state.batches.get(event.id);
        const assignment = record?.assignments[event.assignment];
        return `checked: ${who(event.node)} ran ${record && assignment ? sampledCountOf(record, assignment) : "?"} tasks of ${who(assignment?.node ?? "")} again`;
      }
      case "RoundOpened":
        return event.escalation
          ? `escalated: results for assignment ${event.assignment} differ, ${event.seats} more to be drawn`
          : `redrawn: too few answered for assignment ${event.assignment}, ${event.seats} more to be drawn`;
      case "Absent":
        return `absent: ${who(event.node)} did not answer and pays ${amount(event.fined)}`;
      case "Excepted":
        return event.verdict === "no-majority"
          ? `no majority: nobody's result for assignment ${event.assignment} has one`
          : `accused: ${who(event.accused)}, shown by task ${event.witness}`;
      case "Slashed":
        return `slashed: ${who(event.node)} loses ${amount(event.amount)}, ${amount(event.rewarded)} of it to those who were right, the rest burned`;
      case "Settled":
        return `settled: assignment ${event.assignment} ${event.outcome}, ${amount(event.paid)} paid`;
      case "BatchClosed":
        return "closed: what was left is the requester's again";
      default:
        return undefined;
    }
  }
}
