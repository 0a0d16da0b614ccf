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

export default defineConfig({
  plugins: [toolbox],
  solidity: { profiles: { default: compiler, production: compiler } },
  paths: { sources: "./contracts", tests: { solidity: "./contracts/test", mocha: "./test/contracts" }, ignition: "./deploy" },
  typechain: { outDir: "./sdk/src/types" },
  networks: {
    default: { type: "edr-simulated", chainType: "l1", hardfork: "prague" },
  },
});
