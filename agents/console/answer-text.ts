import { formatAmount } from "#sdk/amount.ts";
import type { RequestAnswer } from "../participant/request-answer.ts";
import type { RequestProgress } from "../participant/requesting.ts";

/** What a request brought, for people: the answer, and who received what. */
export function answerText(answer: RequestAnswer, decimals: number): string[] {
  const { outcome, replies, participated, evaluator, workers, folder, burned, returned } = answer;
  const amount = (units: bigint): string => formatAmount(units, decimals);
  const isOne = outcome === "ranked";
  const lines = replies.flatMap(({ node, reply }) => {
    const fields = Object.entries(reply as object).map(([name, value]) => {
      return `${name.charAt(0).toUpperCase()}${name.slice(1)}: ${typeof value === "object" ? JSON.stringify(value) : value}`;
    });
    const text = fields.length > 0 ? fields : ["(every field has its default)"];
    return isOne ? text : [`${node}: ${text.join(", ")}`];
  });
  if (isOne && replies.length === 0) lines.push("The best result cannot be had any more.");
  if (folder !== undefined) lines.push(`Content is in ${folder}.`);
  const paid = [
    ...(evaluator && evaluator.amount > 0n
      ? [`Evaluator (${evaluator.node}) received ${amount(evaluator.amount)}`]
      : []),
    ...workers.map(({ node, amount: units }) => `worker (${node}) received ${amount(units)}`),
  ];
  const told = paid.length > 0 ? ` ${paid.join(", ")}.`.replace(/^ w/, " W") : "";
  const people = `Total ${participated} ${participated === 1 ? "worker" : "workers"} participated.`;
  if (!isOne) lines.push(OUTCOMES[outcome]);
  lines.push(`${people}${told}`);
  if (!isOne && returned > 0n) lines.push(`${amount(returned)} came back.`);
  if (burned > 0n) lines.push(`${amount(burned)} burned.`);
  return lines;
}

const OUTCOMES: Record<RequestAnswer["outcome"], string> = {
  none: "It has not ended.",
  ranked: "It was ranked.",
  unsolved: "Nobody solved it: the evaluator found no valid result.",
  voided: "A judge declared it void: half of what the workers were to share is burned.",
  withheld: "What the evaluation needs was not made available: all who revealed a result share evenly.",
  unjudged: "Neither evaluator nor judges said anything: all who revealed a result share evenly.",
  unevaluated: "Nobody ranked these, as was asked: all who revealed a result share evenly.",
  unanswered: "Nobody revealed a result.",
  cancelled: "Too few accepted it. Offer more, or wait until more are approved.",
};

/** What a request is waiting for, for people. */
export function progressText({ phase, workers, submitted, revealed, evaluator, tier }: RequestProgress): string {
  const who = `${workers} ${workers === 1 ? "worker" : "workers"}`;
  switch (phase) {
    case "accepting":
      if (workers === 0 && !evaluator) return ".. open to evaluators and workers ..";
      return `.. ${who}${evaluator ? " and an evaluator" : ""} accepted ..`;
    case "computing":
      return `.. ${submitted} of ${who} computed ..`;
    case "revealing":
      return `.. ${revealed} of ${who} revealed a result ..`;
    case "ranking":
      return ".. the evaluator ranks ..";
    case "contestable":
      return tier === 0 ? ".. ranked; who disagrees can challenge .." : `.. judge ${tier} ruled ..`;
    case "judging":
      return `.. challenged; judge ${tier} decides ..`;
    case "overdue":
    case "unanswered":
      return ".. who was to rule said nothing; the next one is called ..";
    case "unmet":
    case "settleable":
    case "ended":
      return ".. settling ..";
  }
}
