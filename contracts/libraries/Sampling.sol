// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Permutation} from "./Permutation.sol";

/// @dev Rates, shares and chances are parts per million: 1_000_000 is all.
uint256 constant PPM = 1_000_000;

/// @title Sampling: which tasks are run again
/// @notice With u = H(E) mod 1, an assignment of c tasks that begins at offset s has
/// floor((s+c)*rate + u) - floor(s*rate + u) sampled tasks. Each task is sampled with a chance of exactly `rate`, and a
/// batch of N has floor(N*rate) or one more, so that the budget is known when the batch is posted.
/// @dev Pure; `sdk/src/sampling.ts` is its twin.
library Sampling {
    /// @notice E: what decides which tasks are sampled and who verifies.
    /// @param seed The requester's secret, committed to when the batch was posted.
    /// @param blockHash The hash of a block that did not exist when the batch was sealed.
    function entropy(bytes32 seed, bytes32 blockHash, bytes32 batch) internal pure returns (bytes32) {
        return keccak256(abi.encode(seed, blockHash, batch));
    }

    /// @notice u in parts per million: where the sampling grid begins.
    function offset(bytes32 entropy_) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("surety/offset", entropy_))) % PPM;
    }

    /// @notice How many of the `count` tasks from `first` on are sampled.
    function sampledCount(bytes32 entropy_, uint256 first, uint256 count, uint256 rate) internal pure returns (uint256) {
        uint256 u = offset(entropy_);
        return ((first + count) * rate + u) / PPM - (first * rate + u) / PPM;
    }

    /// @notice The most tasks that can be sampled of a batch of `count`: ceil(count*rate).
    function maxSampled(uint256 count, uint256 rate) internal pure returns (uint256) {
        return (count * rate + PPM - 1) / PPM;
    }

    /// @notice The `i`-th sampled task of an assignment, as its index in the batch.
    function sampledTask(bytes32 entropy_, uint256 assignment, uint256 first, uint256 count, uint256 i)
        internal
        pure
        returns (uint256)
    {
        return first + Permutation.elementAt(taskKey(entropy_, assignment), i, count);
    }

    /// @notice Whether `task` is among the sampled tasks of an assignment.
    function isSampled(
        bytes32 entropy_,
        uint256 assignment,
        uint256 first,
        uint256 count,
        uint256 rate,
        uint256 task
    ) internal pure returns (bool) {
        if (task < first || task >= first + count) return false;
        return Permutation.placeOf(taskKey(entropy_, assignment), task - first, count)
            < sampledCount(entropy_, first, count, rate);
    }

    /// @notice The key of the order in which an assignment's tasks are sampled.
    function taskKey(bytes32 entropy_, uint256 assignment) internal pure returns (bytes32) {
        return keccak256(abi.encode("surety/tasks", entropy_, assignment));
    }

    /// @notice The key of the order in which slots are drawn for a round of an assignment's panel.
    /// @param fresh Zero in round 0; in later rounds the hash of a block that did not exist when the round was called.
    function drawKey(bytes32 entropy_, bytes32 fresh, uint256 assignment, uint256 round)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode("surety/draw", entropy_, fresh, assignment, round));
    }

    /// @notice The key of the order in which slots are drawn for a jury.
    /// @param fresh Hash of a block that did not exist when the jury was called.
    /// @param call 2*tier for the first draw, 2*tier+1 for that of the seats that stayed empty.
    function juryKey(bytes32 entropy_, bytes32 fresh, uint256 assignment, uint256 call)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode("surety/jury", entropy_, fresh, assignment, call));
    }
}
