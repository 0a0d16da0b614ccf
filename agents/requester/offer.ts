import { formatAmount } from "#sdk/amount.ts";
import * as calls from "#sdk/calls.ts";
import type { Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JobFile } from "#sdk/job-file.ts";
import { marketInterface, registryInterface, vaultInterface } from "#sdk/market-abi.ts";
import { quote } from "#sdk/pricing.ts";
import * as reads from "#sdk/reads.ts";
import { encryptionKeyPair } from "#sdk/seed.ts";
import { decodeRevert, describeRevert, revertData, type Revert } from "../chain/revert.ts";
import type { HttpRpc } from "../chain/rpc.ts";
import { exceptionMargin, offeredTerms, type Offer } from "./jobs.ts";

/** Stands for what is stored only after all checks, and what the market does not look at. */
const NOTHING_YET = `0x${"00".repeat(32)}`;
const ANY_SEED = `0x${"01".repeat(32)}`;

/** The offer that a job file makes; `slash` is left to be computed if the file leaves it. */
export function offerOf(job: JobFile, classId: string): Offer {
  return {
    mode: job.mode,
    adaptive: job.checking === "adaptive",
    quorum: job.quorum,
    rate: job.rate,
    guess: job.guess,
    maxShare: job.maxShare,
    minSlice: job.minSlice,
    price: job.prices.task.toString(),
    verifierPrice: job.prices.verifier.toString(),
    slashAmount: job.slash?.toString() ?? null,
    fullSlash: job.fullSlash,
    class: classId,
    windows: job.windows,
    allowed: job.nodes.allow,
    excluded: job.nodes.exclude,
  };
}

/** What posting would lock, and what there is. Base units. */
export interface Funds {
  escrow: bigint;
  bond: bigint;
  /** What should be there beside it, to back an exception if one is needed; see `exceptionMargin`. */
  margin: bigint;
  /** In the market's ledger and in the requester's wallet. */
  available: bigint;
}

/**
 * Asks the market whether it would take a batch, changing nothing: the class, every bound on the terms, and the money.
 *
 * @throws SuretyError `CLASS_UNKNOWN` (exit 2), `TERMS_REFUSED` (exit 2) with the market's reason,
 * `BALANCE_TOO_LOW` (exit 4)
 */
export async function checkOffer(
  offer: Offer,
  count: number,
  {
    rpc,
    deployment,
    requester,
    secret,
    signal,
  }: { rpc: HttpRpc; deployment: Deployment; requester: string; secret: string; signal?: AbortSignal },
): Promise<Funds> {
  await checkClass(offer.class, { rpc, deployment, signal });
  const encryptionKey = encryptionKeyPair(secret).publicKey;
  const terms = offeredTerms(offer, { requester, encryptionKey, parameters: deployment.parameters, spec: NOTHING_YET });
  const call = calls.post(deployment.market, { terms, count, manifest: NOTHING_YET, seedCommitment: ANY_SEED });
  const refusal = await simulate(rpc, { ...call, from: requester }, signal);
  // The agent deposits what is missing before it posts; whether it can is checked below.
  if (refusal && refusal.errorName !== "InsufficientAvailable") throw refused(refusal);

  const { escrow, bond } = quote(terms, count, deployment.parameters);
  const margin = exceptionMargin(terms, count, deployment.parameters);
  const { token, vault, market } = deployment;
  const [inLedger, inWallet] = await Promise.all([
    reads.available(rpc, vault, market, requester, { signal }),
    reads.balanceOf(rpc, token.address, requester, { signal }),
  ]);
  const available = inLedger + inWallet;
  const needed = escrow + bond + margin;
  if (available >= needed) return { escrow, bond, margin, available };
  const amount = (units: bigint): string => amountText(units, deployment);
  throw new SuretyError(
    "BALANCE_TOO_LOW",
    `the batch locks ${amount(escrow)} for the work and ${amount(bond)} as bond, and ${amount(margin)} more must be there ` +
      `to accuse a node if one lies, but ${requester} has ${amount(available)}`,
    {
      details: { escrow, bond, margin, available, missing: needed - available, requester },
      fix: `Send it ${amount(needed - available)} more, post fewer tasks, or let a claim take a smaller share.`,
      exit: ExitStatus.refused,
    },
  );
}

/** What posting takes, in a sentence. */
export function fundsText({ escrow, bond, margin }: Funds, deployment: Deployment): string {
  const amount = (units: bigint): string => amountText(units, deployment);
  const locked = `locks ${amount(escrow)} for the work and ${amount(bond)} as bond`;
  if (margin === 0n) return locked;
  return `${locked}; ${amount(margin)} more stay yours, in the market, to back an accusation if a node lies`;
}

function amountText(units: bigint, { token }: Deployment): string {
  return `${formatAmount(units, token.decimals)} ${token.symbol}`;
}

async function checkClass(
  classId: string,
  { rpc, deployment, signal }: { rpc: HttpRpc; deployment: Deployment; signal?: AbortSignal },
): Promise<void> {
  const state = await reads.classState(rpc, deployment.registry, deployment.market, classId, { signal });
  if (state.runtime !== "none") return;
  throw new SuretyError("CLASS_UNKNOWN", `the registry knows no class ${classId} of this market`, {
    details: { class: classId },
    fix: `Take one that exists: ${deployment.classes.map(({ name }) => name).join(", ")}.`,
    exit: ExitStatus.badInput,
  });
}

/** How the contracts would refuse a call now; undefined if they would not. */
async function simulate(
  rpc: HttpRpc,
  call: calls.ContractCall & { from: string },
  signal: AbortSignal | undefined,
): Promise<Revert | undefined> {
  try {
    await rpc.request("eth_call", [call, "latest"], { signal });
    return undefined;
  } catch (error) {
    const data = revertData(error);
    if (data === undefined) throw error;
    return decodeRevert(data, [marketInterface, registryInterface, vaultInterface]);
  }
}

/** The market's reason, with what it means for a job file where that is not obvious. */
function refused(refusal: Revert): SuretyError {
  const { errorName, args } = refusal;
  const { actual, least, most } = args;
  let message = `the market would refuse the batch: ${describeRevert(refusal)}`;
  let fix = "Change the job file; nothing was posted.";
  if (errorName === "TermOutOfRange" && args.field !== undefined) {
    const field = Buffer.from(args.field.slice(2), "hex").toString("utf8").replace(/\0+$/, "");
    message = `the market takes no ${field} of ${actual}, expected ${least} to ${most}`;
    if (field === "slashAmount")
      fix = "Lower the price or raise the rate: the slash that deters is more than nodes of the class put up.";
  } else if (errorName === "ClassTooSmall") {
    message = `the class has ${args.nodes} nodes, the job needs ${args.required}`;
    fix = "Wait until more nodes have joined, or take a smaller quorum.";
  }
  return new SuretyError("TERMS_REFUSED", message, {
    details: { error: errorName, ...args },
    fix,
    exit: ExitStatus.badInput,
  });
}
