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
  const groups = Map.groupBy(
    members.map((member, place) => ({ member, place })),
    // A missing digest equals nothing, not even another missing one: a number is no digest, and each place is another.
    ({ member: { digests }, place }) => JSON.stringify(tasks.map((task) => digests.get(task) ?? place)),
  );
  if (groups.size === 1) return { kind: "agree" };
  const majority = (quorum + 1) / 2;
  const largest = [...groups.values()].find((group) => group.length >= majority)?.map(({ member }) => member);
  if (!largest) return { kind: "no-majority", witness: disputed(members, tasks, majority) };
  const [model] = largest as [MemberResults];
  const odd = members.flatMap((member) => {
    if (largest.includes(member)) return [];
    const witness = tasks.find((task) => member.digests.get(task) !== model.digests.get(task)) as number;
    return [{ member: member.member, node: member.node, witness }];
  });
  return { kind: "differ", odd };
}

/** The first task over which members differ and no result has a majority; where each has one, the first of any. */
function disputed(members: readonly MemberResults[], tasks: readonly number[], majority: number): number {
  const most = (task: number): number => {
    const said = Map.groupBy(members, ({ digests }) => digests.get(task));
    return Math.max(...[...said].map(([digest, group]) => (digest === undefined ? 1 : group.length)));
  };
  const differing = tasks.filter((task) => most(task) < members.length);
  return (differing.find((task) => most(task) < majority) ?? differing[0]) as number;
}
