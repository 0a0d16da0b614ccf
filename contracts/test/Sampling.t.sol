// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PPM, Sampling} from "../libraries/Sampling.sol";
import {within} from "./Vm.sol";

contract SamplingTest {
    function testFuzz_samplesTheSameHoweverTheBatchIsCut(bytes32 entropy, uint24 total, uint256 rate, bytes32 cuts)
        external
        pure
    {
        total = uint24(within(total, 1, type(uint24).max));
        rate = within(rate, 1, PPM);
        uint256 sum;
        uint256 first;
        for (uint256 i; first < total; ++i) {
            uint256 left = total - first;
            uint256 count = i == 63 ? left : within(uint256(keccak256(abi.encode(cuts, i))), 1, 1 + left / 8);
            uint256 sampled = Sampling.sampledCount(entropy, first, count, rate);
            require(sampled <= count, "more than there are");
            sum += sampled;
            first += count;
        }
        uint256 floor = uint256(total) * rate / PPM;
        require(sum == floor || sum == floor + 1, "not the rate");
        require(sum <= Sampling.maxSampled(total, rate), "beyond the budget");
    }

    function testFuzz_samplesAllAtFullRate(bytes32 entropy, uint24 first, uint24 count) external pure {
        require(Sampling.sampledCount(entropy, first, count, PPM) == count, "not all");
    }

    function testFuzz_agreesOnWhichTasks(bytes32 entropy, uint16 assignment, uint24 first, uint256 count, uint256 rate)
        external
        pure
    {
        count = within(count, 1, 200);
        rate = within(rate, 1, PPM);
        uint256 sampled = Sampling.sampledCount(entropy, first, count, rate);
        bool[] memory chosen = new bool[](count);
        for (uint256 i; i < sampled; ++i) {
            uint256 task = Sampling.sampledTask(entropy, assignment, first, count, i);
            require(task >= first && task < uint256(first) + count, "not of the assignment");
            require(!chosen[task - first], "twice");
            chosen[task - first] = true;
        }
        for (uint256 i; i < count; ++i) {
            require(
                Sampling.isSampled(entropy, assignment, first, count, rate, first + i) == chosen[i], "they disagree"
            );
        }
        require(!Sampling.isSampled(entropy, assignment, first, count, rate, uint256(first) + count), "the next one");
        if (first != 0) {
            require(!Sampling.isSampled(entropy, assignment, first, count, rate, first - 1), "the one before");
        }
    }
}
