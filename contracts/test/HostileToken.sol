// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IVault} from "../interfaces/IVault.sol";

/// @notice What a {HostileToken} does on a transfer.
/// - Plain: nothing odd.
/// - Fee: keeps a tenth.
/// - False: moves nothing and says so only in the return value.
/// - Reenter: calls the vault in the middle.
enum Malice {
    Plain,
    Fee,
    False,
    Reenter
}

/// @title HostileToken: an ERC-20 of the kinds a vault must refuse
contract HostileToken is ERC20("Hostile", "HOST") {
    Malice public malice;

    constructor(address holder, uint256 supply) {
        _mint(holder, supply);
    }

    function turn(Malice malice_) external {
        malice = malice_;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (malice == Malice.False) return false;
        return super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (malice == Malice.False) return false;
        return super.transferFrom(from, to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (malice == Malice.Reenter && from != address(0)) {
            IVault vault = IVault(from.code.length != 0 ? from : to);
            vault.deposit(address(this), address(this), 1);
        }
        uint256 fee = malice == Malice.Fee ? amount / 10 : 0;
        if (fee != 0) super._update(from, address(this), fee);
        super._update(from, to, amount - fee);
    }
}
