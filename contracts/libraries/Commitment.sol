// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @notice What a member shows of one task: what it committed to, and the salt that hid it.
/// @param task Index in the batch.
/// @param digest What is compared between members.
/// @param salt 32 random bytes; without them a digest of few possible values could be guessed.
struct Opening {
    uint256 task;
    bytes32 digest;
    bytes32 salt;
}

/// @title Commitment: what binds a member to its results without showing them
/// @notice Every leaf names chain, market, batch, task and member, so that a commitment copied to another place is
/// worthless there. Leaves are hashed twice, so that no inner node passes for a leaf. One tree per submission.
/// @dev Pure; `sdk/src/commitment.ts` is its twin, and OpenZeppelin's StandardMerkleTree builds the trees.
library Commitment {
    /// @notice Makes a digest worthless in any other batch.
    function batchNonce(address market, bytes32 batch) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, market, batch));
    }

    /// @notice What members of a panel compare for one task.
    /// @param outputRoot sha2-256 of the canonical output directory's root block.
    function digest(bytes32 nonce, uint256 task, bytes32 outputRoot) internal pure returns (bytes32) {
        return keccak256(abi.encode(nonce, task, outputRoot));
    }

    /// @notice The leaf of `opening` in the tree of `member`.
    function leaf(address market, bytes32 batch, address member, Opening memory opening)
        internal
        view
        returns (bytes32)
    {
        return keccak256(
            bytes.concat(
                keccak256(
                    abi.encode(block.chainid, market, batch, opening.task, member, opening.digest, opening.salt)
                )
            )
        );
    }

    /// @notice Whether `member` committed to `opening` under `root`.
    function verify(
        bytes32 root,
        address market,
        bytes32 batch,
        address member,
        Opening memory opening,
        bytes32[] memory proof
    ) internal view returns (bool) {
        return MerkleProof.verify(proof, root, leaf(market, batch, member, opening));
    }

    /// @notice What a juror commits to before any result of its jury is known.
    /// @param value The task's output root: an opened digest does not tell it, so that a copied one is worthless.
    function ballot(
        address market,
        bytes32 batch,
        uint256 assignment,
        uint256 task,
        uint256 tier,
        address juror,
        bytes32 value,
        bytes32 salt
    ) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, market, batch, assignment, task, tier, juror, value, salt));
    }

    /// @notice What a requester commits to when it posts a batch: its secret for that one batch.
    function seed(address market, bytes32 job, uint64 sequence, bytes32 secret) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, market, job, sequence, secret));
    }
}
