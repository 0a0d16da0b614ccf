// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatchId, BatchState, Dispute, Juror, Jury, PanelState, Round} from "../interfaces/IMarket.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {AssignmentWord} from "./Assignments.sol";

/// @notice All that a market stores about its open batches.
/// @param batches State of each.
/// @param entropy The captured block hash until the reveal, then E.
/// @param rebids Prices of batches whose price was changed.
/// @param assignments See {Assignments}.
/// @param panels See {Panels}; so are the rest.
/// @param rounds Later rounds, by {Panels.roundKey}.
/// @param roundHashes Block hashes that decide later rounds, by {Panels.roundKey}.
/// @param answers Hash of each {Answer}, by {Panels.seatKey}.
/// @param disputes See {Disputes}; so are the rest, each by its keys.
/// @param digests Rulings; what members opened; ballots, and once they are open what they say.
/// @param juries Tier 0 is the panel itself: its appellant is the challenger.
/// @param jurors Who sits on them.
struct Book {
    mapping(BatchId id => BatchState state) batches;
    mapping(BatchId id => bytes32 entropy) entropy;
    mapping(BatchId id => uint96 price) rebids;
    mapping(BatchId id => mapping(uint16 assignment => AssignmentWord word)) assignments;
    mapping(BatchId id => mapping(uint16 assignment => PanelState state)) panels;
    mapping(bytes32 roundKey => Round round) rounds;
    mapping(bytes32 roundKey => bytes32 blockHash) roundHashes;
    mapping(bytes32 seatKey => bytes32 answerHash) answers;
    mapping(bytes32 disputeKey => Dispute dispute) disputes;
    mapping(bytes32 key => bytes32 digest) digests;
    mapping(bytes32 juryKey => Jury jury) juries;
    mapping(bytes32 jurorKey => Juror juror) jurors;
}

/// @notice What one call knows about its batch: read once, checked against the calldata.
/// @param id Of the batch.
/// @param state As it was when the call began, and as the call changes it.
/// @param entropy E, once revealed.
/// @param byRequester Whether the caller is the requester or its delegate.
/// @param registry Of the deployment; so are the next two.
/// @param finalDepth See {Parameters}.
/// @param drawDelay See {Parameters}.
struct Context {
    BatchId id;
    BatchState state;
    bytes32 entropy;
    bool byRequester;
    IRegistry registry;
    uint32 finalDepth;
    uint32 drawDelay;
}

/// @notice Where a panel stands.
/// @param state As stored.
/// @param sampled Tasks each seat runs.
/// @param answered Verifiers that answered.
/// @param needed How many fill the panel.
/// @param quorum How many are enough once the clock has run out.
/// @param deadline End of the last round's clock, seconds.
struct PanelView {
    PanelState state;
    uint256 sampled;
    uint256 answered;
    uint256 needed;
    uint256 quorum;
    uint256 deadline;
}
