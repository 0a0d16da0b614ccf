import { dirname, relative } from "node:path/posix";

import { lineOf, readSources, render, textOf, walk, type Node, type Rewrite } from "./syntax.ts";

/** One way through the contracts. */
export interface Branch {
  /** What the contracts tell when they take it. */
  id: number;
  /** Relative to the repository. */
  file: string;
  line: number;
  function: string;
  /**
   * - branch: one side of an `if`, a `?:`, a `require` or a loop
   * - operand: one value of an operand of `&&` and `||`
   * - function: the function at all
   */
  kind: "branch" | "operand" | "function";
  /** Such as `if (a < b): true`. */
  text: string;
}

const LIBRARY = "contracts/Seen.sol";

/** The contracts, changed so that they tell which way they take; they do the same as before. */
export function instrument(): { branches: Branch[]; files: Map<string, string> } {
  const branches: Branch[] = [];
  const files = new Map<string, string>();
  for (const source of readSources()) {
    const rewrites = new Map<Node, Rewrite[]>();
    let place = "";
    const add = (kind: Branch["kind"], node: Node, text: string): number => {
      branches.push({
        id: branches.length + 1,
        file: source.path,
        line: lineOf(source, node),
        function: place,
        kind,
        text,
      });
      return branches.length;
    };
    const both = (kind: Branch["kind"], node: Node, text: string): void => {
      const id = add(kind, node, `${text}: true`);
      add(kind, node, `${text}: false`);
      rewrites.set(node, [...(rewrites.get(node) ?? []), (inner) => `Seen.way(${id}, ${inner})`]);
    };
    walk(source.ast, (node) => {
      if (node.nodeType === "ImportDirective" || node.nodeType === "InlineAssembly") return false;
      if (node.nodeType === "FunctionDefinition" && node.body) {
        place = node.name || node.kind || "";
        const id = add("function", node, place);
        rewrites.set(node.body, [(inner) => inner.replace("{", `{ Seen.hit(${id});`)]);
      }
      if (node.nodeType === "BinaryOperation" && (node.operator === "&&" || node.operator === "||")) {
        for (const operand of [node.leftExpression!, node.rightExpression!]) {
          // An operand that is itself such an operation has operands of its own.
          if (operand.operator !== "&&" && operand.operator !== "||") both("operand", operand, textOf(source, operand));
        }
      }
      const condition = node.condition;
      if (condition) {
        const word = node.nodeType === "IfStatement" ? "if" : node.nodeType === "Conditional" ? "?:" : "loop";
        both("branch", condition, `${word} (${textOf(source, condition)})`);
      }
      if (node.nodeType === "FunctionCall" && node.expression?.name === "require") {
        both("branch", node.arguments![0]!, `require(${textOf(source, node.arguments![0]!)})`);
      }
      return true;
    });
    const from = relative(dirname(source.path), LIBRARY);
    const text = render(source, rewrites)
      .replace(
        /pragma solidity [^;]+;/,
        (pragma) => `${pragma}\nimport {Seen} from "${from.startsWith(".") ? from : `./${from}`}";`,
      )
      .replaceAll(/\bpure\b/g, "view")
      .replaceAll("assembly {", 'assembly ("memory-safe") {');
    files.set(source.path, text);
  }
  files.set(LIBRARY, library);
  return { branches, files };
}

/** Tells as hardhat's own coverage does: by a call to an address that nobody has. */
const library = `// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

library Seen {
    function hit(uint256 id) internal view {
        assembly ("memory-safe") {
            mstore(0, id)
            pop(staticcall(gas(), 0xc0bEc0BEc0BeC0bEC0beC0bEC0bEC0beC0beC0BE, 0, 32, 0, 0))
        }
    }

    function way(uint256 id, bool taken) internal view returns (bool) {
        hit(taken ? id : id + 1);
        return taken;
    }
}
`;
