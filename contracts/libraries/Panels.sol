// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Answer,
    Batch,
    BatchId,
    IMarketEvents,
    PanelState,
    Submission,
    Terms
} from "../interfaces/IMarket.sol";
import {Assignments, AssignmentWord} from "./Assignments.sol";
import {BlockHash} from "./BlockHash.sol";
import {Book, Context, PanelView} from "./Book.sol";
import {Sampling} from "./Sampling.sol";

/// @title Panels: who sits on an assignment's panel, and who has answered
/// @notice Round 0 follows from the batch's entropy alone and stores nothing; later rounds have entropy of their own.
library Panels {
    using Assignments for mapping(uint16 => AssignmentWord);

    /// @notice Where the panel of a sampled assignment stands; reverts if there is none, and if it is excepted or disputed.
    function viewOf(
        Book storage book,
        Terms calldata terms,
        Context memory context,
        uint16 assignment,
        Submission calldata submission
    ) internal view returns (PanelView memory panel) {
        book.assignments[context.id].requireSubmitted(context.id, assignment, submission);
        return sampledOf(book, terms, context, assignment, submission);
    }

    /// @notice The same for a submission that was checked already, be it contended or not.
    function sampledOf(
        Book storage book,
        Terms calldata terms,
        Context memory context,
        uint16 assignment,
        Submission calldata submission
    ) internal view returns (PanelView memory panel) {
        require(context.state.revealedAt != 0, IMarketEvents.NotRevealed(context.id));
        panel.sampled = Sampling.sampledCount(context.entropy, submission.first, submission.count, terms.rate);
        require(panel.sampled != 0, IMarketEvents.NotSampled(context.id, assignment));
        fill(book, terms, context, assignment, panel);
    }

    /// @notice Reverts unless `given` are all the answers there are, in order of rounds and seats; erases them if asked.
    function takeAnswers(
        Book storage book,
        Terms calldata terms,
        BatchId id,
        uint16 assignment,
        PanelView memory panel,
        Answer[] calldata given,
        bool erase
    ) internal {
        require(given.length == panel.answered, IMarketEvents.WrongAnswers(assignment));
        if (panel.answered == 0) return;
        uint256 found;
        for (uint256 round; round <= panel.state.rounds; ++round) {
            uint256 seats = seatsIn(book, terms, id, assignment, uint8(round));
            for (uint256 seat; seat < seats; ++seat) {
                bytes32 key = seatKey(id, assignment, uint8(round), uint8(seat));
                bytes32 stored = book.answers[key];
                if (stored == 0) continue;
                require(stored == answerHash(given[found++]), IMarketEvents.WrongAnswers(assignment));
                if (erase) delete book.answers[key];
            }
        }
    }

    /// @notice Fills in all of `panel` but `sampled`.
    function fill(
        Book storage book,
        Terms calldata terms,
        Context memory context,
        uint16 assignment,
        PanelView memory panel
    ) internal view {
        PanelState memory state = book.panels[context.id][assignment];
        bool single = terms.adaptive && !state.escalated;
        panel.state = state;
        panel.needed = single ? 1 : terms.quorum - 1;
        panel.quorum = single ? 1 : (terms.quorum - 1) / 2;
        panel.deadline = uint256(context.state.revealedAt) + terms.windows.check;
        if (state.rounds != 0) {
            panel.deadline = uint256(book.rounds[roundKey(context.id, assignment, state.rounds)].openedAt)
                + context.drawDelay + terms.windows.check;
        }
        for (uint256 round; round <= state.rounds; ++round) {
            uint256 seats = seatsIn(book, terms, context.id, assignment, uint8(round));
            for (uint256 seat; seat < seats; ++seat) {
                if (book.answers[seatKey(context.id, assignment, uint8(round), uint8(seat))] != 0) ++panel.answered;
            }
        }
    }

    /// @notice How many seats a round has.
    function seatsIn(Book storage book, Terms calldata terms, BatchId id, uint16 assignment, uint8 round)
        internal
        view
        returns (uint256)
    {
        if (round != 0) return book.rounds[roundKey(id, assignment, round)].seats;
        return terms.adaptive ? 1 : terms.quorum - 1;
    }

    /// @notice Whether anybody is left to draw after `round`.
    function canDraw(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        uint16 assignment,
        uint8 round,
        address primary
    ) internal view returns (bool) {
        (, address[] memory members) = drawnFor(book, terms, batch, context, assignment, round, primary);
        // Who is left does not depend on the order, so any key does.
        bytes32 key = Sampling.drawKey(context.entropy, 0, assignment, uint256(round) + 1);
        return _draw(terms, batch, context, key, members, 1).length != 0;
    }

    /// @notice The nodes drawn for `round`, and everybody drawn for it or before, the primary first.
    /// @dev A round whose entropy was lost, because nobody stored it while the chain told it, drew nobody.
    function drawnFor(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        uint16 assignment,
        uint8 round,
        address primary
    ) internal view returns (address[] memory drawn, address[] memory members) {
        members = new address[](1);
        members[0] = primary;
        for (uint256 i; i <= round; ++i) {
            bytes32 fresh;
            if (i != 0) {
                bytes32 key = roundKey(context.id, assignment, uint8(i));
                fresh = book.roundHashes[key];
                if (fresh == 0) fresh = BlockHash.read(book.rounds[key].entropyBlock);
                if (fresh == 0) {
                    drawn = new address[](0);
                    continue;
                }
            }
            drawn = _draw(
                terms,
                batch,
                context,
                Sampling.drawKey(context.entropy, fresh, assignment, i),
                members,
                seatsIn(book, terms, context.id, assignment, uint8(i))
            );
            members = _joined(members, drawn);
        }
    }

    /// @notice Stores the block hashes of the later rounds up to `last`, as far as the chain tells them, so that no round
    /// is drawn twice: who sat in it is left out of those that follow, long after the chain has forgotten the hash.
    function captureRounds(Book storage book, BatchId id, uint16 assignment, uint8 last) internal {
        for (uint8 round = 1; round <= last; ++round) {
            bytes32 key = roundKey(id, assignment, round);
            if (book.roundHashes[key] != 0) continue;
            bytes32 blockHash = BlockHash.read(book.rounds[key].entropyBlock);
            if (blockHash == 0) continue;
            book.roundHashes[key] = blockHash;
            emit IMarketEvents.RoundCaptured(id, assignment, round, blockHash);
        }
    }

    /// @notice Reverts unless the hash that decides `round` is known.
    function requireDecided(Book storage book, BatchId id, uint16 assignment, uint8 round) internal view {
        if (round == 0) return;
        bytes32 key = roundKey(id, assignment, round);
        if (book.roundHashes[key] == 0) BlockHash.mustRead(book.rounds[key].entropyBlock);
    }

    /// @notice Where a later round is stored.
    function roundKey(BatchId id, uint16 assignment, uint8 round) internal pure returns (bytes32) {
        return keccak256(abi.encode(id, assignment, round));
    }

    /// @notice Where an answer's hash is stored.
    function seatKey(BatchId id, uint16 assignment, uint8 round, uint8 seat) internal pure returns (bytes32) {
        return keccak256(abi.encode(id, assignment, round, seat));
    }

    /// @notice What is stored of an answer.
    function answerHash(Answer memory answer) internal pure returns (bytes32) {
        return keccak256(abi.encode(answer));
    }

    function _draw(
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        bytes32 key,
        address[] memory members,
        uint256 count
    ) private view returns (address[] memory) {
        return context.registry.draw(
            address(this), terms.class, key, context.state.sealedAt, batch.slots, members, terms.excluded, count
        );
    }

    function _joined(address[] memory a, address[] memory b) private pure returns (address[] memory all) {
        all = new address[](a.length + b.length);
        for (uint256 i; i < a.length; ++i) {
            all[i] = a[i];
        }
        for (uint256 i; i < b.length; ++i) {
            all[a.length + i] = b[i];
        }
    }
}
