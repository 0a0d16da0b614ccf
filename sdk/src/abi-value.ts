import type { ParamType, Result } from "ethers";

import { MATTERS, MODES, OUTCOMES, RUNTIMES, STAGES, VERDICTS } from "./terms.ts";

/** Widest integer that becomes a number; all counts, indices and times of the contracts are within it. */
const NUMBER_BITS = 48;

/** The names of a contract's enums, by the name of the field: the ABI itself knows them as uint8. */
export type EnumNames = Readonly<Record<string, readonly string[]>>;

/** The enums of market and registry. */
const MARKET_ENUMS: EnumNames = {
  mode: MODES,
  verdict: VERDICTS,
  outcome: OUTCOMES,
  matter: MATTERS,
  stage: STAGES,
  runtime: RUNTIMES,
};

/**
 * Values as ethers decodes them, as plain data: structs as objects, integers of up to 48 bits as numbers and wider
 * ones as bigints, enums as texts. What the types of this package describe.
 *
 * @param params What was decoded, e.g. `fragment.outputs`; what has no name is called by its place: "0".
 * @param enums Default: those of market and registry.
 * @throws RangeError if an enum has a value this version does not know
 */
export function plainObject(
  params: readonly ParamType[],
  values: Result,
  enums: EnumNames = MARKET_ENUMS,
): Record<string, unknown> {
  return Object.fromEntries(
    params.map((param, index) => [fieldName(param, index), plainValue(param, values[index], enums)]),
  );
}

/** One value as {@link plainObject} gives it. */
export function plainValue(param: ParamType, value: unknown, enums: EnumNames = MARKET_ENUMS): unknown {
  if (param.isArray()) return [...(value as Result)].map((item) => plainValue(param.arrayChildren, item, enums));
  if (param.isTuple()) return plainObject(param.components, value as Result, enums);
  if (typeof value !== "bigint") return value;
  const names = param.type === "uint8" ? enums[param.name] : undefined;
  if (names) {
    const name = names[Number(value)];
    if (name === undefined) throw new RangeError(`${param.name} ${value} is unknown`);
    return name;
  }
  return Number(/^u?int(\d+)$/.exec(param.type)?.[1]) <= NUMBER_BITS ? Number(value) : value;
}

/** The generated types cannot name a parameter `class`, so the contracts say `classId` where structs say `class`. */
function fieldName(param: ParamType, place: number): string {
  return param.name === "classId" ? "class" : param.name || String(place);
}
