import { createRequire } from "node:module";
import {
  concat,
  Contract,
  ContractFactory,
  getBytes,
  id as keccakOf,
  Interface,
  solidityPackedKeccak256,
  toUtf8Bytes,
  ZeroAddress,
  ZeroHash,
  type BytesLike,
  type InterfaceAbi,
} from "ethers";

import type { Actor, Deployment } from "../../test/contracts/market-fixture.ts";

/*
 * iExec's Proof of Contribution, deployed from the artifacts of its npm package beside a market, and its life from the
 * matching of orders to the last payment. Only what must be is done, and no price is zero.
 */

interface Artifact {
  contractName: string;
  abi: InterfaceAbi;
  bytecode: string;
  linkReferences: Record<string, Record<string, { start: number }[]>>;
}

const require = createRequire(import.meta.url);
const artifactOf = (path: string): Artifact =>
  require(`@iexec/poco/artifacts/contracts/${path}.sol/${path.split("/").at(-1)!}.json`) as Artifact;

/** Version of the package that is deployed. */
export const PEER_VERSION = (require("@iexec/poco/package.json") as { version: string }).version;

const FACETS = [
  "facets/IexecConfigurationFacet",
  "facets/IexecCategoryManagerFacet",
  "facets/IexecEscrowTokenFacet",
  "facets/IexecPoco1Facet",
  "facets/IexecPoco2Facet",
  "facets/IexecPocoBoostFacet",
];

const APP_PRICE = 1_000n;
const POOL_PRICE = 100_000n;
/** Of everybody: enough for every stake and price of a run. */
const FUNDS = 10n ** 9n;
/** Seconds that a category gives a task's steps, several times over. */
const CLOCK = 86_400n;
/** What iExec's workers post: where the result lies. */
const RESULTS = toUtf8Bytes('{"storage":"ipfs","location":"/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"}');
const PARAMS = '{"iexec_args":"1","iexec_result_storage_provider":"ipfs"}';

/** How the peer runs a task. */
export type PeerWay = "classic, 1 worker" | "classic, 3 workers" | "contributeAndFinalize" | "Boost";

export const PEER_WAYS: readonly PeerWay[] = [
  "classic, 1 worker",
  "classic, 3 workers",
  "contributeAndFinalize",
  "Boost",
];

/** The peer on a chain, with an app, a worker pool, workers and a requester that have all worked before. */
export interface Peer {
  hub: Contract;
  chainId: bigint;
  app: string;
  pool: string;
  appOwner: Actor;
  scheduler: Actor;
  requester: Actor;
  workers: Actor[];
  /** Requests made so far, for salts. */
  requests: number;
}

/**
 * Deploys the peer on the chain of a market, with the market's token, and brings it into use: everybody has worked once,
 * the app's and the pool's orders have been matched before, and another deal is always open. All of that makes what is
 * measured cheaper.
 */
export async function deployPeer(d: Deployment): Promise<Peer> {
  const { admin } = d;
  // Nobody calls the library, and ethers cannot read its interface.
  const orderLibrary = await create(admin, { ...artifactOf("libs/IexecLibOrders_v5"), abi: [] });
  const facets = [];
  for (const path of FACETS) {
    const artifact = artifactOf(path);
    facets.push({ contract: await create(admin, artifact, [], orderLibrary), abi: new Interface(artifact.abi) });
  }
  // The facet that tells who owns the hub is not in the package. This one returns the address and can do nothing else.
  const owner = await create(admin, {
    contractName: "Owner",
    abi: ["function owner() view returns (address)"],
    bytecode: ownerCode(admin.address),
    linkReferences: {},
  });
  const selectors = new Set<string>();
  const cut = [...facets, { contract: owner, abi: owner.interface }].map(({ contract, abi }) => {
    const own = abi.fragments
      .filter((fragment) => fragment.type === "function")
      .map((fragment) => abi.getFunction(fragment.format())!.selector)
      .filter((selector) => !selectors.has(selector));
    for (const selector of own) selectors.add(selector);
    return { facetAddress: contract.target, action: 0, functionSelectors: own };
  });
  const diamond = await create(admin, artifactOf("Diamond"), [
    cut,
    { owner: admin.address, init: ZeroAddress, initCalldata: "0x" },
  ]);
  const hub = new Contract(
    diamond.target,
    [...new Map(facets.flatMap(({ abi }) => abi.fragments).map((each) => [each.format(), each])).values()],
    admin,
  );
  const registries = [];
  for (const name of ["apps/App", "datasets/Dataset", "workerpools/Workerpool"]) {
    const registry = await create(admin, artifactOf(`registries/${name}Registry`));
    await call(registry, "initialize", ZeroAddress);
    registries.push(registry);
  }
  const [apps, datasets, pools] = registries as [Contract, Contract, Contract];
  const token = await d.token.getAddress();
  await call(hub, "configure", token, "Staked", "S", 9, apps.target, datasets.target, pools.target, ZeroAddress);
  await call(hub, "createCategory", "XS", "{}", CLOCK);

  const [appOwner, scheduler, ...workers] = d.nodes as [Actor, Actor, ...Actor[]];
  const appArgs = [appOwner.address, "app", "DOCKER", "0x00", keccakOf("app"), "0x"];
  const app = (await apps.getFunction("predictApp").staticCall(...appArgs)) as string;
  await call(apps, "createApp", ...appArgs);
  const poolArgs = [scheduler.address, "pool"];
  const pool = (await pools.getFunction("predictWorkerpool").staticCall(...poolArgs)) as string;
  await call(pools, "createWorkerpool", ...poolArgs);

  const everybody = [d.requester, appOwner, scheduler, ...workers];
  await (await d.token.connect(admin).approve(hub.target, FUNDS * BigInt(everybody.length))).wait();
  for (const { address } of everybody) await call(hub, "depositFor", FUNDS, address);
  const peer: Peer = {
    hub,
    chainId: d.chainId,
    app,
    pool,
    appOwner,
    scheduler,
    requester: d.requester,
    workers,
    requests: 0,
  };
  await runPeer(peer, "classic, 3 workers", Math.floor(workers.length / 3));
  for (const way of PEER_WAYS) await match(peer, way, 1);
  return peer;
}

/** The peer's whole life for as many tasks as `volume`: one deal, and what each task of it takes. */
export async function runPeer(peer: Peer, way: PeerWay, volume: number): Promise<void> {
  const { hub } = peer;
  const deal = await match(peer, way, volume);
  const all = Array.from({ length: volume }, (_, index) => index);
  if (way === "Boost") {
    for (const index of all) {
      const [worker] = workersOf(peer, index, 1);
      const args = [deal, index, RESULTS, "0x", await authorise(peer, worker!, taskOf(deal, index)), ZeroAddress, "0x"];
      await call(hub.connect(worker!) as Contract, "pushResultBoost", ...args);
    }
    return;
  }
  if (volume === 1) await call(hub.connect(peer.scheduler) as Contract, "initialize", deal, 0);
  else await call(hub.connect(peer.scheduler) as Contract, "initializeArray", Array(volume).fill(deal), all);
  for (const index of all) {
    const task = taskOf(deal, index);
    const digest = keccakOf(`result ${index}`);
    if (way === "contributeAndFinalize") {
      const [worker] = workersOf(peer, index, 1);
      const sign = await authorise(peer, worker!, task);
      const own = hub.connect(worker!) as Contract;
      await call(own, "contributeAndFinalize", task, digest, RESULTS, "0x", ZeroAddress, "0x", sign);
      continue;
    }
    const workers = workersOf(peer, index, way === "classic, 3 workers" ? 3 : 1);
    for (const worker of workers) {
      const hash = solidityPackedKeccak256(["bytes32", "bytes32"], [task, digest]);
      const seal = solidityPackedKeccak256(["address", "bytes32", "bytes32"], [worker.address, task, digest]);
      const sign = await authorise(peer, worker, task);
      await call(hub.connect(worker) as Contract, "contribute", task, hash, seal, ZeroAddress, "0x", sign);
    }
    for (const worker of workers) await call(hub.connect(worker) as Contract, "reveal", task, digest);
    await call(hub.connect(peer.scheduler) as Contract, "finalize", task, RESULTS, "0x");
  }
}

/** Matches the app's and the pool's standing orders with a new request; returns the deal's id. */
async function match(peer: Peer, way: PeerWay, volume: number): Promise<string> {
  const { hub, app, pool, requester } = peer;
  peer.requests += 1;
  // Nobody has a score, so that each contribution doubles its group's weight: three are needed from a trust of five.
  const trust = { "classic, 1 worker": 1, "classic, 3 workers": 8, contributeAndFinalize: 1, Boost: 0 }[way];
  const standing = { volume: 1_000_000, tag: ZeroHash, salt: keccakOf("standing") };
  const anybody = {
    apprestrict: ZeroAddress,
    datasetrestrict: ZeroAddress,
    workerpoolrestrict: ZeroAddress,
    requesterrestrict: ZeroAddress,
  };
  const appOrder = { app, appprice: APP_PRICE, ...standing, ...anybody };
  const noDataset = { dataset: ZeroAddress, datasetprice: 0, ...standing, volume: 0, ...anybody, sign: "0x" };
  const poolOrder = { workerpool: pool, workerpoolprice: POOL_PRICE, ...standing, category: 0, trust, ...anybody };
  const request = {
    app,
    appmaxprice: APP_PRICE,
    dataset: ZeroAddress,
    datasetmaxprice: 0,
    workerpool: pool,
    workerpoolmaxprice: POOL_PRICE,
    requester: requester.address,
    volume,
    tag: ZeroHash,
    category: 0,
    trust,
    beneficiary: requester.address,
    callback: ZeroAddress,
    params: PARAMS,
    salt: keccakOf(`request ${peer.requests}`),
  };
  const sign = async (signer: Actor, name: keyof typeof ORDER_TYPES, order: object): Promise<object> => {
    const fields = fieldsOf(ORDER_TYPES[name]);
    const signed = Object.fromEntries(
      Object.entries(order).filter(([key]) => fields.some((each) => each.name === key)),
    );
    const domain = {
      name: "iExecODB",
      version: "5.0.0",
      chainId: peer.chainId,
      verifyingContract: hub.target as string,
    };
    return { ...signed, sign: await signer.signTypedData(domain, { [name]: fields }, signed) };
  };
  const receipt = await call(
    hub.connect(requester) as Contract,
    way === "Boost" ? "matchOrdersBoost" : "matchOrders",
    await sign(peer.appOwner, "AppOrder", appOrder),
    noDataset,
    await sign(peer.scheduler, "WorkerpoolOrder", poolOrder),
    await sign(requester, "RequestOrder", request),
  );
  const matched = receipt.logs
    .map((log) => hub.interface.parseLog(log))
    .find((event) => event?.name === "OrdersMatched");
  if (!matched) throw new Error("the orders were not matched");
  return matched.args[0] as string;
}

/** In turn, so that nobody's score ever rises so far that fewer contributions would do. */
function workersOf({ workers }: Peer, task: number, count: number): Actor[] {
  const groups = Math.floor(workers.length / 3);
  const first = (task % groups) * 3;
  return workers.slice(first, first + count);
}

function taskOf(deal: string, index: number): string {
  return solidityPackedKeccak256(["bytes32", "uint256"], [deal, index]);
}

/** The scheduler's leave to contribute. */
async function authorise({ scheduler }: Peer, worker: Actor, task: string): Promise<string> {
  const hash = solidityPackedKeccak256(["address", "bytes32", "address"], [worker.address, task, ZeroAddress]);
  return await scheduler.signMessage(getBytes(hash));
}

async function call(contract: Contract, method: string, ...args: unknown[]) {
  const receipt = await (await contract.getFunction(method).send(...args)).wait();
  if (receipt === null) throw new Error(`${method} was not mined`);
  return receipt;
}

async function create(by: Actor, artifact: Artifact, args: unknown[] = [], library?: Contract): Promise<Contract> {
  const code = library ? linked(artifact, library.target as string) : artifact.bytecode;
  const contract = await new ContractFactory(artifact.abi, code, by).deploy(...args);
  await contract.waitForDeployment();
  return contract as Contract;
}

/** Bytecode in which the address of its one library stands where it must. */
function linked({ bytecode, linkReferences }: Artifact, library: string): string {
  const digits = library.slice(2).toLowerCase();
  let code = bytecode;
  for (const { start } of Object.values(linkReferences).flatMap((file) => Object.values(file).flat())) {
    const at = 2 + 2 * start;
    code = code.slice(0, at) + digits + code.slice(at + digits.length);
  }
  return code;
}

/** Creation code of a contract that answers every call with an address. */
function ownerCode(owner: string): string {
  // PUSH20 owner, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, RETURN
  const runtime: BytesLike = concat(["0x73", owner, "0x60005260206000f3"]);
  const size = getBytes(runtime).length;
  // PUSH1 size, DUP1, PUSH1 9, PUSH0, CODECOPY, PUSH0, RETURN
  return concat(["0x60", new Uint8Array([size]), "0x8060095f395ff3", runtime]);
}

/** EIP-712 types, as `libs/IexecLibOrders_v5.sol` has them. */
const ORDER_TYPES = {
  AppOrder:
    "address app,uint256 appprice,uint256 volume,bytes32 tag,address datasetrestrict,address workerpoolrestrict,address requesterrestrict,bytes32 salt",
  WorkerpoolOrder:
    "address workerpool,uint256 workerpoolprice,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address apprestrict,address datasetrestrict,address requesterrestrict,bytes32 salt",
  RequestOrder:
    "address app,uint256 appmaxprice,address dataset,uint256 datasetmaxprice,address workerpool,uint256 workerpoolmaxprice,address requester,uint256 volume,bytes32 tag,uint256 category,uint256 trust,address beneficiary,address callback,string params,bytes32 salt",
};

function fieldsOf(types: string): { name: string; type: string }[] {
  return types.split(",").map((field) => {
    const [type = "", name = ""] = field.split(" ");
    return { type, name };
  });
}
