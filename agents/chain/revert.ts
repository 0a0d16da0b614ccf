import { Interface, type Result } from "ethers";
import { ExitStatus, SuretyError, type ErrorDetails } from "#sdk/errors.ts";

/** What a contract said when it reverted. */
export interface Revert {
  /** Name of the custom error, `Error` or `Panic`; undefined if nothing known was returned. */
  errorName?: string;
  /** The error's arguments by name, as text; unnamed ones by position. */
  args: Record<string, string>;
}

/** A contract refused the call: `CALL_REVERTED`, exit 4. */
export class CallReverted extends SuretyError {
  override readonly name = "CallReverted";
  readonly errorName: string | undefined;
  readonly args: Record<string, string>;

  constructor(message: string, revert: Revert, details: ErrorDetails = {}, cause?: unknown) {
    super("CALL_REVERTED", message, {
      details: { ...details, error: revert.errorName, ...revert.args },
      cause,
      exit: ExitStatus.refused,
    });
    this.errorName = revert.errorName;
    this.args = revert.args;
  }
}

const builtIn = new Interface(["error Error(string reason)", "error Panic(uint256 code)"]);

/**
 * Reads the returned bytes of a revert.
 *
 * @param data hex, or undefined if the node gave none
 * @param interfaces those of the contracts that may have reverted
 */
export function decodeRevert(data: string | undefined, interfaces: readonly Interface[]): Revert {
  if (!data || data.length < 10) return { args: {} };
  for (const each of [builtIn, ...interfaces]) {
    try {
      const error = each.parseError(data);
      if (error) return { errorName: error.name, args: argumentsOf(error.args, error.fragment.inputs) };
    } catch {
      // The selector is known, but the arguments are not what it says: as good as unknown.
    }
  }
  return { args: { data } };
}

/** One line for people: `TooLate(actual 12, expected 10)`. */
export function describeRevert(revert: Revert): string {
  if (revert.errorName === "Error") return revert.args.reason ?? "";
  const args = Object.entries(revert.args).map(([name, value]) => `${name} ${value}`);
  return `${revert.errorName ?? "no reason"}${args.length > 0 ? `(${args.join(", ")})` : ""}`;
}

function argumentsOf(values: Result, inputs: readonly { name: string }[]): Record<string, string> {
  return Object.fromEntries(inputs.map((input, index) => [input.name || String(index), String(values[index])]));
}

/** How a node's refusal of a call or transaction is to be taken. */
export type Refusal = "reverted" | "unfunded" | "underpriced" | "known" | "stale-nonce" | "other";

const wordings: readonly [Refusal, RegExp][] = [
  ["known", /already (known|imported|exists)|known transaction/i],
  ["unfunded", /insufficient funds|enough funds|insufficient balance|insufficient maxfeepergas for sender/i],
  [
    "underpriced",
    /underpriced|max fee per gas less than block base fee|maxfeepergas.*too low|fee cap less than|fee too low/i,
  ],
  ["stale-nonce", /nonce too low|nonce.*(already|expected nonce)|old nonce/i],
  ["reverted", /revert|out of gas|invalid opcode|gas required exceeds|stack (over|under)flow|execution error/i],
];

/** Nodes agree on no codes for these, only more or less on the words. */
export function refusalOf(error: unknown): Refusal {
  const data = revertData(error);
  // A contract's own words come with data, and must not be taken for the node's.
  if (data !== undefined && data !== "0x") return "reverted";
  const message = messagesOf(error).join("\n");
  return wordings.find(([, wording]) => wording.test(message))?.[0] ?? (data === undefined ? "other" : "reverted");
}

/** The bytes that a reverted call returned, wherever the node and the library put them. */
export function revertData(error: unknown): string | undefined {
  for (const each of layersOf(error)) {
    const { data } = each as { data?: unknown };
    if (typeof data === "string" && /^0x([0-9a-f]{2})*$/i.test(data)) return data;
  }
  return undefined;
}

function messagesOf(error: unknown): string[] {
  return layersOf(error).map((each) => String((each as { message?: unknown }).message ?? ""));
}

/** An error and those wrapped in it, by the habits of ethers, Hardhat, wallets and nodes. */
function layersOf(error: unknown): object[] {
  const layers: object[] = [];
  const queue: unknown[] = [error];
  while (queue.length > 0 && layers.length < 16) {
    const layer = queue.shift();
    if (typeof layer !== "object" || layer === null || layers.includes(layer)) continue;
    layers.push(layer);
    const { cause, info, error: inner, data, originalError } = layer as Record<string, unknown>;
    queue.push(cause, info, inner, data, originalError);
  }
  return layers;
}
