// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {DELIVERED, UNDELIVERED} from "../interfaces/IMarket.sol";
import {Commitment, Opening} from "../libraries/Commitment.sol";

/// @notice What kind of node it is.
/// - Honest: computes right, delivers, and takes every step that is due to it in time.
/// - Colluding: most results are false, the same false one as its friends'.
/// - Lying: half its results are false, and nobody else's are like them.
/// - Silent: commits to nothing that can be opened, delivers nothing, casts nothing.
/// - Whimsical: as lying, and does what it should or does not.
/// - Watching: has stake, computes right, and is in no pool.
enum Character {
    Honest,
    Colluding,
    Lying,
    Silent,
    Whimsical,
    Watching
}

uint256 constant HONEST = 10;
uint256 constant COLLUDING = 4;
/// @dev Nodes that are in the pool at first.
uint256 constant POOLED = HONEST + COLLUDING + 4;
/// @dev All nodes: the last one watches.
uint256 constant NODES = POOLED + 1;

/// @title Characters: what nodes compute, commit to and vote for
library Characters {
    /// @notice The character of the node of index `index`.
    function named(uint256 index) internal pure returns (Character) {
        if (index < HONEST) return Character.Honest;
        if (index < HONEST + COLLUDING) return Character.Colluding;
        if (index == HONEST + COLLUDING) return Character.Lying;
        if (index == HONEST + COLLUDING + 1) return Character.Silent;
        return index < POOLED ? Character.Whimsical : Character.Watching;
    }

    /// @notice What a task's output root is.
    function truth(bytes32 batch, uint256 task) internal pure returns (bytes32) {
        return keccak256(abi.encode("output", batch, task));
    }

    /// @notice What a node says that it is.
    function valueOf(Character character, address node, bytes32 batch, uint256 task) internal pure returns (bytes32) {
        if (character == Character.Honest || character == Character.Watching) return truth(batch, task);
        bool friends = character == Character.Colluding;
        address mind = friends ? address(0) : node;
        uint256 mood = uint256(keccak256(abi.encode("mood", batch, task, mind)));
        if (mood % (friends ? 4 : 2) == 0) return truth(batch, task);
        return keccak256(abi.encode("false output", batch, task, mind));
    }

    /// @notice {DELIVERED} or {UNDELIVERED}: whether what a node published can be fetched and read.
    function delivery(Character character, address node, bytes32 batch) internal pure returns (bytes32) {
        if (character == Character.Silent) return UNDELIVERED;
        if (character != Character.Whimsical) return DELIVERED;
        return uint256(keccak256(abi.encode("delivery", batch, node))) % 2 == 0 ? DELIVERED : UNDELIVERED;
    }

    /// @notice What a node can show of `task`.
    function openingOf(Character character, address market, address node, bytes32 batch, uint256 task)
        internal
        view
        returns (Opening memory)
    {
        bytes32 value = valueOf(character, node, batch, task);
        bytes32 digest = Commitment.digest(Commitment.batchNonce(market, batch), task, value);
        return Opening(task, digest, keccak256(abi.encode("salt", batch, node, task)));
    }

    /// @notice The root that a node commits to for `tasks`, and what proves the one at `index` under it.
    function commitment(
        Character character,
        address market,
        address node,
        bytes32 batch,
        uint256[] memory tasks,
        uint256 index
    ) internal view returns (bytes32 root, bytes32[] memory proof) {
        bytes32[] memory level = new bytes32[](tasks.length);
        for (uint256 i; i < tasks.length; ++i) {
            level[i] = Commitment.leaf(
                market, batch, node, openingOf(character, market, node, batch, tasks[i])
            );
        }
        proof = new bytes32[](8);
        uint256 steps;
        uint256 size = tasks.length;
        for (; size > 1; size = (size + 1) / 2) {
            if (index ^ 1 < size) proof[steps++] = level[index ^ 1];
            index /= 2;
            for (uint256 i; i < size; i += 2) {
                // The last of an odd level moves up as it is.
                level[i / 2] = i + 1 < size ? Hashes.commutativeKeccak256(level[i], level[i + 1]) : level[i];
            }
        }
        assembly ("memory-safe") {
            // Shorten to what was used.
            mstore(proof, steps)
        }
        root = character == Character.Silent ? keccak256(abi.encode("nothing", batch, node)) : level[0];
    }
}
