import { readFile } from "node:fs/promises";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** A compiled contract, as Hardhat writes it. */
export interface Artifact {
  _format: string;
  contractName: string;
  sourceName: string;
  abi: Record<string, unknown>[];
  /** What creates it, hex. */
  bytecode: string;
  /** What is at its address then, hex, with zeros where its immutable values go. */
  deployedBytecode: string;
  linkReferences: Record<string, never>;
  deployedLinkReferences: Record<string, never>;
  /** Where those are: bytes from the beginning. */
  immutableReferences?: Record<string, { start: number; length: number }[]>;
  /** Names the file with all that went into the compiler. */
  buildInfoId?: string;
}

const folder = new URL("../artifacts/", import.meta.url);

/**
 * Reads a compiled contract.
 *
 * @param name One file of `contracts`, without its ending.
 * @throws SuretyError `ARTIFACTS_MISSING` (exit 2) if the contracts were not compiled
 */
export async function readArtifact(name: string): Promise<Artifact> {
  try {
    const file = new URL(`contracts/${name}.sol/${name}.json`, folder);
    return JSON.parse(await readFile(file, "utf8")) as Artifact;
  } catch (cause) {
    throw new SuretyError("ARTIFACTS_MISSING", `the contract ${name} is not compiled`, {
      details: { contract: name },
      fix: "Run npm run build.",
      exit: ExitStatus.badInput,
      cause,
    });
  }
}

/** Reads what went into the compiler for a contract; undefined if it was not kept. */
export async function readBuildInfo(name: string): Promise<unknown> {
  const { buildInfoId } = await readArtifact(name);
  if (buildInfoId === undefined) return undefined;
  return JSON.parse(await readFile(new URL(`build-info/${buildInfoId}.json`, folder), "utf8")) as unknown;
}

/** Whether the code at an address is what a contract compiles to, whatever its immutable values are. */
export function isCodeOf({ deployedBytecode, immutableReferences = {} }: Artifact, code: string): boolean {
  const expected = Buffer.from(deployedBytecode.slice(2), "hex");
  const actual = Buffer.from(code.slice(2), "hex");
  if (expected.length !== actual.length) return false;
  for (const { start, length } of Object.values(immutableReferences).flat()) {
    expected.fill(0, start, start + length);
    actual.fill(0, start, start + length);
  }
  return expected.equals(actual);
}
