import { formatUnits } from "ethers";
import { z } from "zod";
import { Endpoint } from "../chain/endpoint.ts";
import { feeCaps, type ChainConfig } from "../config/chain.ts";
import { fromError, ok, problem, warning, type Finding } from "./finding.ts";

/** How long an endpoint may take to answer, milliseconds. */
const TIMEOUT_MS = 5_000;
/** A newest block that is older is worth a look, seconds: most chains make one every few seconds. */
const OLD_SECONDS = 120;
/** A clock that is further behind the newest block cannot be right, seconds. */
const BEHIND_SECONDS = 15;

/** What is known of the chain. */
export interface ChainState {
  findings: Finding[];
  /** Endpoints that can be worked with. */
  usable: string[];
}

const quantity = z.string().regex(/^0x[0-9a-fA-F]+$/);
const blockAnswer = z.object({
  number: quantity.transform(Number),
  hash: z.string(),
  timestamp: quantity.transform(Number),
  baseFeePerGas: quantity.transform(BigInt).optional(),
});

/**
 * Asks each endpoint by itself what an agent would ask it.
 *
 * @param chainId Where the contracts are; undefined if that is not known.
 */
export async function examineChain(
  urls: readonly string[],
  { chainId, chain }: { chainId: number | undefined; chain?: ChainConfig | undefined },
  { signal }: { signal: AbortSignal },
): Promise<ChainState> {
  const each = await Promise.all(urls.map((url) => examineEndpoint(url, { chainId, chain }, signal)));
  const usable = each.filter(({ isUsable }) => isUsable).map(({ url }) => url);
  const findings = each.flatMap(({ findings }) => findings);
  // With others that work, one that does not is no reason to stop.
  const isEnough = usable.length > 0;
  return {
    findings: findings.map((finding) =>
      isEnough && finding.verdict === "problem" ? { ...finding, verdict: "warning" } : finding,
    ),
    usable,
  };
}

async function examineEndpoint(
  url: string,
  { chainId, chain }: { chainId: number | undefined; chain?: ChainConfig | undefined },
  signal: AbortSignal,
): Promise<{ url: string; isUsable: boolean; findings: Finding[] }> {
  const { host } = new URL(url);
  const about = `endpoint ${host}`;
  const endpoint = new Endpoint({ url }, { name: host, timeoutMs: TIMEOUT_MS });
  const ask = <T>(schema: z.ZodType<T>, method: string, params: unknown[] = []): Promise<T> =>
    endpoint.request(method, params, { signal }).then((answer) => schema.parse(answer));
  try {
    const actual = await ask(quantity.transform(Number), "eth_chainId");
    if (chainId !== undefined && actual !== chainId) {
      const finding = problem(
        about,
        `is on chain ${actual}, and the contracts of the address book are on chain ${chainId}`,
        `Give in rpc an endpoint of chain ${chainId}, or in deployment the address book of chain ${actual}.`,
        "CHAIN_MISMATCH",
      );
      return { url, isUsable: false, findings: [finding] };
    }
    const block = await ask(blockAnswer, "eth_getBlockByNumber", ["latest", false]);
    const findings = [
      ok(about, `chain ${actual}, block ${block.number}`),
      clock(about, block.timestamp),
      await sync(about, () => endpoint.request("eth_syncing", [], { signal })),
      await logs(about, () => endpoint.request("eth_getLogs", [{ blockHash: block.hash }], { signal })),
      await finality(about, { chain, number: block.number }, () =>
        endpoint.request("eth_getBlockByNumber", [tagOf(chain) ?? "finalized", false], { signal }),
      ),
      fees(about, block.baseFeePerGas, chain),
    ];
    return { url, isUsable: true, findings: findings.filter((finding) => finding !== undefined) };
  } catch (error) {
    signal.throwIfAborted();
    const isNonsense = error instanceof z.ZodError;
    const finding = isNonsense
      ? problem(
          about,
          "answers, but not as a node of an EVM chain",
          "Give in rpc the address of a node's JSON-RPC.",
          "RPC_MALFORMED",
        )
      : {
          ...fromError(about, error, ""),
          says: `does not answer: ${reasonOf(error)}`,
          fix: "Start the node, or give in rpc one that runs. From this machine, see that a firewall or proxy lets it through.",
        };
    return { url, isUsable: false, findings: [finding] };
  }
}

function clock(about: string, timestamp: number): Finding {
  const ahead = Math.round(Date.now() / 1000) - timestamp;
  if (ahead < -BEHIND_SECONDS) {
    return warning(
      about,
      `its newest block is ${-ahead} s ahead of this machine's clock`,
      "Set the clock by NTP (timedatectl set-ntp true). On a local chain whose time was moved, ignore this: agents go by the chain's time.",
    );
  }
  if (ahead > OLD_SECONDS) {
    return warning(
      about,
      `its newest block is ${ahead} s old by this machine's clock`,
      "See that the node is not behind, and the clock is set by NTP. A chain that makes blocks on demand only may be left alone.",
    );
  }
  return ok(
    "clock",
    `${Math.abs(ahead)} s ${ahead < 0 ? "behind" : "after"} the newest block of ${about.split(" ")[1]}`,
  );
}

async function sync(about: string, ask: () => Promise<unknown>): Promise<Finding | undefined> {
  const syncing = await ask().catch(() => false);
  if (syncing === false) return undefined;
  return warning(about, "the node is still syncing", "Wait until it is done: what it says now is old.");
}

async function logs(about: string, ask: () => Promise<unknown>): Promise<Finding | undefined> {
  try {
    await ask();
    return undefined;
  } catch (error) {
    return problem(
      about,
      `does not give events by block: ${(error as Error).message}`,
      "Use a node that serves eth_getLogs with blockHash: agents see nothing without it.",
      "RPC_ERROR",
    );
  }
}

function tagOf(chain: ChainConfig | undefined): string | undefined {
  const { finality } = chain ?? {};
  return finality && "tag" in finality ? finality.tag : undefined;
}

async function finality(
  about: string,
  { chain, number }: { chain: ChainConfig | undefined; number: number },
  ask: () => Promise<unknown>,
): Promise<Finding> {
  const wanted = tagOf(chain);
  const parsed = blockAnswer.safeParse(await ask().catch(() => undefined));
  const tag = wanted ?? "finalized";
  if (parsed.success) {
    return ok(
      "finality",
      `${about.split(" ")[1]} calls blocks ${tag}; the newest is ${number - parsed.data.number} blocks back`,
    );
  }
  if (wanted === undefined) return ok("finality", `by depth; ${about.split(" ")[1]} calls no block finalized`);
  return problem(
    "finality",
    `${about.split(" ")[1]} calls no block ${wanted}`,
    "Give a depth in chain.finality in place of the tag, or leave it out.",
    "RPC_ERROR",
  );
}

function fees(about: string, baseFee: bigint | undefined, chain: ChainConfig | undefined): Finding | undefined {
  if (baseFee === undefined) {
    return problem(
      about,
      "its chain has no base fee",
      "Use a chain with EIP-1559: agents send nothing else.",
      "RPC_MALFORMED",
    );
  }
  const { feeCap } = feeCaps(chain);
  if (baseFee <= feeCap) return ok("fees", `base fee ${gwei(baseFee)}, at most ${gwei(feeCap)} is paid`);
  return warning(
    "fees",
    `the base fee is ${gwei(baseFee)}, above the cap of ${gwei(feeCap)}: nothing is sent until it falls`,
    "Raise chain.fees.maxFeePerGas if what waits is worth it.",
  );
}

function gwei(wei: bigint): string {
  return `${Number(Number(formatUnits(wei, "gwei")).toPrecision(3))} gwei`;
}

function reasonOf(error: unknown): string {
  const { reason } = (error as { details?: { reason?: unknown } }).details ?? {};
  return typeof reason === "string" ? reason : (error as Error).message;
}
