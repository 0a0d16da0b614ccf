import type { Command } from "commander";
import type { Area } from "../../doctor/doctor.ts";
import type { Finding } from "../../doctor/finding.ts";
import { version } from "../../version.ts";
import { runCommand } from "../run-command.ts";

/** `surety doctor`: what works on this host, what does not, and what to do about it. */
export function addDoctorCommand(program: Command): void {
  program
    .command("doctor")
    .description("Look at this host, and at all that a configured agent needs; say what does not work and what to do.")
    .option("--config <file>", "an agent's configuration, YAML or JSON; without it only the host is looked at")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Changes nothing but one small file that it stores and takes back. Run it as the user that the agent runs as; the agent
may be running.

Exit status: 0 no problem, 1 at least one.

Examples:
  $ surety doctor
  $ surety doctor --config node.yaml
  $ sudo -u surety surety doctor --config /etc/surety/compute.yaml --json`,
    )
    .action((options: { config?: string; json?: boolean }) =>
      runCommand(options, async ({ signal }) => {
        const { examine } = await import("../../doctor/doctor.ts");
        const areas = await examine({ config: options.config, signal });
        const count = (verdict: Finding["verdict"]): number =>
          areas.flatMap(({ findings }) => findings).filter((finding) => finding.verdict === verdict).length;
        const [problems, warnings] = [count("problem"), count("warning")];
        return {
          json: { version, problems, warnings, areas },
          text: textOf(areas, { problems, warnings }),
          exit: problems > 0 ? 1 : 0,
        };
      }),
    );
}

function textOf(areas: readonly Area[], { problems, warnings }: { problems: number; warnings: number }): string {
  const lines = [`surety ${version}`];
  for (const { name, findings, skipped } of areas) {
    lines.push("", name, ...findings.flatMap(linesOf));
    if (skipped !== undefined) lines.push(`  not looked at: ${skipped}`);
  }
  const say = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
  lines.push(
    "",
    problems + warnings === 0 ? "All is well." : `${say(problems, "problem")}, ${say(warnings, "warning")}.`,
  );
  // What servers and files say may carry terminal escapes.
  return lines.join("\n").replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, "?");
}

function linesOf(finding: Finding): string[] {
  const { about, verdict, says } = finding;
  const [first = "", ...rest] = says.split("\n");
  const lines = [`  ${verdict.padEnd(8)} ${about}: ${first}`, ...rest.map((line) => `           ${line}`)];
  if (finding.verdict === "ok") return lines;
  const code = finding.code === undefined ? "" : ` (${finding.code})`;
  lines[0] += code;
  return [...lines, `           -> ${finding.fix}`];
}
