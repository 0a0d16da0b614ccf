import { dirname, relative } from "node:path/posix";

import { lineOf, readSources, render, textOf, walk, type Node, type Rewrite, type Source } from "./syntax.ts";

/** One way through the contracts. */
export interface Way {
  /** What the contracts tell when they take it. */
  id: number;
  /** See {@link wayName}. */
  name: string;
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

/** Of a condition, or of a function's body. */
export type Side = "true" | "false" | "entered";

/** Names a way by where it stands. */
export function wayName(source: Source, node: Node, side: Side): string {
  return `${source.path} ${node.src} ${side}`;
}

const LIBRARY = "contracts/Seen.sol";

/** The contracts, changed so that they tell which way they take; they do the same as before. */
export function instrument(): { ways: Way[]; files: Map<string, string> } {
  const ways: Way[] = [];
  const files = new Map<string, string>();
  for (const source of readSources()) {
    const rewrites = new Map<Node, Rewrite[]>();
    let place = "";
    const add = (kind: Way["kind"], node: Node, text: string, side: Side): number => {
      const id = ways.length + 1;
      const name = wayName(source, node, side);
      ways.push({ id, name, file: source.path, line: lineOf(source, node), function: place, kind, text });
      return id;
    };
    const both = (kind: Way["kind"], node: Node, text: string): void => {
      const yes = add(kind, node, `${text}: true`, "true");
      const no = add(kind, node, `${text}: false`, "false");
      rewrites.set(node, [
        ...(rewrites.get(node) ?? []),
        (inner) => `((${inner}) && Seen.yes(${yes}) || Seen.no(${no}))`,
      ]);
    };
    walk(source.ast, (node) => {
      if (node.nodeType === "ImportDirective" || node.nodeType === "InlineAssembly") return false;
      if (node.nodeType === "FunctionDefinition" && node.body) {
        place = node.name || node.kind || "";
        const id = add("function", node.body, place, "entered");
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
  return { ways, files };
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

    function yes(uint256 id) internal view returns (bool) {
        hit(id);
        return true;
    }

    function no(uint256 id) internal view returns (bool) {
        hit(id);
        return false;
    }
}
`;
