import type { SchemaProto } from "#sdk/schema-proto.ts";
import { formatAmount } from "#sdk/amount.ts";
import type { SchemaPackage } from "../schema/package-folder.ts";
import type { TestedSchema } from "../schema/schema-test.ts";

/** Decimals of a score, see `SCORE_UNIT`. */
const SCORE_DECIMALS = 6;

/** What to say of a package that was read. */
export function schemaText({ file, proto, programs, built }: SchemaPackage): string[] {
  const calls = [proto.worker, proto.evaluator].map(
    ({ service, method, input, output }) => `${service}.${method} (${input.name}) returns (${output.name})`,
  );
  const lines = [`proto ${file.proto}: ${calls.join(", ")}`];
  if (programs.runtime === "container") {
    const { image } = programs.program;
    return [...lines, `image ${"id" in image ? `${image.path}: ${image.id}` : image.reference}`];
  }
  const verb = built ? "built" : "read";
  const { worker, evaluator } = programs.modules;
  return [...lines, `${verb} the worker, ${worker.length} bytes, and the evaluator, ${evaluator.length} bytes`];
}

/** What to say of a test. */
export function testText({ test, run, cheats }: TestedSchema, proto: SchemaProto): string[] {
  const lines = [`test ${test.path}: ${JSON.stringify(test.request)}`];
  for (const { node, reply, checkpoints, fuel, milliseconds } of run.workers) {
    const took = `${milliseconds.toFixed(0)} ms${fuel > 0n ? `, ${fuel} fuel` : ""}`;
    const on = checkpoints.length > 0 ? `, ${checkpoints.length} checkpoints` : "";
    lines.push(`  worker ${short(node)} ${JSON.stringify(proto.worker.output.toJson(reply))} (${took}${on})`);
  }
  const { nodes, scores, report } = run.evaluation;
  const scored = scores.some((score) => score > 0n);
  nodes.forEach((node, place) => {
    const score = scored ? `, score ${formatAmount(scores[place]!, SCORE_DECIMALS)}` : "";
    lines.push(`  place ${place + 1}: ${short(node)}${score}${cheats.includes(node) ? " (invalid reply)" : ""}`);
  });
  const out = cheats.filter((node) => !nodes.includes(node)).length;
  if (cheats.length > 0) lines.push(`  left out ${out} of ${cheats.length} invalid replies`);
  if (report !== "") lines.push(`  report: ${report}`);
  return lines;
}

/** The same for programs. */
export function testJson({ test, run, cheats }: TestedSchema, proto: SchemaProto): Record<string, unknown> {
  const { nodes, scores, report, leftOut } = run.evaluation;
  return {
    test: test.path,
    workers: run.workers.map(({ node, reply, checkpoints, fuel }) => {
      return { node, reply: proto.worker.output.toJson(reply), checkpoints: checkpoints.length, fuel };
    }),
    ranking: nodes.map((node, place) => ({ node, score: scores[place] })),
    invalid: cheats,
    leftOut: leftOut.map(({ node, error }) => ({ node, code: error.code })),
    report,
  };
}

function short(node: string): string {
  return `${node.slice(0, 6)}…${node.slice(-4)}`;
}
