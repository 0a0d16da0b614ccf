import { formatAmount, parseAmount } from "#sdk/amount.ts";
import { verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import * as reads from "#sdk/reads.ts";
import type { AgentConfig, ComputeConfig } from "../config.ts";
import { fromError, ok, problem, warning, type Finding } from "./finding.ts";
import { examineGas, type AccountPlace } from "./money.ts";

const FIX_BOOK = "Use the address book that the deployment of these contracts wrote.";

/** Whether a configuration is a compute node's. */
export function isCompute(config: AgentConfig): config is ComputeConfig {
  return "stake" in config;
}

/** Whether the contracts are where the address book says, and are what it says. */
export async function examineContracts(
  rpc: JsonRpc,
  deployment: Deployment,
  { signal }: { signal: AbortSignal },
): Promise<Finding> {
  try {
    await verifyDeployment(rpc, deployment, { signal });
    const { market, classes } = deployment;
    return ok("contracts", `market ${market}, classes ${classes.map(({ name }) => name).join(", ") || "none"}`);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SuretyError && error.code === "RPC_ERROR") {
      const says = `what stands at the addresses of the address book is something else: ${error.message}`;
      return problem("contracts", says, FIX_BOOK, "DEPLOYMENT_MISMATCH");
    }
    return fromError("contracts", error, FIX_BOOK);
  }
}

/** Looks at what an account has: for gas, at stake, in tokens. */
export async function examineMoney(
  config: AgentConfig,
  { rpc, deployment, address }: AccountPlace,
  { signal }: { signal: AbortSignal },
): Promise<Finding[]> {
  const { vault, market, registry, token } = deployment;
  const [gas, inWallet, inMarket, inRegistry] = await Promise.all([
    examineGas({ rpc, address }, { signal }),
    reads.balanceOf(rpc, token.address, address, { signal }),
    reads.available(rpc, vault, market, address, { signal }),
    reads.available(rpc, vault, registry, address, { signal }),
  ]);
  const format = (units: bigint): string => `${formatAmount(units, token.decimals)} ${token.symbol}`;
  const findings = [gas];
  if (!isCompute(config)) {
    const all = inWallet + inMarket;
    findings.push(
      all > 0n
        ? ok("tokens", `${format(inWallet)} in the wallet, ${format(inMarket)} in the market`)
        : warning("tokens", `${address} has no ${token.symbol}`, `Send it some: nothing can be posted without.`),
    );
    return findings;
  }
  const { stake, committed, backing } = await reads.nodeState(rpc, registry, market, address, { signal });
  const wanted = parseAmount(config.stake, token.decimals);
  const could = stake + inRegistry + inWallet;
  const least = await leastFor(config, { rpc, deployment, address }, signal);
  const has = `${format(stake)} at stake, ${format(inWallet)} in the wallet; ${format(wanted)} are configured`;
  const missing = wanted - could;
  const send = `Send ${format(missing > 0n ? missing : 0n)} to ${address}, or lower stake.`;
  if (stake < least && could < least) {
    findings.push(
      problem("stake", `${has}, and a place in the pool takes ${format(least)}`, send, "STAKE_UNAFFORDABLE"),
    );
  } else if (could < wanted) findings.push(warning("stake", has, send));
  else {
    const free = stake - committed - backing;
    const then = stake < wanted ? "the agent stakes the rest" : `${format(free > 0n ? free : 0n)} free for more work`;
    findings.push(ok("stake", `${has}; ${then}`));
  }
  return findings;
}

/** What a first place in the pool takes, base units. */
async function leastFor(
  { class: id }: ComputeConfig,
  { rpc, deployment }: AccountPlace,
  signal: AbortSignal,
): Promise<bigint> {
  const { slotStake } = await reads.classState(rpc, deployment.registry, deployment.market, id, { signal });
  const { minStake } = deployment.parameters;
  return slotStake > minStake ? slotStake : minStake;
}

/** Looks at a compute node's class and its places in the pool. */
export async function examineMembership(
  { class: id, slots, executor }: ComputeConfig & { executor?: { kind: string } },
  { rpc, deployment, address }: AccountPlace,
  { signal }: { signal: AbortSignal },
): Promise<Finding[]> {
  const { registry, market, classes } = deployment;
  const state = await reads.classState(rpc, registry, market, id, { signal });
  const name = classes.find((each) => each.id === id)?.name ?? id;
  if (state.runtime === "none") {
    const known = classes.map((each) => `${each.name} (${each.id})`).join(", ");
    return [problem("class", `the market has no class ${id}`, `Give in class one of: ${known}.`, "CLASS_UNKNOWN")];
  }
  const kind = executor?.kind ?? "wasm";
  const findings: Finding[] = [];
  if ((state.runtime === "wasm") !== (kind === "wasm")) {
    findings.push(
      problem(
        "class",
        `class ${name} runs ${state.runtime} programs, the node is configured for ${kind}`,
        state.runtime === "wasm"
          ? "Set executor: { kind: wasm }, or take another class."
          : "Set executor to kind: docker or kind: kubernetes, or take another class.",
        "EXECUTOR_UNSUITABLE",
      ),
    );
  }
  const { backing } = await reads.nodeState(rpc, registry, market, address, { signal });
  const held = state.slotStake === 0n ? 0n : backing / state.slotStake;
  const says = `${held} of ${slots} places of class ${name}, whose pool has ${state.nodes} ${state.nodes === 1 ? "node" : "nodes"}`;
  findings.push(
    held > 0n
      ? ok("membership", says)
      : warning(
          "membership",
          `${says}: it is drawn for nothing and claims nothing`,
          "Start the agent: it stakes and joins by itself.",
        ),
  );
  return findings;
}
