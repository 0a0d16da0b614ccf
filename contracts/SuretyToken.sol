// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title SuretyToken: a plain ERC-20 of fixed supply for local chains and testnets
/// @notice A deployment may use any other ERC-20 that takes no fee on transfer and does not rebase.
contract SuretyToken is ERC20, ERC20Permit {
    /// @param supply Base units minted to `holder`; there is no other way to mint.
    constructor(address holder, uint256 supply) ERC20("Surety", "SURE") ERC20Permit("Surety") {
        _mint(holder, supply);
    }
}
