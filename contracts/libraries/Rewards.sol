// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice How a pot is shared among those that were ranked.
/// - None: no function.
/// - Even: the same for all.
/// - WinnerTakesAll: everything for the best.
/// - ByRank: in proportion to how many were ranked no better: of three 3, 2 and 1.
/// - ByScore: in proportion to the scores; evenly if all are 0.
/// - List: the amounts that the request lists, best first; what it lists beyond the ranked stays.
enum RewardFunction {
    None,
    Even,
    WinnerTakesAll,
    ByRank,
    ByScore,
    List
}

/// @title Rewards: what each rank is paid
/// @notice Every unit has an owner: what rounding leaves over goes to the best, what `List` does not give stays in the pot.
/// Who comes first is the ranking's word alone: equal scores do not share a rank.
/// @dev Pure; `sdk/src/rewards.ts` is its twin.
library Rewards {
    /// @notice What the ranked get, best first; never more than `pot` together.
    /// @param pot Base units.
    /// @param list For `List` only: adds up to at most `pot`.
    /// @param scores One for each that was ranked.
    function split(RewardFunction rewardFunction, uint96 pot, uint96[] memory list, uint128[] memory scores)
        internal
        pure
        returns (uint96[] memory amounts)
    {
        uint256 count = scores.length;
        amounts = new uint96[](count);
        if (count == 0) return amounts;
        if (rewardFunction == RewardFunction.List) {
            for (uint256 i; i < count && i < list.length; ++i) {
                amounts[i] = list[i];
            }
            return amounts;
        }
        if (rewardFunction == RewardFunction.WinnerTakesAll) {
            amounts[0] = pot;
            return amounts;
        }
        uint256 total;
        if (rewardFunction == RewardFunction.ByRank) {
            total = count * (count + 1) / 2;
        } else if (rewardFunction == RewardFunction.ByScore) {
            for (uint256 i; i < count; ++i) {
                total += scores[i];
            }
        }
        bool evenly = total == 0;
        if (evenly) total = count;
        uint256 left = pot;
        for (uint256 i; i < count; ++i) {
            uint256 weight = evenly ? 1 : rewardFunction == RewardFunction.ByRank ? count - i : scores[i];
            // At most 255 scores of 128 bits: the product stays below 2^224, the share at most `pot`.
            uint96 amount = uint96(pot * weight / total);
            amounts[i] = amount;
            left -= amount;
        }
        amounts[0] += uint96(left);
    }
}
