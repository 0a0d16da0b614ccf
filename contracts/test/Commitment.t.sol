// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Commitment, Opening} from "../libraries/Commitment.sol";
import {within} from "./Vm.sol";

contract CommitmentTest {
    address private constant MARKET = address(0x4d61726b6574);

    function testFuzz_opensEveryLeafAndNothingElse(bytes32 batch, address member, uint256 count, bytes32 dice)
        external
        view
    {
        count = within(count, 1, 33);
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 task; task < count; ++task) {
            leaves[task] = Commitment.leaf(MARKET, batch, member, _opening(dice, task));
        }
        uint256 chosen = within(uint256(dice), 0, count - 1);
        (bytes32 root, bytes32[] memory proof) = _tree(leaves, chosen);
        Opening memory opening = _opening(dice, chosen);
        require(Commitment.verify(root, MARKET, batch, member, opening, proof), "a leaf does not open");

        require(!Commitment.verify(root, MARKET, ~batch, member, opening, proof), "in another batch");
        require(!Commitment.verify(root, address(1), batch, member, opening, proof), "in another market");
        address other = address(uint160(member) ^ 1);
        require(!Commitment.verify(root, MARKET, batch, other, opening, proof), "for another member");
        opening.task ^= 1;
        require(!Commitment.verify(root, MARKET, batch, member, opening, proof), "for another task");
        opening.task ^= 1;
        opening.digest ^= bytes32(uint256(1));
        require(!Commitment.verify(root, MARKET, batch, member, opening, proof), "another digest");
        opening.digest ^= bytes32(uint256(1));
        opening.salt ^= bytes32(uint256(1));
        require(!Commitment.verify(root, MARKET, batch, member, opening, proof), "another salt");
        opening.salt ^= bytes32(uint256(1));
        if (proof.length != 0) {
            assembly ("memory-safe") {
                mstore(proof, sub(mload(proof), 1))
            }
            require(!Commitment.verify(root, MARKET, batch, member, opening, proof), "a proof cut short");
            require(!Commitment.verify(root, MARKET, batch, member, opening, new bytes32[](0)), "an empty proof");
        }
    }

    function testFuzz_givesADigestPerBatchAndTask(bytes32 batch, uint256 task, bytes32 output) external view {
        bytes32 nonce = Commitment.batchNonce(MARKET, batch);
        bytes32 digest = Commitment.digest(nonce, task, output);
        require(digest != Commitment.digest(Commitment.batchNonce(MARKET, ~batch), task, output), "in another batch");
        require(digest != Commitment.digest(nonce, ~task, output), "for another task");
        require(digest != Commitment.digest(nonce, task, ~output), "for another output");
    }

    function testFuzz_bindsASeedToOneBatch(bytes32 job, uint64 sequence, bytes32 secret) external view {
        bytes32 commitment = Commitment.seed(MARKET, job, sequence, secret);
        require(commitment != Commitment.seed(address(1), job, sequence, secret), "on another market");
        require(commitment != Commitment.seed(MARKET, ~job, sequence, secret), "for another job");
        require(commitment != Commitment.seed(MARKET, job, ~sequence, secret), "for another batch");
        require(commitment != Commitment.seed(MARKET, job, sequence, ~secret), "of another secret");
    }

    function _opening(bytes32 dice, uint256 task) private pure returns (Opening memory) {
        return Opening(task, keccak256(abi.encode(dice, task)), keccak256(abi.encode(dice, task, "salt")));
    }

    /// @dev The root over `leaves`, and the proof of one of them; an odd node is carried up.
    function _tree(bytes32[] memory leaves, uint256 chosen)
        private
        pure
        returns (bytes32 root, bytes32[] memory proof)
    {
        bytes32[] memory level = leaves;
        proof = new bytes32[](6);
        uint256 length;
        while (level.length > 1) {
            bytes32[] memory next = new bytes32[]((level.length + 1) / 2);
            for (uint256 i; i < level.length; i += 2) {
                next[i / 2] = i + 1 < level.length ? Hashes.commutativeKeccak256(level[i], level[i + 1]) : level[i];
            }
            if (chosen ^ 1 < level.length) proof[length++] = level[chosen ^ 1];
            chosen /= 2;
            level = next;
        }
        root = level[0];
        assembly ("memory-safe") {
            mstore(proof, length)
        }
    }
}
