import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const each = (pattern: string): string[] => globSync(pattern, { cwd: root }).sort();

/** Documents that name tests, in quotation marks of their own: “like this”. */
const NAMING = ["protocol", "security", "economics", "testing", "hostile-jobs"].map((name) => `docs/${name}.md`);
/** What is written around the values in a title must say something by itself. */
const LEAST_STATIC = 15;

/** Titles of tests and groups as they stand in the source, and patterns of those that are put together. */
function titles(): { plain: Set<string>; patterns: RegExp[] } {
  const plain = new Set<string>();
  const patterns: RegExp[] = [];
  for (const path of each("test/**/*.test.ts")) {
    const called = /\b(?:it|describe)\(\s*(?:"((?:[^"\\]|\\.)+)"|'((?:[^'\\]|\\.)+)'|`((?:[^`\\]|\\.)+)`)/g;
    for (const [, double, single, template] of read(path).matchAll(called)) {
      const text = double ?? single;
      if (text !== undefined) plain.add(text);
      if (template === undefined) continue;
      const parts = template.split(/\$\{[^}]*\}/);
      if (parts.join("").length < LEAST_STATIC) continue;
      patterns.push(new RegExp(`^${parts.map(escape).join(".*")}$`));
    }
  }
  return { plain, patterns };
}

/** As `RegExp.escape`, which Node 22 does not have. */
function escape(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}

/** The anchor that a heading gets. */
function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

function anchorsOf(path: string): Set<string> {
  return new Set([...readFileSync(path, "utf8").matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => anchorOf(heading!)));
}

/** Text outside of code blocks. */
function prose(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```/gm, "");
}

describe("the documents", () => {
  it("name no test that is not there", () => {
    const { plain, patterns } = titles();
    expect(plain.size).to.be.above(500);
    const exists = (name: string): boolean => plain.has(name) || patterns.some((pattern) => pattern.test(name));
    expect(exists("a test that nobody wrote")).to.equal(false);
    const inSolidity = each("contracts/test/*.sol").map(read).join("\n");
    const missing = NAMING.flatMap((path) => {
      const text = prose(read(path)).replaceAll(/\s+/g, " ");
      const quoted = [...text.matchAll(/“([^”]+)”/g)].map(([, name]) => name!).filter((name) => !exists(name));
      const functions = [...text.matchAll(/\b((?:test|testFuzz|invariant)_\w+)/g)].map(([, name]) => name!);
      const unknown = functions.filter((name) => !inSolidity.includes(`function ${name}(`));
      return [...quoted, ...unknown].map((name) => `${path}: ${name}`);
    });
    expect(missing).to.deep.equal([]);
  });

  it("say of each known hazard which test meets it, or why it cannot happen", () => {
    const [, table] = read("docs/security.md").split("### Hazards of contracts");
    const rows = [...table!.split("\n#")[0]!.matchAll(/^\| (\d+) \|(.*)\|$/gm)];
    expect(rows.map(([, number]) => Number(number))).to.deep.equal(Array.from({ length: 25 }, (_, i) => i + 1));
    const bare = rows
      .filter(([, , text]) => !/“|test_|testFuzz_|invariant_|cannot/.test(text!))
      .map(([, number]) => number);
    expect(bare).to.deep.equal([]);
  });

  it("say of each way in which things break which test has it happen", () => {
    const [, table] = read("docs/testing.md").split("## When things break");
    const rows = [...table!.split("\n#")[0]!.matchAll(/^\| (\d+) \|(.*)\|$/gm)];
    expect(rows.map(([, number]) => Number(number))).to.deep.equal(Array.from({ length: 21 }, (_, i) => i + 1));
    expect(rows.filter(([, , text]) => !text!.includes("“")).map(([, number]) => number)).to.deep.equal([]);
  });

  it("name no function of a contract that is not there", () => {
    const sources = new Map(each("contracts/**/*.sol").map((path) => [path.replace(/^.*\/|\.sol$/g, ""), read(path)]));
    const missing = each("docs/*.md").flatMap((path) => {
      const named = [...prose(read(path)).matchAll(/`([A-Z]\w+)\.(_?\w+)(?:\(\))?`/g)];
      return named.flatMap(([whole, contract, name]) => {
        const source = sources.get(contract!);
        return source === undefined || new RegExp(`\\b${name}\\b`).test(source) ? [] : [`${path}: ${whole}`];
      });
    });
    expect(missing).to.deep.equal([]);
  });

  it("have no link that leads nowhere", () => {
    const broken = each("{README.md,docs/**/*.md,deploy/*.md,sdk/*.md,examples/*/*.md}").flatMap((path) => {
      const links = [...prose(read(path)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
      return links.flatMap((target) => {
        if (/^[a-z]+:/.test(target)) return [];
        const [file = "", anchor] = target.split("#");
        const to = file === "" ? join(root, path) : resolve(root, dirname(path), file);
        if (!existsSync(to)) return [`${path}: ${target}`];
        return anchor === undefined || anchorsOf(to).has(anchor) ? [] : [`${path}: ${target}`];
      });
    });
    expect(broken).to.deep.equal([]);
  });
});
