import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { configVariable, defineConfig } from "hardhat/config";
import toolbox from "@nomicfoundation/hardhat-toolbox-mocha-ethers";

const require = createRequire(import.meta.url);

/** The compiler comes from npm, so that nothing is downloaded from elsewhere. */
const compiler = {
  version: "0.8.37",
  path: require.resolve("solc/soljson.js"),
  settings: {
    viaIR: true,
    evmVersion: "prague",
    optimizer: { enabled: true, runs: 200 },
  },
} as const;

/** How often each fuzz test is run; more than the default by SURETY_FUZZ_RUNS. */
const runs = Number(process.env["SURETY_FUZZ_RUNS"] ?? 256);

/** The networks of `deploy/networks`, for publishing the source of what `surety deploy` deployed there. */
const folder = new URL("./deploy/networks/", import.meta.url);
const published = readdirSync(folder)
  .map(
    (file) =>
      JSON.parse(readFileSync(new URL(file, folder), "utf8")) as { name: string; chainId: number; rpcEnv: string },
  )
  .filter(({ name }) => name !== "localhost")
  .map(({ name, chainId, rpcEnv }) => [name, { type: "http", chainId, url: configVariable(rpcEnv) }] as const);

export default defineConfig({
  plugins: [toolbox],
  solidity: { profiles: { default: compiler, production: compiler } },
  paths: {
    sources: "./contracts",
    tests: { solidity: "./contracts/test", mocha: "./test/contracts" },
    ignition: "./deploy",
  },
  test: { solidity: { fuzz: { runs }, invariant: { runs, depth: 40, failOnRevert: true } } },
  typechain: { outDir: "./sdk/src/types" },
  networks: {
    default: { type: "edr-simulated", chainType: "l1", hardfork: "prague" },
    ...Object.fromEntries(published),
  },
  // Etherscan and its likes want a key of whoever publishes; Blockscout and Sourcify do not.
  verify: { etherscan: { apiKey: configVariable("ETHERSCAN_API_KEY") } },
});
