import { Interface } from "ethers";

import { IMarket__factory } from "./types/factories/interfaces/IMarket.sol/IMarket__factory.ts";
import { IRegistry__factory } from "./types/factories/interfaces/IRegistry__factory.ts";
import { IRequests__factory } from "./types/factories/interfaces/IRequests__factory.ts";
import { ISchemas__factory } from "./types/factories/interfaces/ISchemas__factory.ts";
import { IVault__factory } from "./types/factories/interfaces/IVault__factory.ts";

/** Functions, events and errors of a market: all its parts answer at the market's address. */
export const marketInterface = IMarket__factory.createInterface();

/** Functions, events and errors of the registry. */
export const registryInterface = IRegistry__factory.createInterface();

/** Functions, events and errors of the vault. */
export const vaultInterface = IVault__factory.createInterface();

/** Functions, events and errors of job schemas and their trees. */
export const schemasInterface = ISchemas__factory.createInterface();

/** Functions, events and errors of requests for evaluated jobs. */
export const requestsInterface = IRequests__factory.createInterface();

/** What is used of the token: any ERC-20. The errors are ERC-6093's. */
export const tokenInterface = new Interface([
  "function name() view returns (string)",
  "function symbol() view returns (string)",
  "function decimals() view returns (uint8)",
  "function totalSupply() view returns (uint256)",
  "function balanceOf(address account) view returns (uint256)",
  "function allowance(address owner, address spender) view returns (uint256)",
  "function approve(address spender, uint256 value) returns (bool)",
  "function transfer(address to, uint256 value) returns (bool)",
  "event Transfer(address indexed from, address indexed to, uint256 value)",
  "event Approval(address indexed owner, address indexed spender, uint256 value)",
  "error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)",
  "error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)",
]);
