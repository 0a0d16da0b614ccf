import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import { AbiCoder, id as keccakOf, keccak256, ZeroHash } from "ethers";

const abi = AbiCoder.defaultAbiCoder();
const LEAF = ["uint256", "address", "bytes32", "uint256", "address", "bytes32", "bytes32"];

export interface Opening {
  task: number;
  digest: string;
  salt: string;
}

/** An opening and the way from it to the root that its member committed to. */
export interface Shown {
  opening: Opening;
  proof: string[];
}

/** The word of a member that commits to no digest at all. */
export const NOTHING = "nothing";

/** What a task's output root is in the eyes of whoever computed it as `told`; the empty word is the truth. */
export function outputOf(task: number, told = ""): string {
  return keccakOf(`output of ${task} ${told}`);
}

/** What the members of a batch's panels commit to: the truth, unless they lie. Written from docs/protocol.md. */
export class Results {
  readonly #chainId: bigint;
  readonly #market: string;
  readonly #batch: string;
  readonly #told = new Map<string, string>();
  readonly #trees = new Map<string, { tree: StandardMerkleTree<(string | number | bigint)[]>; rows: Opening[] }>();

  constructor(chainId: bigint, market: string, batch: string) {
    this.#chainId = chainId;
    this.#market = market;
    this.#batch = batch;
  }

  /** From now on `node` computes `told` instead of the truth; who says the same word colludes. */
  lie(node: string, told: string): void {
    this.#told.set(node, told);
  }

  toldBy(node: string): string {
    return this.#told.get(node) ?? "";
  }

  /** What is compared between members: H(H(chain, market, batch), task, output). */
  digestOf(task: number, told = ""): string {
    if (told === NOTHING) return ZeroHash;
    const place = abi.encode(["uint256", "address", "bytes32"], [this.#chainId, this.#market, this.#batch]);
    return keccak256(abi.encode(["bytes32", "uint256", "bytes32"], [keccak256(place), task, outputOf(task, told)]));
  }

  /** Commits `node` to its results of `tasks`; returns the root. */
  commit(assignment: number, node: string, tasks: number[]): string {
    const rows = tasks.map((task) => ({
      task,
      digest: this.digestOf(task, this.toldBy(node)),
      salt: keccakOf(`salt ${assignment} ${node} ${task}`),
    }));
    const tree = StandardMerkleTree.of(
      rows.map(({ task, digest, salt }) => [this.#chainId, this.#market, this.#batch, task, node, digest, salt]),
      LEAF,
    );
    this.#trees.set(`${assignment} ${node}`, { tree, rows });
    return tree.root;
  }

  /** What `node` would show of `task`. */
  show(assignment: number, node: string, task: number): Shown {
    const committed = this.#trees.get(`${assignment} ${node}`);
    const place = committed?.rows.findIndex((row) => row.task === task) ?? -1;
    if (committed === undefined || place === -1) throw new Error(`${node} did not commit to task ${task}`);
    return { opening: committed.rows[place]!, proof: committed.tree.getProof(place) };
  }
}

/** What a juror commits to: H(chain, market, batch, assignment, task, tier, juror, value, salt). */
export function ballotOf(
  chainId: bigint,
  market: string,
  batch: string,
  assignment: number,
  task: bigint,
  tier: bigint,
  juror: string,
  value: string,
  salt: string,
): string {
  const types = ["uint256", "address", "bytes32", "uint256", "uint256", "uint256", "address", "bytes32", "bytes32"];
  return keccak256(abi.encode(types, [chainId, market, batch, assignment, task, tier, juror, value, salt]));
}
