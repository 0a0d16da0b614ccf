import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { root } from "./syntax.ts";

/** Tests that say nothing of what the contracts do: what they cost, and how they are put on a chain. */
const LEFT_OUT = /\/(gas|deploy|client)\.test\.ts$/;
/** What the contracts' tests import. */
const COPIED = ["package.json", "sdk", "deploy", "test/contracts", "test/support"];
/** Of the contracts that only tests use, those that the tests in TypeScript deploy. */
const HELPERS = ["contracts/test/TwinHarness.sol", "contracts/test/HostileToken.sol"];

/** Hardly optimised: code with thousands of switches in it is for one use, and optimising it takes half an hour. */
export const HASTY = `{
      enabled: true,
      runs: 1,
      details: {
        inliner: false,
        cse: false,
        constantOptimizer: false,
        deduplicate: false,
        yul: true,
        yulDetails: { stackAllocation: true, optimizerSteps: "dhfoDnTUtn:fDnTOcmu" },
      },
    }`;
/** As the contracts themselves are compiled. */
export const USUAL = `{ enabled: true, runs: 200 }`;

const configOf = (optimizer: string): string => `import { createRequire } from "node:module";
import { defineConfig } from "hardhat/config";
import toolbox from "@nomicfoundation/hardhat-toolbox-mocha-ethers";

const compiler = {
  version: "0.8.37",
  path: createRequire(import.meta.url).resolve("solc/soljson.js"),
  settings: {
    viaIR: true,
    evmVersion: "prague",
    optimizer: ${optimizer},
  },
};

export default defineConfig({
  plugins: [toolbox],
  solidity: { profiles: { default: compiler, production: compiler } },
  paths: { sources: "./contracts", tests: { solidity: "./contracts/test", mocha: "./test/contracts" } },
  typechain: { outDir: "./sdk/src/types" },
  networks: {
    default: {
      type: "edr-simulated",
      chainType: "l1",
      hardfork: "prague",
      allowUnlimitedContractSize: true,
      blockGasLimit: 200_000_000,
    },
  },
});
`;

/** A copy of the project with changed contracts, in a folder of its own. */
export interface Project {
  folder: string;
  /** Absolute paths of the tests that are run. */
  tests: string[];
  /** Change with the contracts, and with the tests and all they import. */
  contractsHash: string;
  testsHash: string;
}

/** Writes the copy called `name` and compiles it, where it is not there already; `optimizer` is {@link HASTY} or {@link USUAL}. */
export function prepareProject(name: string, contracts: Map<string, string>, optimizer: string): Project {
  const config = configOf(optimizer);
  const folder = join(root, "cache", name, "project");
  const files = new Map(contracts);
  const others = [...globSync("contracts/interfaces/*.sol", { cwd: root }), ...HELPERS];
  // What switches mutants reads the chain.
  for (const path of others) files.set(path, readFileSync(join(root, path), "utf8").replaceAll(/\bpure\b/g, "view"));
  const contractsHash = hash([config, ...[...files].flat()]);
  const paths = COPIED.flatMap((path) =>
    globSync([path, `${path}/**/*.{ts,json}`], { cwd: root, exclude: ["**/node_modules", "**/types"] }),
  );
  const testsHash = hash(
    paths
      .filter((path) => /\.\w+$/.test(path))
      .sort()
      .map((path) => path + readFileSync(join(root, path), "utf8")),
  );

  const stamp = join(folder, "..", "built");
  const built = existsSync(stamp) ? readFileSync(stamp, "utf8") : "";
  if (built !== contractsHash) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const [path, text] of files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
  }
  for (const path of ["test", "sdk/node_modules"]) rmSync(join(folder, path), { recursive: true, force: true });
  for (const path of COPIED) {
    cpSync(join(root, path), join(folder, path), {
      recursive: true,
      filter: (from) => !/node_modules|sdk\/src\/types$/.test(from.slice(root.length)),
    });
  }
  const own = join(root, "sdk/node_modules");
  if (existsSync(own)) symlinkSync(own, join(folder, "sdk/node_modules"), "junction");
  writeFileSync(join(folder, "hardhat.config.ts"), config);
  if (built !== contractsHash) {
    const hardhat = join(root, "node_modules/hardhat/dist/src/cli.js");
    const { status, stderr } = spawnSync(process.execPath, [hardhat, "build", "--quiet"], {
      cwd: folder,
      stdio: ["ignore", "ignore", "pipe"],
      encoding: "utf8",
      env: { ...process.env, HARDHAT_DISABLE_TELEMETRY_PROMPT: "true" },
    });
    if (status !== 0) throw new Error(`the changed contracts do not compile:\n${stderr}`);
    writeFileSync(stamp, contractsHash);
  }
  const tests = globSync("test/contracts/*.test.ts", { cwd: folder })
    .filter((path) => !LEFT_OUT.test(path))
    .sort()
    .map((path) => join(folder, path));
  return { folder, tests, contractsHash, testsHash };
}

export function hash(texts: string[]): string {
  const sum = createHash("sha256");
  for (const text of texts) sum.update(text).update("\0");
  return sum.digest("hex");
}
