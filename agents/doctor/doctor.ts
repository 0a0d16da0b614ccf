import type { Deployment } from "#sdk/deployment.ts";
import { HttpRpc } from "../chain/rpc.ts";
import { readAgentConfig, type AgentConfig } from "../config.ts";
import type { ExecutorConfig } from "../config/executor.ts";
import type { ServiceConfig } from "../config/service.ts";
import { heldBy, keyLockFile, sharedLockDirectory } from "../journal/lock.ts";
import { readDeployment } from "../chain-agent.ts";
import { examineHome, examineKey, type HomeState } from "./account.ts";
import { examineChain } from "./chain.ts";
import { examineEngine } from "./engine.ts";
import { fromError, problem, warning, type Finding } from "./finding.ts";
import { examineHost } from "./host.ts";
import { examineContracts, examineMembership, examineMoney, isCompute } from "./market.ts";
import type { AccountPlace } from "./money.ts";
import { examineParticipation, isParticipant } from "./participation.ts";
import { examinePort } from "./ports.ts";
import { examineStorage } from "./storage.ts";

/** What was looked at together. */
export interface Area {
  name: "configuration" | "host" | "home" | "key" | "chain" | "market" | "storage" | "containers";
  findings: Finding[];
  /** Why it was not looked at, where it was not. */
  skipped?: string;
}

/** What {@link examine} is told. */
export interface ExamineOptions {
  /** Path of an agent's configuration; without it only the host is looked at. */
  config?: string | undefined;
  signal: AbortSignal;
}

/**
 * Looks at all that an agent needs, and changes nothing. Whatever is wrong is a finding.
 *
 * @throws the signal's reason once it aborts
 */
export async function examine({ config: path, signal }: ExamineOptions): Promise<Area[]> {
  let config: (AgentConfig & Extras) | undefined;
  const configuration: Finding[] = [];
  if (path === undefined) {
    configuration.push(
      warning(
        "none given",
        "only the host was looked at",
        "Write one (docs/compute-agent.md, requester-agent.md, participant.md), and give it: surety doctor --config node.yaml",
      ),
    );
  } else {
    try {
      config = await readAgentConfig(path);
      configuration.push({ about: path, says: `of a ${kindOf(config)}`, verdict: "ok" });
    } catch (error) {
      configuration.push(fromError(path, error, "Correct it."));
    }
  }
  const host = { home: config?.home, workers: config?.workers ?? 1 };
  const areas: Area[] = [
    { name: "configuration", findings: configuration },
    { name: "host", findings: await examineHost(host) },
    ...(config ? await examineAgent(config, signal) : []),
    { name: "containers", findings: await examineContainers(config?.executor, signal) },
  ];
  signal.throwIfAborted();
  return areas;
}

/** Looks at what runs images; where nothing was configured to, at the engine of this host. */
async function examineContainers(executor: ExecutorConfig | undefined, signal: AbortSignal): Promise<Finding[]> {
  if (executor?.kind !== "kubernetes") return examineEngine(executor?.kind === "docker" ? executor : undefined);
  // Its client is large, and few have a cluster.
  const { examineCluster } = await import("./cluster.ts");
  return examineCluster(executor, signal);
}

/** Parts that not every agent's configuration has. */
interface Extras {
  workers?: number;
  executor?: ExecutorConfig;
  service?: ServiceConfig;
}

async function examineAgent(config: AgentConfig & Extras, signal: AbortSignal): Promise<Area[]> {
  const home = await examineHome(config.home);
  const key = await examineKey(config.key, { signal });
  const { deployment, finding } = await addressBook(config);
  const chain = await examineChain(config.rpc, { chainId: deployment?.chainId, chain: config.chain }, { signal });
  const areas: Area[] = [
    { name: "home", findings: [...home.findings, ...(await examinePorts(config, home))] },
    { name: "key", findings: key.findings },
    { name: "chain", findings: chain.findings },
  ];
  const market: Area = { name: "market", findings: [] };
  if (finding) market.findings.push(finding);
  else if (chain.usable.length === 0) market.skipped = "no endpoint of the chain can be used";
  else if (deployment) {
    const rpc = new HttpRpc({ urls: chain.usable, retries: 0 });
    const place = key.address === undefined ? undefined : { rpc, deployment, address: key.address };
    market.findings.push(...(await examineMarket(config, { rpc, deployment, place, home }, signal)));
    if (!place) market.skipped = "of the account nothing, since its key is not known";
  }
  areas.push(market, { name: "storage", findings: await examineStorage(config.storage, { signal }) });
  return areas;
}

async function addressBook({ deployment }: AgentConfig): Promise<{ deployment?: Deployment; finding?: Finding }> {
  try {
    return { deployment: await readDeployment(deployment) };
  } catch (error) {
    return { finding: fromError("address book", error, "Give in deployment the file that surety deploy wrote.") };
  }
}

async function examineMarket(
  config: AgentConfig,
  {
    rpc,
    deployment,
    place,
    home,
  }: { rpc: HttpRpc; deployment: Deployment; place?: AccountPlace | undefined; home: HomeState },
  signal: AbortSignal,
): Promise<Finding[]> {
  const contracts = await examineContracts(rpc, deployment, { signal });
  if (contracts.verdict !== "ok" || !place) return [contracts];
  try {
    return [
      contracts,
      ...(await otherAgent(place, home, signal)),
      ...(await examineAccount(config, place, { signal })),
    ];
  } catch (error) {
    signal.throwIfAborted();
    return [contracts, fromError("account", error, "See that the endpoint answers, and try again.")];
  }
}

function kindOf(config: AgentConfig): string {
  if (isCompute(config)) return "compute node";
  return isParticipant(config) ? "participant in evaluated jobs" : "requester";
}

/** Looks at what an agent's account has and is. */
async function examineAccount(
  config: AgentConfig,
  place: AccountPlace,
  options: { signal: AbortSignal },
): Promise<Finding[]> {
  if (isParticipant(config)) return examineParticipation(config, place, options);
  const money = await examineMoney(config, place, options);
  return isCompute(config) ? [...money, ...(await examineMembership(config, place, options))] : money;
}

/** Two agents that send with one key take each other's nonces. */
async function otherAgent(
  { rpc, deployment, address }: AccountPlace,
  { holder }: HomeState,
  signal: AbortSignal,
): Promise<Finding[]> {
  const genesis = (await rpc.request("eth_getBlockByNumber", ["0x0", false], { signal })) as { hash?: string } | null;
  const chain = `${deployment.chainId}:${genesis?.hash ?? "none"}`;
  const other = heldBy(keyLockFile(sharedLockDirectory, chain, address));
  if (other === undefined || holder !== undefined) return [];
  return [
    problem(
      "account",
      `process ${other || "unknown"} works with ${address} from another home`,
      "Stop it, or give this agent a key of its own.",
      "JOURNAL_LOCKED",
    ),
  ];
}

async function examinePorts(config: AgentConfig & Extras, home: HomeState): Promise<Finding[]> {
  const places = [
    { listen: config.monitoring?.listen, key: "monitoring.listen" },
    { listen: config.service?.listen, key: "service.listen" },
  ];
  const found = await Promise.all(
    places.map(async ({ listen, key }) => (listen === undefined ? undefined : examinePort({ listen, key }, home))),
  );
  return found.filter((finding) => finding !== undefined);
}
