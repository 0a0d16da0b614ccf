// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Permutation} from "../libraries/Permutation.sol";
import {within} from "./Vm.sol";

contract PermutationTest {
    /// @dev Small sizes as often as large ones.
    function testFuzz_ordersEveryElementOnceAndBack(bytes32 key, uint256 n) external pure {
        n = within(n, 1, 1 << within(uint256(key), 0, 12));
        _check(key, within(n, 1, 5_000));
    }

    function test_ordersFiveThousand() external pure {
        _check(keccak256("five thousand"), 5_000);
        _check(keccak256("a square"), 4_900);
        _check(keccak256("a square and one"), 4_901);
    }

    function testFuzz_invertsAtAnySize(bytes32 key, uint256 n, uint256 place) external pure {
        n = within(n, 1, type(uint24).max);
        place = within(place, 0, n - 1);
        uint256 element = Permutation.elementAt(key, place, n);
        require(element < n, "out of range");
        require(Permutation.placeOf(key, element, n) == place, "not the inverse");
    }

    function _check(bytes32 key, uint256 n) private pure {
        bool[] memory seen = new bool[](n);
        for (uint256 place; place < n; ++place) {
            uint256 element = Permutation.elementAt(key, place, n);
            require(element < n, "out of range");
            require(!seen[element], "twice");
            seen[element] = true;
            require(Permutation.placeOf(key, element, n) == place, "not the inverse");
        }
    }
}
