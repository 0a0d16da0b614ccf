import { createRequire } from "node:module";
import { defineConfig } from "hardhat/config";
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
  },
});
