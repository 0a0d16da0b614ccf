import { Interface } from "ethers";
import { verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { schemasInterface } from "#sdk/market-abi.ts";
import * as reads from "#sdk/reads.ts";
import { parseWei } from "#sdk/wei.ts";
import { addressBook } from "./address-book.ts";
import { isCodeOf, readArtifact } from "./artifact.ts";
import type { Network } from "./network.ts";
import type { DeployParameters } from "./parameters.ts";

/** What all transactions of a deployment take, units of gas, with a quarter to spare. Tests hold it against the truth. */
export const DEPLOY_GAS = 43_000_000n;

/** One thing that was looked at. */
export interface Finding {
  /** Stable, in capitals; of a flaw the code of an error: `CHAIN_MISMATCH`. */
  code: string;
  /** `flaw`: do not go on. `note`: know it. */
  verdict: "good" | "note" | "flaw";
  text: string;
}

/** What {@link checkNetwork} looks at. */
export interface CheckRequest {
  network: Network;
  parameters: DeployParameters;
  rpc: JsonRpc;
  /** Who would deploy. Default: nobody's money is looked at. */
  deployer?: string;
  /** The address book of what is deployed. Default: nothing is yet. */
  deployment?: Deployment;
  signal?: AbortSignal;
}

/**
 * Code that creates nothing and returns what contracts see: the block's number, the hash of the one before, and whether
 * the chain has the instructions that the compiler uses (PUSH0, MCOPY). `NUMBER`, `BLOCKHASH(NUMBER - 1)`.
 */
const SIGHT = "0x435f525f5f5f5e600143034060205260405ff3";

/** EIP-2935's contract. */
const HISTORY = "0x0000F90827F1C53a10cb7A02335B175320002935";

/**
 * Looks at everything that can be told without sending anything: whether the chain is the one, whether the protocol can
 * work there, whether parameters suit it, whether the money suffices; and of what is deployed whether it is what was
 * compiled, with these parameters.
 *
 * @throws what the transport throws
 */
export async function checkNetwork(request: CheckRequest): Promise<Finding[]> {
  const { network, rpc, deployment, signal } = request;
  const chainId = Number(await rpc.request("eth_chainId", [], { signal }));
  if (chainId !== network.chainId) {
    return [flaw("CHAIN_MISMATCH", `the endpoint is on chain ${chainId}, ${network.title} is ${network.chainId}`)];
  }
  const chain = good("CHAIN", `${network.title}, chain ${chainId}`);
  const findings = [chain, ...(await checkSight(rpc, signal)), await checkHistory(rpc, signal), ...checkFit(request)];
  if (deployment) return [...findings, ...(await checkDeployment(request, deployment))];
  return [...findings, ...(await checkMoney(request))];
}

/** Whether contracts count blocks as the chain's clients do: the agents compute draws from the hashes that clients see. */
async function checkSight(rpc: JsonRpc, signal: AbortSignal | undefined): Promise<Finding[]> {
  const block = (await rpc.request("eth_getBlockByNumber", ["latest", false], { signal })) as { number: string };
  let sight: string;
  try {
    sight = (await rpc.request("eth_call", [{ data: SIGHT }, block.number], { signal })) as string;
  } catch (error) {
    signal?.throwIfAborted();
    const reason = error instanceof Error ? error.message : String(error);
    return [flaw("CHAIN_UNSUITABLE", `the chain does not run what the contracts are compiled to: ${reason}`)];
  }
  const seen = Number(sight.slice(0, 66));
  // Some nodes run a call as if in the next block.
  if (seen !== Number(block.number) && seen !== Number(block.number) + 1) {
    return [
      flaw(
        "CHAIN_UNSUITABLE",
        `contracts see block ${seen} where clients see ${Number(block.number)}: draws would differ`,
      ),
    ];
  }
  const before = `0x${(seen - 1).toString(16)}`;
  const { hash } = (await rpc.request("eth_getBlockByNumber", [before, false], { signal })) as { hash: string };
  const seenHash = `0x${sight.slice(66)}`;
  if (seen > 1 && seenHash !== hash) {
    return [
      flaw("CHAIN_UNSUITABLE", `contracts see another hash of block ${seen - 1} than clients: draws would differ`),
    ];
  }
  return [good("BLOCKS", "contracts see the blocks that clients see")];
}

async function checkHistory(rpc: JsonRpc, signal: AbortSignal | undefined): Promise<Finding> {
  const code = (await rpc.request("eth_getCode", [HISTORY, "latest"], { signal })) as string;
  if (code.length > 2) return good("HISTORY", "contracts can read 8191 block hashes (EIP-2935)");
  return note(
    "HISTORY_SHORT",
    "contracts can read 256 block hashes only: jobs need short windows, see docs/networks.md",
  );
}

/** Whether parameters suit the pace and the producers of the chain. */
function checkFit({ network, parameters }: CheckRequest): Finding[] {
  const findings: Finding[] = [];
  const wait = Math.ceil(parameters.finalDepth * network.blockSeconds);
  if (parameters.drawDelay < wait) {
    const text = `${parameters.finalDepth} blocks take ${wait} s here, drawDelay is ${parameters.drawDelay} s`;
    findings.push(flaw("PARAMETERS_UNFIT", text));
  }
  if ("depth" in network.finality && network.finality.depth < parameters.finalDepth) {
    const text = `agents would wait for ${network.finality.depth} blocks, the market waits for ${parameters.finalDepth}`;
    findings.push(flaw("PARAMETERS_UNFIT", text));
  }
  if (findings.length === 0) findings.push(good("PARAMETERS", `parameters ${network.parameters} suit the chain`));
  if (network.producers === "one") {
    findings.push(note("ONE_PRODUCER", "who orders this chain's transactions can choose what draws come to"));
  }
  return findings;
}

async function checkMoney({ network, rpc, deployer, signal }: CheckRequest): Promise<Finding[]> {
  if (deployer === undefined) return [note("DEPLOYER_UNKNOWN", "no key was given: nobody's money was looked at")];
  const block = (await rpc.request("eth_getBlockByNumber", ["latest", false], { signal })) as {
    baseFeePerGas?: string;
  };
  const baseFee = BigInt(block.baseFeePerGas ?? "0x0");
  const cap = parseWei(network.fees.maxFeePerGas) as bigint;
  if (baseFee > cap) return [flaw("FEES_ABOVE_CAP", `the base fee is ${baseFee} wei, the network's cap ${cap}`)];
  const fee = 2n * baseFee < cap ? 2n * baseFee : cap;
  const needed = DEPLOY_GAS * (fee > 0n ? fee : 1n);
  const balance = BigInt((await rpc.request("eth_getBalance", [deployer, "latest"], { signal })) as string);
  const text = `${deployer} has ${balance} wei, a deployment takes up to ${needed}`;
  return [balance < needed ? flaw("SENDER_UNFUNDED", text) : good("MONEY", text)];
}

const parts = new Interface(
  ["panels", "disputes", "juries", "verdicts"].map((name) => `function ${name}() view returns (address)`),
);

async function checkDeployment(
  { network, parameters, rpc, signal }: CheckRequest,
  deployment: Deployment,
): Promise<Finding[]> {
  try {
    await verifyDeployment(rpc, deployment, { signal });
  } catch (error) {
    if (!(error instanceof SuretyError) || error.kind === "retryable") throw error;
    return [flaw(error.code, error.message)];
  }
  const { vault, registry, market, panels, schemas, requests, token } = deployment;
  const findings = [good("DEPLOYMENT", "the contracts are there, with the address book's parameters")];
  const next = (from: string, name: string): Promise<string> =>
    reads.read(rpc, from, parts, name, [], { signal }) as Promise<string>;
  const places: [contract: string, find: () => Promise<string>][] = [
    ["Vault", async () => vault],
    ["Registry", async () => registry],
    ["Market", async () => market],
    ["MarketPanels", async () => panels],
    ["MarketDisputes", () => next(panels, "disputes")],
    ["MarketJuries", async () => next(await next(panels, "disputes"), "juries")],
    ["MarketVerdicts", async () => next(await next(await next(panels, "disputes"), "juries"), "verdicts")],
  ];
  if (schemas !== undefined && requests !== undefined) {
    places.push(["Schemas", async () => schemas], ["Requests", async () => requests]);
  }
  if ("supply" in parameters.token) places.unshift(["SuretyToken", async () => token.address]);
  for (const [contract, find] of places) {
    let address: string;
    try {
      address = await find();
    } catch {
      signal?.throwIfAborted();
      // What leads there is foreign, and was told of.
      break;
    }
    const code = (await rpc.request("eth_getCode", [address, "latest"], { signal })) as string;
    const isOurs = isCodeOf(await readArtifact(contract), code);
    findings.push(
      isOurs
        ? good("CODE", `${contract} at ${address} is what was compiled here`)
        : flaw("CODE_FOREIGN", `${contract} at ${address} is not what was compiled here`),
    );
  }
  return [...findings, ...(await checkParameters({ network, parameters, rpc }, deployment))];
}

/** Whether an address book says what the network's parameters do. */
async function checkParameters(
  { network, parameters, rpc }: Pick<CheckRequest, "network" | "parameters" | "rpc">,
  deployment: Deployment,
): Promise<Finding[]> {
  const { token, startBlock, chainId } = deployment;
  const expected = await addressBook(rpc, { ...deployment, token: token.address }, { chainId, startBlock, parameters });
  const differing = Object.entries(expected.parameters).filter(
    ([name, value]) => deployment.parameters[name as keyof Deployment["parameters"]] !== value,
  );
  // Some were deployed before there was the class `container`.
  const isOlder = !deployment.classes.some(({ name }) => name === "container");
  for (const { name, id } of expected.classes) {
    if (isOlder && name === "container") continue;
    if (!deployment.classes.some((known) => known.id === id)) differing.push([`class ${name}`, id]);
  }
  if ("address" in parameters.token && parameters.token.address !== token.address) {
    differing.push(["token", parameters.token.address]);
  }
  const findings: Finding[] = [];
  if (isOlder) {
    const text = "the address book has no class container; deploying again with the same journal makes it";
    findings.push(note("CLASS_MISSING", text));
  }
  if (deployment.schemas === undefined) {
    const text =
      "the address book has no contracts of evaluated jobs; deploying again with the same journal makes them";
    findings.push(note("SCHEMAS_MISSING", text));
  } else {
    const interval = await reads.read(rpc, deployment.schemas, schemasInterface, "dropInterval", []);
    if (Number(interval) !== parameters.dropInterval) differing.push(["dropInterval", parameters.dropInterval]);
  }
  if (differing.length === 0) return [...findings, good("SAME_PARAMETERS", `they are those of ${network.parameters}`)];
  const names = differing.map(([name]) => name).join(", ");
  const text = `it was deployed with other parameters than ${network.parameters}: ${names}`;
  return [...findings, flaw("DEPLOYMENT_MISMATCH", text)];
}

function good(code: string, text: string): Finding {
  return { code, verdict: "good", text };
}

function note(code: string, text: string): Finding {
  return { code, verdict: "note", text };
}

function flaw(code: string, text: string): Finding {
  return { code, verdict: "flaw", text };
}
