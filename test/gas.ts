import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/*
 * Measures what the contracts cost and compares it with bench/gas.json: `npm run gas`. With
 * SURETY_UPDATE_GAS=1 it writes that file anew.
 */

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const { status } = spawnSync(
  process.execPath,
  [path("../node_modules/hardhat/dist/src/cli.js"), "test", "mocha", "test/contracts/gas.test.ts"],
  { cwd: path(".."), stdio: "inherit" },
);
process.exitCode = status ?? 1;
