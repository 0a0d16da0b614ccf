import { SuretyError } from "./errors.ts";

/**
 * A transaction to be: whoever signs and sends it makes the call. The modules of calls have one function per function of
 * the contracts, of the same name; what each does and refuses stands in the contracts' interfaces. The first parameter is
 * always the contract's address. All throw `CALL_INVALID` for values that do not fit their types.
 *
 * @example
 * ```ts
 * const { to, data } = calls.claim(deployment.market, { terms, batch, slot: 3, count: 10, minPrice: terms.price });
 * await signer.sendTransaction({ to, data });
 * ```
 */
export interface ContractCall {
  /** Address of the contract. */
  to: string;
  /** ABI-encoded, hexadecimal. */
  data: string;
}

/**
 * A call as it is encoded.
 *
 * @throws SuretyError `CALL_INVALID` for a value that does not fit its type: ethers' complaint as one of ours
 */
export function contractCall(to: string, encode: () => string): ContractCall {
  try {
    return { to, data: encode() };
  } catch (cause) {
    const { argument, value, shortMessage } = cause as { argument?: string; value?: unknown; shortMessage?: string };
    throw new SuretyError(
      "CALL_INVALID",
      `${argument ?? "an argument"} is ${String(value).slice(0, 100)}: ${shortMessage ?? "it does not fit"}`,
      {
        details: { argument, actual: String(value).slice(0, 100) },
        cause,
      },
    );
  }
}
