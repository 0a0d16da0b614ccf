import { dirname, relative } from "node:path/posix";

import { check, lineOf, readSources, render, textOf, walk, type Node, type Rewrite, type Source } from "./syntax.ts";
import { wayName } from "./ways.ts";

/**
 * What is done to the contracts, by name.
 * - condition: taken as true, as false, or as its opposite
 * - check: a `require` that never fails
 * - boundary: `<` for `<=` and so on
 * - equality: `==` for `!=` and back, where it is not a whole condition
 * - logic: `&&` for `||` and back, `!x` for `x`
 * - arithmetic: `+` for `-`, `*` for `/`, `%` for `*`, bits and shifts likewise, `+=` for `-=`, `++` for `--`
 * - constant: one more than a literal, twice a named constant or half of it
 * - result: zero, or the opposite of a bool, returned
 * - deletion: a statement left out
 * - event: an event not emitted
 */
export type Operator =
  | "condition"
  | "check"
  | "boundary"
  | "equality"
  | "logic"
  | "arithmetic"
  | "constant"
  | "result"
  | "deletion"
  | "event";

/** One small change to the contracts. */
export interface Mutant {
  /** What switches it on; differs from run to run of the generator. */
  id: number;
  /** Names it as long as its function is not changed. */
  key: string;
  /** Relative to the repository. */
  file: string;
  line: number;
  function: string;
  operator: Operator;
  original: string;
  mutated: string;
  /** Names of ways: a test that takes none of them does not notice it. */
  after: string[];
}

/** The contracts with all mutants in them, each asleep until its number is switched on. */
export interface Schemata {
  mutants: Mutant[];
  /** By path relative to the repository. */
  files: Map<string, string>;
  /** Mutants that the compiler refuses, which are left out. */
  refused: number;
}

const LIBRARY = "contracts/Mutant.sol";

/** By operator: its opposite. */
const ARITHMETIC: Record<string, [name: string, opposite: string]> = {
  "+": ["add", "-"],
  "-": ["sub", "+"],
  "*": ["mul", "/"],
  "/": ["div", "*"],
  "%": ["mod", "*"],
  "&": ["and", "|"],
  "|": ["or", "&"],
  "<<": ["shl", ">>"],
  ">>": ["shr", "<<"],
};

/** When the opposite gives something else. */
const DIFFERS: Record<string, string> = {
  "+": "b != 0 && ",
  "-": "b != 0 && ",
  "*": "b != 1 && ",
  "/": "b != 1 && ",
  "&": "a != b && ",
  "|": "a != b && ",
  "<<": "a != 0 && b != 0 && ",
  ">>": "a != 0 && b != 0 && ",
};

const BOUNDARY: Record<string, [name: string, opposite: string]> = {
  "<": ["lt", "<="],
  "<=": ["le", "<"],
  ">": ["gt", ">="],
  ">=": ["ge", ">"],
};

const OPPOSITE_ASSIGNMENT: Record<string, string> = { "+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=" };

/** Types whose values a helper function can take and return. */
const SIMPLE = /^(uint\d+|bytes\d+|address)$/;

/** Nodes below which nothing runs, or nothing that can be rewritten. */
const SKIPPED = new Set([
  "ImportDirective",
  "InlineAssembly",
  "StructDefinition",
  "EventDefinition",
  "ErrorDefinition",
  "EnumDefinition",
  "UserDefinedValueTypeDefinition",
  "UsingForDirective",
  "InheritanceSpecifier",
  "ModifierInvocation",
  "ParameterList",
  "ArrayTypeName",
  "StructuredDocumentation",
]);

/** Generates all mutants that compile. */
export function generate(): Schemata {
  const sources = readSources();
  const refused = new Set<string>();
  for (;;) {
    const schemata = write(sources, refused);
    const { errors } = check(Object.fromEntries(schemata.files));
    if (errors.length === 0) return schemata;
    const before = refused.size;
    for (const error of errors) {
      const location = error.sourceLocation;
      const text = location && Buffer.from(schemata.files.get(location.file) ?? "");
      // The helper nearest to what the compiler points at, which is one of those that it contains or stands in.
      const around = text?.subarray(Math.max(0, location!.start - 200), location!.end).toString("utf8") ?? "";
      const id = [...around.matchAll(/Mutant\.\w+\((\d+)/g)].at(-1)?.[1];
      const mutant = schemata.mutants.find((each) => each.id === Number(id));
      if (mutant === undefined) throw new Error(error.formattedMessage);
      refused.add(mutant.key);
    }
    if (refused.size === before) throw new Error(errors[0]!.formattedMessage);
  }
}

function write(sources: Source[], refused: Set<string>): Schemata {
  const mutants: Mutant[] = [];
  const files = new Map<string, string>();
  const helpers = new Map<string, string>();
  const keys = new Map<string, number>();
  const constants = constantsOf(sources);
  const lineages = new Map<Node, Node[]>();

  for (const source of sources) {
    const rewrites = new Map<Node, Rewrite[]>();
    let place = "";

    /** Adds a mutant of `node` unless the compiler refuses it; `rewrite` gets the number. */
    const add = (
      node: Node,
      operator: Operator,
      mutated: string,
      rewrite: (id: number, inner: string, part: (node: Node) => string) => string,
      after = [wayTo(source, node)],
    ): void => {
      const original = textOf(source, node);
      const name = `${source.path.replace("contracts/", "")} ${place} ${operator}: ${original} -> ${mutated}`;
      const times = (keys.get(name) ?? 0) + 1;
      keys.set(name, times);
      const key = times === 1 ? name : `${name} #${times}`;
      if (refused.has(key)) return;
      const id = mutants.length + 1;
      mutants.push({
        id,
        key,
        file: source.path,
        line: lineOf(source, node),
        function: place,
        operator,
        original,
        mutated,
        after,
      });
      const before = rewrites.get(node) ?? [];
      const own: Rewrite = (inner, part) => rewrite(id, inner, part);
      // What is put together from the parts anew comes first, or it would undo what was put around the whole.
      rewrites.set(node, rewrite.length > 2 && !keepsWhole(node) ? [own, ...before] : [...before, own]);
    };
    const helper = (name: string, type: string, parameters: string, body: string): string => {
      const full = `${name}_${type}`;
      helpers.set(full, `function ${full}(uint256 id, ${parameters}) internal view returns (${type}) { ${body} }`);
      return `Mutant.${full}`;
    };

    /** Makes a condition true, false, its opposite; which only tests notice for which it is not so already. */
    const condition = (node: Node, values: ("true" | "false" | "the opposite")[], operator: Operator = "condition") => {
      const [yes, no] = [wayName(source, node, "true"), wayName(source, node, "false")];
      for (const value of values) {
        if (value === "true") add(node, operator, value, (id, inner) => `((${inner}) || Mutant.on(${id}))`, [no]);
        if (value === "false") add(node, operator, value, (id, inner) => `((${inner}) && !Mutant.on(${id}))`, [yes]);
        if (value === "the opposite")
          add(node, operator, value, (id, inner) => `(Mutant.on(${id}) != (${inner}))`, [yes, no]);
      }
    };

    walk(source.ast, (node, above) => void lineages.set(node, above));
    walk(source.ast, (node, above) => {
      if (SKIPPED.has(node.nodeType)) return false;
      if (node.nodeType === "VariableDeclaration") return false;
      if (node.nodeType === "FunctionDefinition") place = node.name || node.kind || "";
      if (node.nodeType === "ContractDefinition") place = "";
      const parent = above[0];
      const unchecked = above.some(({ nodeType }) => nodeType === "UncheckedBlock");
      const type = node.typeDescriptions?.typeString ?? "";
      // Worked out by the compiler.
      if (/^(int_const|rational_const|literal_string)/.test(type) && node.nodeType !== "Literal") return false;

      if (node.nodeType === "IfStatement") condition(node.condition!, ["false", "true"]);
      if (node.nodeType === "ForStatement" && node.condition) condition(node.condition, ["false"]);
      if (node.nodeType === "WhileStatement" || node.nodeType === "DoWhileStatement")
        condition(node.condition!, ["false"]);
      if (node.nodeType === "Conditional") condition(node.condition!, ["the opposite"]);
      if (isRequire(node)) condition(node.arguments![0]!, ["true"], "check");

      const whole = parent !== undefined && (parent.condition === node || isRequire(parent));
      if (node.nodeType === "BinaryOperation") {
        const { operator = "", leftExpression: left, rightExpression: right } = node as Required<Node>;
        const swapped = (opposite: string) => `${textOf(source, left)} ${opposite} ${textOf(source, right)}`;
        if (operator === "&&" || operator === "||") {
          // By De Morgan: with the mutant on, the three negations turn one into the other.
          add(node, "logic", swapped(operator === "&&" ? "||" : "&&"), (id, _inner, part) => {
            const on = `Mutant.on(${id})`;
            return `(${on} != ((${on} != (${part(left)})) ${operator} (${on} != (${part(right)}))))`;
          });
        } else if ((operator === "==" || operator === "!=") && !whole) {
          add(
            node,
            "equality",
            swapped(operator === "==" ? "!=" : "=="),
            (id, inner) => `(Mutant.on(${id}) != (${inner}))`,
          );
        } else if (BOUNDARY[operator]) {
          const [name, opposite] = BOUNDARY[operator];
          add(node, "boundary", swapped(opposite), (id, _inner, part) => {
            helpers.set(
              name,
              `function ${name}(uint256 id, uint256 a, uint256 b) internal view returns (bool) ` +
                `{ return a == b && on(id) ? a ${opposite} b : a ${operator} b; }`,
            );
            return `Mutant.${name}(${id}, ${part(left)}, ${part(right)})`;
          });
        } else if (ARITHMETIC[operator] && SIMPLE.test(type)) {
          const [name, opposite] = ARITHMETIC[operator];
          const shift = operator === "<<" || operator === ">>";
          add(node, "arithmetic", swapped(opposite), (id, _inner, part) => {
            const expression = `${DIFFERS[operator] ?? ""}on(id) ? a ${opposite} b : a ${operator} b`;
            const body = unchecked ? `unchecked { return ${expression}; }` : `return ${expression};`;
            const parameters = `${type} a, ${shift ? "uint256" : type} b`;
            const called = helper(unchecked ? `${name}Unchecked` : name, type, parameters, body);
            return `${called}(${id}, ${part(left)}, ${part(right)})`;
          });
        }
      }
      if (node.nodeType === "UnaryOperation") {
        const inside = node.subExpression!;
        if (node.operator === "!" && !whole) {
          add(node, "logic", textOf(source, inside), (id, inner) => `(Mutant.on(${id}) != (${inner}))`);
        }
        if (node.operator === "~" && SIMPLE.test(type)) {
          add(node, "arithmetic", textOf(source, inside), (id, _inner, part) => {
            const called = helper("not", type, `${type} a`, "return on(id) ? a : ~a;");
            return `${called}(${id}, ${part(inside)})`;
          });
        }
      }
      if (node.nodeType === "Return" && node.expression) {
        const result = node.expression;
        const resultType = result.typeDescriptions?.typeString ?? "";
        const compared = result.nodeType === "BinaryOperation" || result.nodeType === "UnaryOperation";
        if (resultType === "bool" && !compared) {
          add(result, "result", "the opposite", (id, inner) => `(Mutant.on(${id}) != (${inner}))`);
        } else if (SIMPLE.test(resultType) && textOf(source, result) !== "0") {
          add(result, "result", "0", (id, inner) => {
            const zero = resultType === "address" ? "address(0)" : "0";
            return `${helper("zero", resultType, `${resultType} a`, `return a != ${resultType}(${zero}) && on(id) ? ${resultType}(${zero}) : a;`)}(${id}, ${inner})`;
          });
        }
      }
      if (node.nodeType === "Literal" && node.kind === "number" && parent !== undefined) {
        const wanted = typeWanted(node, parent);
        if (wanted !== undefined) {
          const more = `${textOf(source, node)} + 1`;
          add(node, "constant", more, (id, inner) => {
            const body = "return on(id) ? a + 1 : a;";
            return `${helper("more", wanted, `${wanted} a`, body)}(${id}, ${inner})`;
          });
        }
      }
      if (node.nodeType === "Identifier" && constants.has(node.referencedDeclaration ?? -1)) {
        if (/^uint\d+$/.test(type)) {
          add(node, "constant", `2 * ${node.name}`, (id, inner) => {
            const body = `unchecked { return on(id) ? (a > type(${type}).max / 2 ? a / 2 : 2 * a) : a; }`;
            return `${helper("other", type, `${type} a`, body)}(${id}, ${inner})`;
          });
        }
      }
      if (node.nodeType === "EmitStatement") {
        add(node, "event", "", (id, inner) => `{ if (!Mutant.on(${id})) { ${inner} } }`);
      }
      if (node.nodeType === "ExpressionStatement" && !isPartOfLoop(node, parent) && !isRequire(node.expression!)) {
        statement(node, add);
      }
      return true;
    });

    const text = withImport(source, render(source, rewrites));
    // What switches mutants reads the chain. And the compiler, left with more variables than the stack holds, may keep
    // them in memory: the one assembly that does not promise to leave it alone ends the call.
    files.set(source.path, text.replaceAll(/\bpure\b/g, "view").replaceAll("assembly {", 'assembly ("memory-safe") {'));
  }
  const numbers = new Set(
    [...files.values()].flatMap((text) => [...text.matchAll(/Mutant\.\w+\((\d+)/g)].map(([, id]) => Number(id))),
  );
  const lost = mutants.find(({ id }) => !numbers.has(id));
  if (lost !== undefined) throw new Error(`${lost.key} was lost`);
  files.set(LIBRARY, library(helpers));
  return { mutants, files, refused: refused.size };

  /** The last way that is taken before a node. */
  function wayTo(source: Source, node: Node): string {
    let below = node;
    for (const each of lineages.get(node) ?? []) {
      if (each.condition && each.condition !== below && !(each.nodeType === "DoWhileStatement")) {
        const { condition, trueBody, trueExpression, body, falseBody, falseExpression } = each;
        if (below === trueBody || below === trueExpression || below === body) return wayName(source, condition, "true");
        if (below === falseBody || below === falseExpression) return wayName(source, condition, "false");
      }
      if ((each.operator === "&&" || each.operator === "||") && below === each.rightExpression) {
        // Nothing to its right runs unless the operand before went this way.
        let last = each.leftExpression!;
        while (last.operator === each.operator && last.rightExpression) last = last.rightExpression;
        const plain = last.operator !== "&&" && last.operator !== "||" && last.nodeType !== "TupleExpression";
        if (plain) return wayName(source, last, each.operator === "&&" ? "true" : "false");
      }
      if (each.nodeType === "FunctionDefinition" && below === each.body) return wayName(source, below, "entered");
      below = each;
    }
    return "";
  }

  /** A statement can be left out; one that adds can take away. */
  function statement(
    node: Node,
    add: (
      node: Node,
      operator: Operator,
      mutated: string,
      rewrite: (id: number, inner: string, part: (node: Node) => string) => string,
    ) => void,
  ): void {
    const expression = node.expression!;
    const opposite = OPPOSITE_ASSIGNMENT[expression.operator ?? ""];
    if (expression.nodeType === "Assignment" && opposite !== undefined) {
      const { leftHandSide: left, rightHandSide: right } = expression as Required<Node>;
      add(node, "arithmetic", opposite, (id, inner, part) => {
        return `{ if (Mutant.on(${id})) ${part(left)} ${opposite} ${part(right)}; else ${inner} }`;
      });
      add(node, "deletion", "", (id, inner) => `{ if (!Mutant.on(${id})) { ${inner} } }`);
    } else if (expression.operator === "++" || expression.operator === "--") {
      const swapped = expression.operator === "++" ? "--" : "++";
      add(node, "arithmetic", swapped, (id, inner, part) => {
        return `{ if (Mutant.on(${id})) ${swapped}${part(expression.subExpression!)}; else ${inner} }`;
      });
      add(node, "deletion", "", (id, inner) => `{ if (!Mutant.on(${id})) { ${inner} } }`);
    } else {
      add(node, "deletion", "", (id, inner) => `{ if (!Mutant.on(${id})) { ${inner} } }`);
    }
  }
}

/** Ids of the named constants, wherever they are declared. */
function constantsOf(sources: Source[]): Set<number> {
  const found = new Set<number>();
  const paths = sources.map(({ path }) => path);
  const { trees } = check(Object.fromEntries(sources.map(({ path, text }) => [path, text.toString("utf8")])));
  for (const [path, tree] of Object.entries(trees)) {
    if (!path.startsWith("contracts/") && !paths.includes(path)) continue;
    walk(tree, (node) => {
      if (node.nodeType === "VariableDeclaration" && node.constant) found.add(node.id);
    });
  }
  return found;
}

function isRequire(node: Node): boolean {
  return (
    node.nodeType === "FunctionCall" && node.expression?.nodeType === "Identifier" && node.expression.name === "require"
  );
}

/** Statements are always put around, never put together anew. */
function keepsWhole(node: Node): boolean {
  return node.nodeType === "ExpressionStatement";
}

/** Whether a statement stands in the head of a loop, where nothing can be put around it. */
function isPartOfLoop(node: Node, parent: Node | undefined): boolean {
  return parent?.nodeType === "ForStatement" && parent.body !== node;
}

/** The type that a number is taken as, if that is plain. */
function typeWanted(node: Node, parent: Node): string | undefined {
  let type: string | undefined;
  if (parent.nodeType === "BinaryOperation") {
    const shift = parent.operator === "<<" || parent.operator === ">>";
    if (shift) type = parent.leftExpression === node ? (parent.typeDescriptions?.typeString ?? undefined) : "uint256";
    else type = parent.commonType?.typeString;
  } else if (parent.nodeType === "Assignment") type = parent.leftHandSide?.typeDescriptions?.typeString ?? undefined;
  else if (parent.nodeType === "IndexAccess") type = "uint256";
  else if (parent.nodeType === "FunctionCall" && parent.expression?.nodeType === "NewExpression") type = "uint256";
  else if (parent.nodeType === "VariableDeclarationStatement" && parent.declarations?.length === 1) {
    type = parent.declarations[0]?.typeDescriptions?.typeString ?? undefined;
  } else if (parent.nodeType === "Conditional" && parent.condition !== node) {
    type = parent.typeDescriptions?.typeString ?? undefined;
  } else if (parent.nodeType === "FunctionCall") {
    const at = parent.arguments!.indexOf(node);
    const parameters = /^function \(([^()]*)\)/.exec(parent.expression?.typeDescriptions?.typeString ?? "")?.[1];
    type = parameters?.split(",")[at];
  }
  return type !== undefined && /^uint\d+$/.test(type) ? type : undefined;
}

function withImport(source: Source, text: string): string {
  const pragma = /pragma solidity [^;]+;/.exec(text)!;
  const end = pragma.index + pragma[0].length;
  const from = relative(dirname(source.path), LIBRARY);
  return `${text.slice(0, end)}\nimport {Mutant} from "${from.startsWith(".") ? from : `./${from}`}";${text.slice(end)}`;
}

/** Where blocks say in their coinbase which mutant is on: this plus its number. */
export const COINBASE = 0x4d757461n << 128n;

/** What asks which mutant is on, and those operators that need a function of their own. */
function library(helpers: Map<string, string>): string {
  return `// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

library Mutant {
    function on(uint256 id) internal view returns (bool mutated) {
        assembly ("memory-safe") {
            mutated := eq(coinbase(), add(${COINBASE}, id))
        }
    }

    ${[...helpers.values()].join("\n    ")}
}
`;
}
