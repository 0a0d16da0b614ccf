import { ZeroHash } from "ethers";
import { formatAmount, formatDuration } from "#sdk/amount.ts";
import { DELIVERED, UNDELIVERED } from "#sdk/commitment.ts";
import { MAX_TIER } from "#sdk/pricing.ts";
import { isContest } from "#sdk/terms.ts";
import type { DisputeReport, JuryReport, Move, Stake } from "./dispute-report.ts";
import { table } from "./job-text.ts";

/** How amounts are written. */
export interface Token {
  symbol: string;
  decimals: number;
}

/** What a ruling of nobody is to people. */
const NO_MAJORITY = "no majority";
/** Most accounts that one line names. */
const MOST_NAMED = 3;

/** One case, told to a person. */
export function disputeText(report: DisputeReport, token: Token): string {
  const lines: [string, string][] = [
    ["matter", matterText(report)],
    ...happened(report).map((line, i): [string, string] => [i === 0 ? "happened" : "", line]),
  ];
  if (report.outcome) {
    lines.push(["ended", outcomeText(report, token)]);
  } else {
    lines.push(["step", stageText(report)]);
    lines.push(["until", untilText(report)]);
    const moves = report.moves.map((move) => moveText(move, report, token));
    if (report.due !== undefined) moves.push(`${report.due}: anybody, now`);
    lines.push(
      ...(moves.length > 0 ? moves : ["nobody"]).map((line, i): [string, string] => [i > 0 ? "" : "may", line]),
    );
    lines.push(["if not", expectedText(report, token)]);
  }
  if (report.mine) {
    const { roles, next } = report.mine;
    const by = next.until ? `, by ${timeText(next.until)}` : "";
    lines.push(["you", roles.join(", ")]);
    lines.push(["your agent", next.call === undefined ? `${next.why}${by}` : `${next.call}: ${next.why}${by}`]);
  }
  const { batch, assignment, first, count, requester } = report;
  const tasks = count === 1 ? `task ${first}` : `tasks ${first} to ${first + count - 1}`;
  const head = `batch ${batch}\nassignment ${assignment}, ${tasks}, of requester ${requester}`;
  const body = lines.map(([name, line]) => `  ${name.padEnd(10)}  ${line}`.trimEnd());
  return [head, ...body, ...stakesText(report.stakes, token)].join("\n");
}

/** One line for each case. */
export function disputeLine({ batch, assignment, matter, stage, state, until, secondsLeft }: DisputeReport): string[] {
  const left = state === "concluded" ? "" : secondsLeft === undefined ? "" : leftText(until, secondsLeft);
  return [
    `${batch.slice(0, 10)}…/${assignment}`,
    matter === "none" ? "accusation" : matter,
    stageName(state, stage),
    left,
  ];
}

function stageName(state: DisputeReport["state"], stage: DisputeReport["stage"]): string {
  return state === "disputed" ? stage : state;
}

function nameOf(report: DisputeReport, node: string): string {
  const short = `${node.slice(0, 8)}…${node.slice(-4)}`;
  if (node === report.requester) return `the requester ${short}`;
  const member = report.members.find((each) => each.node === node);
  if (member) return `${member.role === "primary" ? "the primary" : `verifier ${member.member}`} ${short}`;
  const jury = report.juries.find(({ jurors, drawn }) => [...jurors, ...drawn].some((juror) => juror.node === node));
  return jury ? `juror ${short}` : short;
}

function matterText({ matter, task, members, exceptions }: DisputeReport): string {
  const accused = members.filter((member) => member.accused);
  const who = accused
    .map(({ role, member }) => (role === "primary" ? "the primary" : `verifier ${member}`))
    .join(" and ");
  switch (matter) {
    case "none":
    case "exception":
      return exceptions.some(({ verdict }) => verdict === "no-majority")
        ? `the requester says that no digest of task ${task} has a majority`
        : `the requester says that the digest of ${who} for task ${task} is not the others'`;
    case "silence":
      return `the requester did not judge: the members are compared on task ${task}`;
    case "work":
      return `the requester contests the primary's result of task ${task}`;
    case "delivery":
      return `the requester says that what ${who} published cannot be fetched or read`;
  }
}

function happened(report: DisputeReport): string[] {
  const { exceptions, matter, by, stage, rulings, juries, members } = report;
  const lines = exceptions.map(({ verdict, accused, at }) => {
    const what = verdict === "no-majority" || !accused ? "found no majority" : `accused ${nameOf(report, accused)}`;
    return `${timeText(at)}: the requester ${what}`;
  });
  if (by === undefined) return [...lines, "nobody has challenged that yet"];
  const opener = nameOf(report, by);
  if (matter === "exception") lines.push(`${opener} challenged`);
  if (matter === "silence") lines.push(`${opener} called on the panel`);
  if (isContest(matter)) {
    lines.push(`${opener} contested`);
    if (stage === "answering") lines.push("the accused has not answered");
  }
  for (const { role, member, opened } of members) {
    if (opened === undefined) continue;
    const name = role === "primary" ? "the primary" : `verifier ${member}`;
    lines.push(`${name} committed to ${digestText(opened)}`);
  }
  const contested = isContest(matter);
  const ruled = rulings.map((digest, tier) => {
    const who = tier === 0 ? "the panel" : `jury ${tier}`;
    return tier === 0 && contested ? undefined : `${who} ruled: ${digestText(digest)}`;
  });
  if (ruled[0] !== undefined) lines.push(ruled[0]);
  for (const jury of juries) {
    lines.push(juryText(report, jury));
    const line = ruled[jury.tier];
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

function juryText(
  report: DisputeReport,
  { tier, appellant, seats, jurors, drawn, call, convened }: JuryReport,
): string {
  const cast = jurors.filter((juror) => juror.cast).length;
  const shown = jurors.filter(({ digest }) => digest !== undefined).length;
  const exposed = jurors.filter((juror) => juror.exposed).length;
  const parts = [`jury ${tier}, called by ${nameOf(report, appellant)}: ${seats} seats`];
  if (!convened) parts.push(drawn.length > 0 ? `${drawn.length} drawn, not told to the contract` : "not drawn yet");
  if (call > 0) parts.push("called again for empty seats");
  parts.push(`${cast} cast`, `${shown} opened`);
  if (exposed > 0) parts.push(`${exposed} exposed`);
  return parts.join(", ");
}

function digestText(digest: string | undefined): string {
  if (digest === undefined || digest === ZeroHash) return NO_MAJORITY;
  if (digest === DELIVERED) return "delivered";
  if (digest === UNDELIVERED) return "not delivered";
  return `${digest.slice(0, 10)}…`;
}

function stageText({ state, stage, matter, tier, moves }: DisputeReport): string {
  if (state === "excepted") return "accused: whoever is on the panel may challenge";
  switch (stage) {
    case "answering":
      return "answering: the accused says whether it stands by its work";
    case "opening":
      return "opening: the members show what they committed to";
    case "ruled":
      if (moves.some(({ call }) => call === "appeal")) return "ruled: whoever disagrees may appeal";
      return tier === MAX_TIER
        ? "ruled: final"
        : "ruled: nobody can appeal any more, or nobody is left to sit on a jury";
    case "casting":
      return `casting: jury ${tier} ${matter === "delivery" ? "fetches" : "runs the task"} and casts sealed ballots`;
    case "showing":
      return `showing: jury ${tier} opens its ballots${matter === "work" ? ", and the primary its commitment" : ""}`;
    case "none":
      return "none";
  }
}

function untilText({ until, secondsLeft = 0 }: DisputeReport): string {
  if (until === undefined || until === 0) return "no deadline: nobody can appeal any more";
  return `${timeText(until)}, ${leftText(until, secondsLeft)}`;
}

function leftText(until: number | undefined, secondsLeft: number): string {
  if (until === 0) return "over";
  // A deadline's own second still belongs to the step.
  return secondsLeft >= 0 ? `${formatDuration(secondsLeft)} left` : `over since ${formatDuration(-secondsLeft)}`;
}

function timeText(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
}

function moveText({ call, who, why, bond, until }: Move, report: DisputeReport, token: Token): string {
  const names =
    who === "anybody"
      ? "anybody"
      : who.length > MOST_NAMED
        ? `${who.length} of those below`
        : who.map((node) => nameOf(report, node)).join(", ");
  const price = bond === undefined ? "" : bond === 0n ? ", with no bond but its lock" : `, for ${amount(bond, token)}`;
  const by = until && until !== report.until ? `, by ${timeText(until)}` : "";
  return `${call}: ${names}, to ${why}${price}${by}`;
}

function expectedText({ expected, members, requester }: DisputeReport, token: Token): string {
  if (!expected) return "";
  const standings = members.map(({ role, member, standing }) => {
    return `${role === "primary" ? "primary" : `verifier ${member}`} ${standing}`;
  });
  const parts = [`${expected.outcome}: ${standings.join(", ")}`];
  if (expected.lied) parts.push(`requester ${requester.slice(0, 8)}… loses its reserve`);
  if (expected.burned > 0n) parts.push(`${amount(expected.burned, token)} burned`);
  return parts.join("; ");
}

function outcomeText({ outcome, members }: DisputeReport, token: Token): string {
  if (!outcome) return "";
  const parts = [outcome.outcome, `${amount(outcome.paid, token)} paid to the panel`];
  if (outcome.slashed.length > 0) {
    const names = members.filter(({ node }) => outcome.slashed.includes(node));
    const list = names.map(({ role, member }) => (role === "primary" ? "the primary" : `verifier ${member}`));
    parts.push(`slashed: ${list.join(" and ")}`);
  }
  if (outcome.penalty > 0n) parts.push(`${amount(outcome.penalty, token)} taken`);
  if (outcome.falselyAccused > 0n)
    parts.push(`false accusation: ${amount(outcome.falselyAccused, token)} of the requester's`);
  return parts.join("; ");
}

function stakesText(stakes: readonly Stake[], token: Token): string[] {
  if (stakes.length === 0) return [];
  const cell = (units: bigint): string => (units === 0n ? "" : formatAmount(units, token.decimals));
  const rows = stakes.map(({ node, role, locked, pay, gets, loses }) => {
    return [role, node, cell(locked), cell(pay), cell(gets), cell(loses)];
  });
  const header = ["", `amounts in ${token.symbol}`, "locked", "pay", "if not: gets", "loses"];
  return table([header, ...rows])
    .split("\n")
    .map((line) => `  ${line}`.trimEnd());
}

function amount(units: bigint, { decimals, symbol }: Token): string {
  return `${formatAmount(units, decimals)} ${symbol}`;
}
