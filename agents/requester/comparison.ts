/** One member of a panel and what it says its results are. */
export interface MemberResults {
  /** `primary`, or the seat. */
  member: "primary" | { round: number; seat: number };
  node: string;
  /** Digests by task: of every sampled task at least. */
  digests: ReadonlyMap<number, string>;
}

/** A member that differs at the witness task. */
export type OddMember = Pick<MemberResults, "member" | "node">;

/** What comparing a panel's results says. */
export type Comparison =
  /** Nothing that anybody could be accused of. */
  | { kind: "agree" }
  /** At `witness` a majority of the quorum agrees and `odd` differ. */
  | { kind: "differ"; witness: number; odd: OddMember[] }
  /** Members differ, and nowhere from a majority of the quorum; at `witness` there is none. */
  | { kind: "no-majority"; witness: number };

/**
 * Compares what the members of a panel say, task by task, as a dispute does: its ruling is the digest of one task. So
 * what is listed as an exception is what the panel will show when it opens that task.
 *
 * Of the tasks at which somebody differs from a majority, it picks one at which the primary does, since that is whose
 * pay is at stake; then the one with the most who differ; then the first.
 *
 * @param members The primary and whoever answered, as far as they could be read.
 * @param tasks The sampled tasks.
 * @param quorum Members of a full panel; more than half of them are a majority.
 * @param known Digests of tasks that the requester ran itself: it accuses nobody who said the same, whatever the others
 * said, and needs no majority there.
 */
export function compare(
  members: readonly MemberResults[],
  tasks: readonly number[],
  quorum: number,
  known: ReadonlyMap<number, string> = new Map(),
): Comparison {
  const majority = (quorum + 1) / 2;
  let found: Extract<Comparison, { kind: "differ" }> | undefined;
  let undecided: number | undefined;
  for (const task of tasks) {
    const groups = Map.groupBy(members, ({ digests }) => digests.get(task));
    if (groups.size < 2) continue;
    const right = known.get(task);
    const [said] = [...groups].find(([, group]) => group.length >= majority) ?? [];
    if (said === undefined) {
      if (right === undefined) undecided ??= task;
      continue;
    }
    if (right !== undefined && right !== said) continue;
    const odd = members
      .filter(({ digests }) => digests.get(task) !== said)
      .map(({ member, node }) => ({ member, node }));
    if (!found || rank(odd) > rank(found.odd)) found = { kind: "differ", witness: task, odd };
  }
  if (found) return found;
  return undecided === undefined ? { kind: "agree" } : { kind: "no-majority", witness: undecided };
}

/** A panel has fewer members than the primary weighs. */
function rank(odd: readonly OddMember[]): number {
  return odd.length + (accusesPrimary(odd) ? 1_000 : 0);
}

/** Whether the primary is among those that differ. */
export function accusesPrimary(odd: readonly OddMember[]): boolean {
  return odd.some(({ member }) => member === "primary");
}
