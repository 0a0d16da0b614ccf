// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RewardFunction, Rewards} from "../libraries/Rewards.sol";
import {within} from "./Vm.sol";

/// @title Q4: reward functions give no unit twice and lose none
contract RewardsTest {
    function testFuzz_giveEveryUnitOnce(uint8 kind, uint96 pot, uint96[] memory list, uint128[] memory scores) external pure {
        RewardFunction rewardFunction = RewardFunction(within(kind, 1, 5));
        uint256 count = within(scores.length, 0, 255);
        assembly ("memory-safe") {
            mstore(scores, count)
        }
        uint256 left = pot;
        for (uint256 i; i < list.length; ++i) {
            list[i] = uint96(within(list[i], 0, left));
            left -= list[i];
        }
        uint96[] memory amounts = Rewards.split(rewardFunction, pot, list, scores);
        require(amounts.length == count, "another number");
        uint256 sum;
        uint256 listed;
        for (uint256 i; i < count; ++i) {
            sum += amounts[i];
            if (i < list.length) listed += list[i];
        }
        if (count == 0) return;
        require(sum == (rewardFunction == RewardFunction.List ? listed : pot), "a unit lost or given twice");
    }

    /// @notice Nobody ranked better gets less, where scores fall.
    function testFuzz_neverPayTheWorseMore(uint8 kind, uint96 pot, uint128[] memory scores) external pure {
        RewardFunction rewardFunction = RewardFunction(within(kind, 1, 4));
        uint256 count = within(scores.length, 0, 255);
        assembly ("memory-safe") {
            mstore(scores, count)
        }
        for (uint256 i = 1; i < count; ++i) {
            scores[i] = uint128(within(scores[i], 0, scores[i - 1]));
        }
        uint96[] memory amounts = Rewards.split(rewardFunction, pot, new uint96[](0), scores);
        for (uint256 i = 1; i < count; ++i) {
            require(amounts[i] <= amounts[i - 1], "the worse is paid more");
        }
    }

    /// @notice The greatest pot and scores there can be overflow nowhere.
    function test_takeTheGreatestThereCanBe() external pure {
        uint128[] memory scores = new uint128[](255);
        for (uint256 i; i < 255; ++i) {
            scores[i] = type(uint128).max;
        }
        for (uint8 kind = 1; kind <= 4; ++kind) {
            uint96[] memory amounts =
                Rewards.split(RewardFunction(kind), type(uint96).max, new uint96[](0), scores);
            uint256 sum;
            for (uint256 i; i < 255; ++i) {
                sum += amounts[i];
            }
            require(sum == type(uint96).max, "a unit lost");
        }
    }
}
