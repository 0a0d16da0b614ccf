import { createRequire } from "node:module";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Of the repository. */
export const root = fileURLToPath(new URL("../../", import.meta.url));

const solc = createRequire(import.meta.url)("solc") as {
  compile(input: string, callbacks: { import(path: string): { contents: string } | { error: string } }): string;
};

/** A node of the compiler's syntax tree, as far as it is used here. */
export interface Node {
  id: number;
  nodeType: string;
  /** `start:length:file`, in bytes. */
  src: string;
  name?: string;
  kind?: string;
  operator?: string;
  prefix?: boolean;
  value?: string;
  constant?: boolean;
  referencedDeclaration?: number;
  commonType?: { typeString: string };
  typeDescriptions?: { typeString?: string | null };
  expression?: Node;
  leftExpression?: Node;
  rightExpression?: Node;
  leftHandSide?: Node;
  rightHandSide?: Node;
  subExpression?: Node;
  baseExpression?: Node;
  indexExpression?: Node;
  condition?: Node;
  trueExpression?: Node;
  falseExpression?: Node;
  trueBody?: Node;
  falseBody?: Node;
  body?: Node;
  initializationExpression?: Node;
  loopExpression?: Node;
  initialValue?: Node;
  declarations?: (Node | null)[];
  arguments?: Node[];
  [more: string]: unknown;
}

/** One source file and its tree. */
export interface Source {
  /** Relative to the repository, such as `contracts/Vault.sol`. */
  path: string;
  text: Buffer;
  ast: Node;
}

export interface CompilerError {
  severity: "error" | "warning" | "info";
  formattedMessage: string;
  sourceLocation?: { file: string; start: number; end: number };
}

/** The contracts that are deployed: no interfaces, which have no code, and nothing that only tests use. */
export function contractFiles(): string[] {
  return globSync("contracts/**/*.sol", { cwd: root })
    .filter((path) => !path.includes("/test/") && !path.includes("/interfaces/"))
    .sort();
}

/** Type-checks `sources`, which may import from the repository and its dependencies. Fast: generates no code. */
export function check(sources: Record<string, string>): { trees: Record<string, Node>; errors: CompilerError[] } {
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(Object.entries(sources).map(([path, content]) => [path, { content }])),
    settings: { viaIR: true, evmVersion: "prague", outputSelection: { "*": { "": ["ast"] } } },
  };
  const find = (path: string) => {
    try {
      return { contents: readFileSync(join(root, path.startsWith("@") ? "node_modules" : "", path), "utf8") };
    } catch (error) {
      return { error: String(error) };
    }
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find })) as {
    sources?: Record<string, { ast: Node }>;
    errors?: CompilerError[];
  };
  const errors = (output.errors ?? []).filter(({ severity }) => severity === "error");
  return {
    trees: Object.fromEntries(Object.entries(output.sources ?? {}).map(([path, { ast }]) => [path, ast])),
    errors,
  };
}

/** Reads and parses the contracts. */
export function readSources(): Source[] {
  const paths = contractFiles();
  const { trees, errors } = check(
    Object.fromEntries(paths.map((path) => [path, readFileSync(join(root, path), "utf8")])),
  );
  if (errors[0] !== undefined) throw new Error(errors[0].formattedMessage);
  return paths.map((path) => {
    const source = { path, text: readFileSync(join(root, path)), ast: trees[path]! };
    walk(source.ast, (node, above) => withSemicolon(source, node, above));
    return source;
  });
}

/** The compiler counts the semicolon of these as nobody's, not even of an `if` that ends with one. */
function withSemicolon({ text }: Source, node: Node, above: Node[]): void {
  if (node.nodeType !== "ExpressionStatement" && node.nodeType !== "EmitStatement") return;
  const [, end] = spanOf(node);
  const after = /^\s*;/.exec(text.subarray(end, end + 80).toString("utf8"))?.[0];
  if (after === undefined) return;
  for (const each of [node, ...above]) {
    const [start, last] = spanOf(each);
    if (last !== end) break;
    each.src = `${start}:${end - start + Buffer.byteLength(after)}`;
  }
}

/** Where a node begins and ends, in bytes. */
export function spanOf(node: Node): [start: number, end: number] {
  const [start = 0, length = 0] = node.src.split(":").map(Number);
  return [start, start + length];
}

/** The nodes directly below, in the order of the text. */
export function childrenOf(node: Node): Node[] {
  const children: Node[] = [];
  const collect = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(collect);
    else if (value !== null && typeof value === "object" && "nodeType" in value && "src" in value) {
      children.push(value as Node);
    }
  };
  for (const [name, value] of Object.entries(node)) if (name !== "documentation") collect(value);
  return children.sort((a, b) => spanOf(a)[0] - spanOf(b)[0]);
}

/** Calls `visit` for `node` and all below it, with those above it, nearest first; goes no deeper where it says `false`. */
export function walk(node: Node, visit: (node: Node, above: Node[]) => boolean | void, above: Node[] = []): void {
  if (visit(node, above) === false) return;
  const here = [node, ...above];
  for (const child of childrenOf(node)) walk(child, visit, here);
}

/** The number of the line, from 1. */
export function lineOf(source: Source, node: Node): number {
  return source.text.subarray(0, spanOf(node)[0]).toString("utf8").split("\n").length;
}

/** The source of a node on one line. */
export function textOf(source: Source, node: Node): string {
  return source.text
    .subarray(...spanOf(node))
    .toString("utf8")
    .replaceAll(/\s+/g, " ");
}

/** How the text of a node is to look, given its text with everything below it rewritten. */
export type Rewrite = (inner: string, part: (node: Node) => string) => string;

/** The source with every node for which there is a rewrite rewritten. */
export function render(source: Source, rewrites: Map<Node, Rewrite[]>): string {
  const known = new Map<Node, string>();
  const holdsRewrites = (node: Node): boolean => rewrites.has(node) || childrenOf(node).some(holdsRewrites);
  const part = (node: Node): string => {
    let text = known.get(node);
    if (text !== undefined) return text;
    const [start, end] = spanOf(node);
    let at = start;
    text = "";
    for (const child of childrenOf(node)) {
      const [from, to] = spanOf(child);
      // Some nodes stand for a text that another one already covers, such as the types of a name.
      if (from < at || to > end) {
        if (holdsRewrites(child)) throw new Error(`${source.path}: ${child.nodeType} ${child.src} cannot be rewritten`);
        continue;
      }
      text += source.text.subarray(at, from).toString("utf8") + part(child);
      at = to;
    }
    text += source.text.subarray(at, end).toString("utf8");
    for (const rewrite of rewrites.get(node) ?? []) text = rewrite(text, part);
    known.set(node, text);
    return text;
  };
  const [start, end] = spanOf(source.ast);
  return (
    source.text.subarray(0, start).toString("utf8") + part(source.ast) + source.text.subarray(end).toString("utf8")
  );
}
