import type {
  IgnitionModuleBuilder,
  NamedArtifactContractAtFuture,
  NamedArtifactContractDeploymentFuture,
} from "@nomicfoundation/ignition-core";

type Token = NamedArtifactContractDeploymentFuture<string> | NamedArtifactContractAtFuture<string>;

/** Number of the runtime `wasm` in the contracts. */
const WASM = 1;

/** All contracts of a deployment around a token. Parameters are the module's; deploy/README.md explains them. */
export function buildMarket(m: IgnitionModuleBuilder, token: Token) {
  const vault = m.contract("Vault", [token]);
  const registry = m.contract("Registry", [
    vault,
    m.getParameter("minStake"),
    m.getParameter("activationDelay"),
    m.getParameter("unbondingPeriod"),
  ]);
  const parameters = {
    minWindow: m.getParameter("minWindow"),
    maxWindow: m.getParameter("maxWindow"),
    finalDepth: m.getParameter("finalDepth"),
    drawDelay: m.getParameter("drawDelay"),
    bondFixed: m.getParameter("bondFixed"),
    bondShare: m.getParameter("bondShare"),
    challengeBond: m.getParameter("challengeBond"),
  };
  const verdicts = m.contract("MarketVerdicts", [vault, registry, parameters]);
  const juries = m.contract("MarketJuries", [vault, registry, parameters, verdicts]);
  const disputes = m.contract("MarketDisputes", [vault, registry, parameters, juries]);
  const panels = m.contract("MarketPanels", [vault, registry, parameters, disputes]);
  const market = m.contract("Market", [vault, registry, parameters, panels]);
  m.call(registry, "createClass", [
    {
      market,
      runtime: WASM,
      fullSlash: m.getParameter("fullSlash"),
      slotStake: m.getParameter("slotStake"),
      priceFloor: m.getParameter("priceFloor"),
      resources: m.getParameter("resources"),
    },
  ]);
  return { vault, registry, panels, market };
}
