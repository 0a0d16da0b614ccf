import { buildModule } from "@nomicfoundation/hardhat-ignition/modules";
import { buildMarket } from "./market.ts";

/** A market that uses a token which is there already: any ERC-20 without fee on transfer and without rebasing. */
export default buildModule("SuretyOnToken", (m) => {
  const token = m.contractAt("SuretyToken", m.getParameter("token"));
  return { token, ...buildMarket(m, token) };
});
