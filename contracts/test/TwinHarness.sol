// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Terms} from "../interfaces/IMarket.sol";
import {ClassState} from "../interfaces/IRegistry.sol";
import {Parameters} from "../interfaces/IMarket.sol";
import {Commitment, Opening} from "../libraries/Commitment.sol";
import {Permutation} from "../libraries/Permutation.sol";
import {Pricing} from "../libraries/Pricing.sol";
import {RewardFunction, Rewards} from "../libraries/Rewards.sol";
import {Sampling} from "../libraries/Sampling.sol";
import {TermsRules} from "../libraries/TermsRules.sol";

/// @notice The pure libraries in a form that tests can call, many vectors at a time.
contract TwinHarness {
    struct PermutationVector {
        bytes32 key;
        uint256 index;
        uint256 n;
    }

    struct RewardVector {
        RewardFunction rewardFunction;
        uint96 pot;
        uint96[] list;
        uint128[] scores;
    }

    struct SamplingVector {
        bytes32 seed;
        bytes32 blockHash;
        bytes32 batch;
        uint256 assignment;
        uint256 first;
        uint256 count;
        uint256 rate;
        uint256 task;
        uint256 round;
    }

    struct SamplingAnswer {
        bytes32 entropy;
        uint256 offset;
        uint256 sampledCount;
        uint256 maxSampled;
        uint256[] tasks;
        bool isSampled;
        bytes32 taskKey;
        bytes32 drawKey;
    }

    struct CommitmentAnswer {
        bytes32 nonce;
        bytes32 digest;
        bytes32 leaf;
        bytes32 seed;
    }

    function permute(PermutationVector[] calldata vectors)
        external
        pure
        returns (uint256[] memory elements, uint256[] memory places)
    {
        elements = new uint256[](vectors.length);
        places = new uint256[](vectors.length);
        for (uint256 i; i < vectors.length; ++i) {
            elements[i] = Permutation.elementAt(vectors[i].key, vectors[i].index, vectors[i].n);
            places[i] = Permutation.placeOf(vectors[i].key, vectors[i].index, vectors[i].n);
        }
    }

    function reward(RewardVector[] calldata vectors) external pure returns (uint96[][] memory amounts) {
        amounts = new uint96[][](vectors.length);
        for (uint256 i; i < vectors.length; ++i) {
            RewardVector calldata v = vectors[i];
            amounts[i] = Rewards.split(v.rewardFunction, v.pot, v.list, v.scores);
        }
    }

    function sample(SamplingVector[] calldata vectors) external pure returns (SamplingAnswer[] memory answers) {
        answers = new SamplingAnswer[](vectors.length);
        for (uint256 i; i < vectors.length; ++i) {
            answers[i] = _sample(vectors[i]);
        }
    }

    function _sample(SamplingVector calldata v) private pure returns (SamplingAnswer memory a) {
        a.entropy = Sampling.entropy(v.seed, v.blockHash, v.batch);
        a.offset = Sampling.offset(a.entropy);
        a.sampledCount = Sampling.sampledCount(a.entropy, v.first, v.count, v.rate);
        a.maxSampled = Sampling.maxSampled(v.count, v.rate);
        // The first few suffice: each place is read by itself.
        a.tasks = new uint256[](a.sampledCount < 8 ? a.sampledCount : 8);
        for (uint256 i; i < a.tasks.length; ++i) {
            a.tasks[i] = Sampling.sampledTask(a.entropy, v.assignment, v.first, v.count, i);
        }
        a.isSampled = Sampling.isSampled(a.entropy, v.assignment, v.first, v.count, v.rate, v.task);
        a.taskKey = Sampling.taskKey(a.entropy, v.assignment);
        a.drawKey = Sampling.drawKey(a.entropy, v.round == 0 ? bytes32(0) : v.blockHash, v.assignment, v.round);
    }

    function commitment(address market, bytes32 batch, address member, uint64 sequence, Opening calldata opening)
        external
        view
        returns (CommitmentAnswer memory a)
    {
        a.nonce = Commitment.batchNonce(market, batch);
        a.digest = Commitment.digest(a.nonce, opening.task, opening.digest);
        a.leaf = Commitment.leaf(market, batch, member, opening);
        a.seed = Commitment.seed(market, batch, sequence, opening.salt);
    }

    function verifies(
        bytes32 root,
        address market,
        bytes32 batch,
        address member,
        Opening calldata opening,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return Commitment.verify(root, market, batch, member, opening, proof);
    }

    function quote(Terms calldata terms, uint96 price, uint24 count, Parameters calldata parameters)
        external
        pure
        returns (uint96 escrow, uint96 bond)
    {
        return Pricing.quote(terms, price, count, parameters.bondFixed, parameters.bondShare);
    }

    function checkTerms(Terms calldata terms, ClassState calldata host, Parameters calldata parameters) external pure {
        TermsRules.check(terms, host, parameters);
    }
}
