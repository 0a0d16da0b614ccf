import type {
  IgnitionModuleBuilder,
  NamedArtifactContractAtFuture,
  NamedArtifactContractDeploymentFuture,
} from "@nomicfoundation/ignition-core";

type Token = NamedArtifactContractDeploymentFuture<string> | NamedArtifactContractAtFuture<string>;

/** As in `deploy/parameters.ts`: parameter files may leave it out. */
const DROP_INTERVAL = 86_400;

/** Numbers of runtimes in the contracts. */
const WASM = 1;
const CONTAINER = 2;

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
  const common = { market, slotStake: m.getParameter("slotStake"), priceFloor: m.getParameter("priceFloor") };
  const wasm = { runtime: WASM, fullSlash: m.getParameter("fullSlash"), resources: m.getParameter("resources") };
  const container = { runtime: CONTAINER, fullSlash: false, resources: m.getParameter("containerResources") };
  m.call(registry, "createClass", [{ ...common, ...wasm }]);
  m.call(registry, "createClass", [{ ...common, ...container }], { id: "createContainerClass" });
  const schemas = m.contract("Schemas", [m.getParameter("dropInterval", DROP_INTERVAL)]);
  const requests = m.contract("Requests", [vault, schemas, parameters.minWindow, parameters.maxWindow]);
  return { vault, registry, panels, market, schemas, requests };
}
