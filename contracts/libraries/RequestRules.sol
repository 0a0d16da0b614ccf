// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    IRequests,
    MAX_EVALUATORS,
    MAX_FACTOR,
    MAX_TIME_LIMIT,
    MAX_WORKERS,
    Request
} from "../interfaces/IRequests.sol";
import {Schema} from "../interfaces/ISchemas.sol";
import {RewardFunction} from "./Rewards.sol";

/// @title RequestRules: what a request may ask
library RequestRules {
    /// @notice Reverts with the first field that is out of range.
    function check(Request calldata request, Schema memory schema, uint32 minWindow, uint32 maxWindow) internal pure {
        require(
            request.release == schema.release && request.release != 0,
            IRequests.WrongRelease(request.release, schema.release)
        );
        checkKey(request.encryptionKey);
        range("workerReward", request.workerReward, 1, type(uint96).max);
        range("workers", request.workers.length, request.skipEvaluation ? 1 : 0, MAX_WORKERS);
        range("evaluators", request.evaluators.length, 0, request.skipEvaluation ? 0 : MAX_EVALUATORS);
        range(
            "maxWorkers", request.maxWorkers, 1, request.workers.length == 0 ? MAX_WORKERS : request.workers.length
        );
        range("minWorkers", request.minWorkers, 1, request.maxWorkers);
        range("acceptWindow", request.acceptWindow, minWindow, maxWindow);
        range("stepWindow", request.stepWindow, minWindow, maxWindow);
        range("timeLimit", request.timeLimit, 1, MAX_TIME_LIMIT);
        _checkFunction(request, schema.rewardFunctions);
        if (request.skipEvaluation) {
            range("evaluatorReward", request.evaluatorReward, 0, 0);
            range("testData", uint256(request.testData), 0, 0);
            range("challengeFee", request.challengeFee, 0, 0);
            range("deposit", request.deposit, 0, 0);
        } else {
            range("evaluatorReward", request.evaluatorReward, 1, type(uint96).max);
            range(
                "challengeFee",
                request.challengeFee,
                schema.challengeFee,
                MAX_FACTOR * schema.challengeFee
            );
            uint256 least = uint256(request.challengeFee) + 1;
            if (least < schema.minimumDeposit) least = schema.minimumDeposit;
            range("deposit", request.deposit, least, MAX_FACTOR * schema.minimumDeposit);
        }
    }

    /// @notice Reverts unless `key` looks like a compressed point.
    function checkKey(bytes calldata key) internal pure {
        require(key.length == 33 && (key[0] == 0x02 || key[0] == 0x03), IRequests.InvalidKey(key));
    }

    /// @notice Reverts unless `actual` is from `least` to `most`.
    function range(bytes32 field, uint256 actual, uint256 least, uint256 most) internal pure {
        require(actual >= least && actual <= most, IRequests.TermOutOfRange(field, actual, least, most));
    }

    function _checkFunction(Request calldata request, uint8 allowed) private pure {
        uint8 number = uint8(request.rewardFunction);
        // Without evaluation there is no ranking: nothing but `Even` is meant by it.
        bool fits = number != 0 && allowed & (1 << (number - 1)) != 0
            && (!request.skipEvaluation || request.rewardFunction == RewardFunction.Even);
        require(fits, IRequests.FunctionNotAllowed(request.rewardFunction, allowed));
        bool isList = request.rewardFunction == RewardFunction.List;
        range("list", request.list.length, isList ? 1 : 0, isList ? MAX_WORKERS : 0);
        uint256 sum;
        for (uint256 i; i < request.list.length; ++i) {
            sum += request.list[i];
        }
        range("list sum", sum, 0, request.workerReward);
    }
}
