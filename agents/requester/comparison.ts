import { getAddress } from "ethers";

/** One member of a panel and what it says its results are. */
export interface MemberResults {
  /** `primary`, or the seat. */
  member: "primary" | { round: number; seat: number };
  node: string;
  /** Digests by task; a task that is not in it counts as different from every digest. */
  digests: ReadonlyMap<number, string>;
}

/** A member that differs, and the task that shows it. */
export interface Difference {
  member: MemberResults["member"];
  node: string;
  witness: number;
}

/** What comparing a panel's results says. */
export type Comparison =
  | { kind: "agree" }
  /** `odd` differ from a majority of the quorum, which agrees. */
  | { kind: "differ"; odd: Difference[] }
  /** No result has a majority of the quorum; `witness` is a task over which it fell apart. */
  | { kind: "no-majority"; witness: number };

/**
 * Compares what the members of a panel say of the sampled tasks. Members agree if they agree on all of them.
 *
 * @param members The primary and whoever answered; at least one.
 * @param tasks The sampled tasks, at least one.
 * @param quorum Members of a full panel; more than half of them are a majority.
 */
export function compare(members: readonly MemberResults[], tasks: readonly number[], quorum: number): Comparison {
  const groups = Map.groupBy(members, ({ node, digests }) =>
    // A missing digest equals nothing, not even another missing one.
    tasks.map((task) => digests.get(task) ?? `nothing from ${getAddress(node)}`).join(" "),
  );
  if (groups.size === 1) return { kind: "agree" };
  const [largest] = [...groups.values()].sort((a, b) => b.length - a.length) as [MemberResults[]];
  const [model] = largest as [MemberResults];
  const differs = (member: MemberResults): number | undefined =>
    tasks.find((task) => member.digests.get(task) === undefined || member.digests.get(task) !== model.digests.get(task));
  const odd = members.flatMap((member) => {
    if (largest.includes(member)) return [];
    return [{ member: member.member, node: member.node, witness: differs(member) as number }];
  });
  if (largest.length >= (quorum + 1) / 2) return { kind: "differ", odd };
  return { kind: "no-majority", witness: odd[0]?.witness as number };
}
