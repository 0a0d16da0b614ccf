// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatchId, IMarketEvents, Submission} from "../interfaces/IMarket.sol";

/// @notice What is stored of an assignment.
/// - None: nothing: never made, or settled.
/// - Claimed: its node computes.
/// - Submitted: its node has committed.
/// - Void: its node was late; the slice can be claimed again.
/// - Contended: submitted, and excepted or disputed.
enum AssignmentStatus {
    None,
    Claimed,
    Submitted,
    Void,
    Contended
}

/// @notice An assignment in one word. Claimed and Void: node | first | count | deadline | status, 160 + 24 + 24 + 32
/// bits above 16. Submitted and Contended: the hash of the {Submission}, its last eight bits replaced by the status.
type AssignmentWord is uint256;

/// @notice A claim, unpacked.
struct Claim {
    address node;
    uint24 first;
    uint24 count;
    uint32 deadline;
}

/// @title Assignments: the only writer of an assignment's status
/// @notice None -> Claimed -> Submitted -> None (settled); Claimed -> Void -> Claimed; Submitted -> Contended -> None.
library Assignments {
    /// @notice A fresh claim.
    function claim(mapping(uint16 => AssignmentWord) storage words, uint16 assignment, Claim memory claim_) internal {
        words[assignment] = _pack(claim_, AssignmentStatus.Claimed);
    }

    /// @notice Claimed -> Submitted.
    function submit(mapping(uint16 => AssignmentWord) storage words, uint16 assignment, Submission memory submission)
        internal
    {
        words[assignment] = _hash(submission, AssignmentStatus.Submitted);
    }

    /// @notice Submitted or Contended -> Contended, if `submission` is what was submitted.
    function contend(
        mapping(uint16 => AssignmentWord) storage words,
        BatchId id,
        uint16 assignment,
        Submission calldata submission
    ) internal {
        requireHeld(words, id, assignment, submission);
        words[assignment] = _hash(submission, AssignmentStatus.Contended);
    }

    /// @notice Claimed -> Void. The slice's bounds stay.
    function void(mapping(uint16 => AssignmentWord) storage words, uint16 assignment, Claim memory claim_) internal {
        claim_.node = address(0);
        words[assignment] = _pack(claim_, AssignmentStatus.Void);
    }

    /// @notice Submitted or Contended, as `expected` says, -> None, if `submission` is what was submitted.
    function settle(
        mapping(uint16 => AssignmentWord) storage words,
        BatchId id,
        uint16 assignment,
        Submission calldata submission,
        AssignmentStatus expected
    ) internal {
        _requireRecord(words, id, assignment, submission, expected);
        words[assignment] = AssignmentWord.wrap(0);
    }

    /// @notice Reverts unless `submission` is what was submitted, and neither excepted nor disputed.
    function requireSubmitted(
        mapping(uint16 => AssignmentWord) storage words,
        BatchId id,
        uint16 assignment,
        Submission calldata submission
    ) internal view {
        _requireRecord(words, id, assignment, submission, AssignmentStatus.Submitted);
    }

    /// @notice Reverts unless `submission` is what was submitted, be it contended or not.
    function requireHeld(
        mapping(uint16 => AssignmentWord) storage words,
        BatchId id,
        uint16 assignment,
        Submission calldata submission
    ) internal view {
        bool contended = statusOf(words[assignment]) == AssignmentStatus.Contended;
        AssignmentStatus expected = contended ? AssignmentStatus.Contended : AssignmentStatus.Submitted;
        _requireRecord(words, id, assignment, submission, expected);
    }

    /// @notice The claim of an assignment in status `expected`, which is Claimed or Void.
    function claimOf(
        mapping(uint16 => AssignmentWord) storage words,
        BatchId id,
        uint16 assignment,
        AssignmentStatus expected
    ) internal view returns (Claim memory claim_) {
        AssignmentWord word = words[assignment];
        _requireStatus(id, assignment, statusOf(word), expected);
        uint256 bits = AssignmentWord.unwrap(word);
        claim_ = Claim(address(uint160(bits >> 96)), uint24(bits >> 72), uint24(bits >> 48), uint32(bits >> 16));
    }

    /// @notice The status in a word.
    function statusOf(AssignmentWord word) internal pure returns (AssignmentStatus) {
        return AssignmentStatus(AssignmentWord.unwrap(word) & 0xff);
    }

    function _requireRecord(
        mapping(uint16 => AssignmentWord) storage words,
        BatchId id,
        uint16 assignment,
        Submission calldata submission,
        AssignmentStatus expected
    ) private view {
        AssignmentWord word = words[assignment];
        _requireStatus(id, assignment, statusOf(word), expected);
        require(
            AssignmentWord.unwrap(word) == AssignmentWord.unwrap(_hash(submission, expected)),
            IMarketEvents.WrongRecord(id, assignment)
        );
    }

    function _requireStatus(BatchId id, uint16 assignment, AssignmentStatus actual, AssignmentStatus expected)
        private
        pure
    {
        require(actual != AssignmentStatus.None, IMarketEvents.UnknownAssignment(id, assignment));
        require(actual == expected, IMarketEvents.WrongStatus(id, assignment, uint8(actual), uint8(expected)));
    }

    function _pack(Claim memory claim_, AssignmentStatus status) private pure returns (AssignmentWord) {
        return AssignmentWord.wrap(
            uint256(uint160(claim_.node)) << 96 | uint256(claim_.first) << 72 | uint256(claim_.count) << 48
                | uint256(claim_.deadline) << 16 | uint8(status)
        );
    }

    function _hash(Submission memory submission, AssignmentStatus status) private pure returns (AssignmentWord) {
        return AssignmentWord.wrap(uint256(keccak256(abi.encode(submission))) & ~uint256(0xff) | uint8(status));
    }
}
