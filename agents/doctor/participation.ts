import { formatAmount, parseAmount } from "#sdk/amount.ts";
import { schemasInterface } from "#sdk/market-abi.ts";
import * as reads from "#sdk/reads.ts";
import { ROLES, rolesIn, type Role } from "#sdk/request-terms.ts";
import type { AgentConfig, ParticipantConfig } from "../config.ts";
import type { ParticipantJob } from "../config/participant.ts";
import { contextOf } from "../participant/request-agent.ts";
import { fromError, ok, problem, warning, type Finding } from "./finding.ts";
import { examineGas, type AccountPlace } from "./money.ts";

/** Whether a configuration is that of a participant in evaluated jobs. */
export function isParticipant(config: AgentConfig): config is ParticipantConfig {
  return "jobs" in config;
}

/** A node's place in the tree of a schema, as it is stored. */
interface Member {
  parent: string;
  roles: number;
  dropped: boolean;
}

/** Looks at what a participant in evaluated jobs has to put up, and at its place in the trees that it is configured for. */
export async function examineParticipation(
  config: ParticipantConfig,
  place: AccountPlace,
  { signal }: { signal: AbortSignal },
): Promise<Finding[]> {
  const findings = [await examineGas(place, { signal })];
  let context: ReturnType<typeof contextOf>;
  try {
    context = contextOf(place.deployment);
  } catch (error) {
    return [...findings, fromError("evaluated jobs", error, "Use another address book.")];
  }
  findings.push(await examineTokens(config, place, { requests: context.requests, signal }));
  if (config.jobs.length === 0) {
    findings.push(warning("jobs", "none are configured: it takes part in nothing", "Name some in jobs."));
  }
  for (const job of config.jobs) findings.push(await examineJob(job, place, { schemas: context.schemas, signal }));
  return findings;
}

/** Who evaluates or judges puts up a deposit; who works needs tokens only to challenge. */
async function examineTokens(
  config: ParticipantConfig,
  { rpc, deployment, address }: AccountPlace,
  { requests, signal }: { requests: string; signal: AbortSignal },
): Promise<Finding> {
  const { vault, token } = deployment;
  const [inWallet, inVault] = await Promise.all([
    reads.balanceOf(rpc, token.address, address, { signal }),
    reads.available(rpc, vault, requests, address, { signal }),
  ]);
  const format = (units: bigint): string => `${formatAmount(units, token.decimals)} ${token.symbol}`;
  const has = `${format(inWallet)} in the wallet, ${format(inVault)} free for deposits and fees`;
  const wanted = parseAmount(config.funds, token.decimals);
  const missing = wanted - inWallet - inVault;
  if (missing > 0n) {
    return warning("tokens", `${has}; funds are ${format(wanted)}`, `Send ${format(missing)} to ${address}.`);
  }
  const judges = config.jobs.some(({ roles }) => roles.some((role) => role !== "worker"));
  if (judges && inWallet + inVault === 0n) {
    const fix = `Send ${address} what its jobs take as deposit: without it evaluates and judges nothing.`;
    return warning("tokens", `${address} has no ${token.symbol}`, fix);
  }
  return ok("tokens", has);
}

async function examineJob(
  { schema, registrant, roles, parent: wanted }: ParticipantJob,
  { rpc, deployment, address }: AccountPlace,
  { schemas, signal }: { schemas: string; signal: AbortSignal },
): Promise<Finding> {
  const named = listed(roles);
  if (schema === undefined) return ok("job", `${named} of whatever ${registrant} registers`);
  const state = await reads.schemaState(rpc, schemas, schema, { signal });
  if (state.releases === 0) {
    const fix = "Give in jobs the id that registering it printed; jobs at surety console lists them.";
    return problem("job", `no job ${schema} is registered in ${deployment.schemas}`, fix, "SCHEMA_UNKNOWN");
  }
  const read = <T>(name: string): Promise<T> =>
    reads.read<T>(rpc, schemas, schemasInterface, name, [schema, address], { signal });
  const member = await read<Member>("memberOf");
  if (member.dropped) {
    const fix = "It gets no new work. Ask who dropped it, or take part with another account.";
    return warning("job", `${address} was dropped from job ${schema} by ${member.parent}`, fix);
  }
  const bits = roles.reduce((sum, role) => sum | ROLES[role], 0);
  const missing = bits & ~member.roles;
  if (missing === 0) return ok("job", `${named} of ${schema}`);
  const applied = await read<Omit<Member, "dropped">>("applicationOf");
  const parent = wanted ?? state.registrant;
  if ((applied.roles & missing) === missing) {
    const fix = `The agent of ${applied.parent} has to approve it: see that it runs, as admin of this job.`;
    return warning("job", `has asked ${applied.parent} to be ${named} of ${schema}`, fix);
  }
  const has = member.roles === 0 ? "no part" : listed(rolesIn(member.roles));
  const fix = `Start the agent: it asks ${parent} by itself, and shows what it can do.`;
  return warning("job", `is to be ${named} of ${schema}, and has there: ${has}`, fix);
}

function listed(roles: readonly Role[]): string {
  return roles.join(" and ");
}
