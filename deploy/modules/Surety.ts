import { buildModule } from "@nomicfoundation/hardhat-ignition/modules";
import { buildMarket } from "./market.ts";

/** A token of its own, minted to the deployer, and a market that uses it. */
export default buildModule("Surety", (m) => {
  const token = m.contract("SuretyToken", [m.getAccount(0), m.getParameter("tokenSupply")]);
  return { token, ...buildMarket(m, token) };
});
