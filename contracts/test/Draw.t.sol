// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Class, ClassId, Runtime} from "../interfaces/IRegistry.sol";
import {Registry} from "../Registry.sol";
import {SuretyToken} from "../SuretyToken.sol";
import {Vault} from "../Vault.sol";
import {vm, within} from "./Vm.sol";

contract DrawTest {
    uint48 private constant DELAY = 100;
    uint48 private constant UNBONDING = 1_000;
    uint256 private constant NODES = 12;

    Registry private registry;
    ClassId private class;

    function setUp() external {
        SuretyToken token = new SuretyToken(address(this), 1e30);
        Vault vault = new Vault(token);
        registry = new Registry(vault, 100, DELAY, UNBONDING);
        class = registry.createClass(Class(address(this), Runtime.Wasm, true, 100, 1, 0));
        token.approve(address(vault), 1e30);
        vm.warp(1_000_000);
        for (uint256 i; i < NODES; ++i) {
            vault.deposit(address(registry), _node(i), 100_000);
            vm.prank(_node(i));
            registry.stake(address(this), 100_000);
        }
    }

    /// @dev A pool of up to 40 places with leavers, holes and newcomers; then everything a draw promises.
    function testFuzz_drawsOnlyWhoMayBeDrawn(bytes32 dice, bytes32 key, uint256 count) external {
        uint24 places = uint24(within(uint256(dice), 1, 40));
        uint256 clock = 1_000_000;
        for (uint24 slot; slot < places; ++slot) {
            uint256 throw_ = uint256(keccak256(abi.encode(dice, slot)));
            clock += throw_ % 50;
            vm.warp(clock);
            vm.prank(_node(throw_ % NODES));
            registry.joinPool(address(this), class, slot);
        }
        for (uint24 slot; slot < places; ++slot) {
            uint256 throw_ = uint256(keccak256(abi.encode(dice, slot, "leave")));
            if (throw_ % 3 != 0) continue;
            clock += throw_ % 50;
            vm.warp(clock);
            vm.prank(registry.slotOf(address(this), class, slot).node);
            registry.leavePool(address(this), class, slot);
            if (throw_ % 9 != 0) continue;
            clock += UNBONDING;
            vm.warp(clock);
            registry.freeSlot(address(this), class, slot);
        }
        uint48 sealedAt = uint48(within(uint256(keccak256(abi.encode(dice, "seal"))), 1_000_000, clock + 200));
        address[] memory skip = _some(dice, "skip");
        address[] memory excluded = _some(dice, "excluded");
        count = within(count, 0, NODES + 2);

        address[] memory drawn =
            registry.draw(address(this), class, key, sealedAt, places, skip, excluded, count);
        require(drawn.length <= count, "too many");
        for (uint256 i; i < drawn.length; ++i) {
            require(_canBeDrawn(drawn[i], places, sealedAt), "not in the pool");
            require(!_contains(skip, drawn[i], skip.length), "a member");
            require(!_contains(excluded, drawn[i], excluded.length), "excluded");
            require(!_contains(drawn, drawn[i], i), "twice");
        }
        // Nobody who could be drawn is passed over while seats are free.
        if (drawn.length == count) return;
        for (uint256 i; i < NODES; ++i) {
            address node = _node(i);
            bool wanted = _canBeDrawn(node, places, sealedAt) && !_contains(skip, node, skip.length)
                && !_contains(excluded, node, excluded.length);
            require(!wanted || _contains(drawn, node, drawn.length), "passed over");
        }
    }

    function _canBeDrawn(address node, uint24 places, uint48 sealedAt) private view returns (bool) {
        for (uint24 slot; slot < places; ++slot) {
            if (registry.slotOf(address(this), class, slot).node != node) continue;
            if (registry.slotOf(address(this), class, slot).activeFrom > sealedAt) continue;
            if (registry.slotOf(address(this), class, slot).leftAt > sealedAt) return true;
        }
        return false;
    }

    function _some(bytes32 dice, string memory what) private pure returns (address[] memory some) {
        uint256 throw_ = uint256(keccak256(abi.encode(dice, what)));
        some = new address[](throw_ % 5);
        for (uint256 i; i < some.length; ++i) {
            some[i] = _node((throw_ >> (8 + 8 * i)) % NODES);
        }
    }

    function _contains(address[] memory list, address node, uint256 length) private pure returns (bool) {
        for (uint256 i; i < length; ++i) {
            if (list[i] == node) return true;
        }
        return false;
    }

    function _node(uint256 i) private pure returns (address) {
        return address(uint160(0xA0DE00 + i));
    }
}
