// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    ABSENT_FINE,
    Answer,
    Batch,
    BatchId,
    Exception,
    IMarketEvents,
    MAX_ROUNDS,
    MAX_SEATS,
    Matter,
    PanelState,
    Round,
    SeatId,
    Submission,
    Terms,
    Verdict
} from "../interfaces/IMarket.sol";
import {Assignments, AssignmentWord} from "./Assignments.sol";
import {Book, Context, PanelView} from "./Book.sol";
import {Clock} from "./Clock.sol";
import {Disputes} from "./Disputes.sol";
import {Panels} from "./Panels.sol";
import {PPM, Sampling} from "./Sampling.sol";

/// @title Judging: what a panel does, and what is done about one that does not simply agree
library Judging {
    using Assignments for mapping(uint16 => AssignmentWord);

    /// @notice See {IPanels.answer}; the event is the market's.
    function answer(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        SeatId calldata seat,
        Submission calldata submission,
        Answer memory given
    ) internal {
        PanelView memory panel = Panels.viewOf(book, terms, context, seat.assignment, submission);
        bytes32 key = Panels.seatKey(context.id, seat.assignment, seat.round, seat.seat);
        require(
            seat.round <= panel.state.rounds
                && seat.seat < Panels.seatsIn(book, terms, context.id, seat.assignment, seat.round),
            IMarketEvents.NoSuchSeat(seat.assignment, seat.round, seat.seat)
        );
        require(book.answers[key] == 0, IMarketEvents.AlreadyAnswered(seat.assignment, seat.round, seat.seat));
        bool late = block.timestamp > panel.deadline;
        require(
            panel.answered < panel.needed && panel.state.verdict == Verdict.None && !(late && context.state.judged),
            IMarketEvents.PanelClosed(seat.assignment)
        );
        Panels.captureRounds(book, context.id, seat.assignment, seat.round);
        Panels.requireDecided(book, context.id, seat.assignment, seat.round);
        (address[] memory drawn,) =
            Panels.drawnFor(book, terms, batch, context, seat.assignment, seat.round, submission.node);
        address holder = seat.seat < drawn.length ? drawn[seat.seat] : address(0);
        require(given.node == holder, IMarketEvents.SeatOfAnother(holder, given.node));

        book.answers[key] = Panels.answerHash(given);
        context.registry.commitSeat(given.node, terms.slashAmount);
        // Whoever sat in an earlier round was fined when the next one was drawn.
        if (late && seat.round == panel.state.rounds) fineSeat(terms, context, seat, given.node, panel.sampled);
    }

    /// @notice See {IPanels.escalate}.
    function escalate(
        Book storage book,
        Terms calldata terms,
        Context memory context,
        uint16 assignment,
        Submission calldata submission
    ) internal {
        require(context.byRequester, IMarketEvents.NotPermitted(msg.sender, terms.requester));
        require(!context.state.judged, IMarketEvents.AlreadyJudged(context.id));
        PanelView memory panel = Panels.viewOf(book, terms, context, assignment, submission);
        require(terms.adaptive && !panel.state.escalated, IMarketEvents.CannotEscalate(assignment));
        require(panel.answered >= panel.needed, IMarketEvents.PanelOpen(assignment, panel.answered, panel.needed));
        require(panel.state.rounds < MAX_ROUNDS, IMarketEvents.NoMoreRounds(assignment, panel.state.rounds));
        Clock.requireBefore(panel.deadline + terms.windows.judge);

        book.panels[context.id][assignment].escalated = true;
        _openRound(book, context, assignment, panel.state.rounds + 1, terms.quorum - 1 - panel.answered, true);
    }

    /// @notice See {IPanels.redraw}.
    function redraw(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        uint16 assignment,
        Submission calldata submission
    ) internal {
        PanelView memory panel = Panels.viewOf(book, terms, context, assignment, submission);
        uint8 round = panel.state.rounds;
        require(panel.state.verdict == Verdict.None, IMarketEvents.AlreadyExcepted(assignment));
        Clock.requireAfter(panel.deadline);
        Clock.requireBefore(panel.deadline + terms.windows.judge);
        require(panel.answered < panel.needed, IMarketEvents.PanelClosed(assignment));
        if (panel.answered >= panel.quorum) {
            require(context.byRequester, IMarketEvents.NotPermitted(msg.sender, terms.requester));
            require(!context.state.judged, IMarketEvents.AlreadyJudged(context.id));
        }
        require(round < MAX_ROUNDS, IMarketEvents.NoMoreRounds(assignment, round));
        require(
            Panels.canDraw(book, terms, batch, context, assignment, round, submission.node),
            IMarketEvents.PoolExhausted(assignment)
        );

        uint256 seats = 2 * Panels.seatsIn(book, terms, context.id, assignment, round);
        if (seats > MAX_SEATS) seats = MAX_SEATS;
        fineAbsent(book, terms, batch, context, assignment, panel, submission.node);
        _openRound(book, context, assignment, round + 1, seats, false);
    }

    /// @notice Lists one exception; see {IPanels.judge}.
    /// @return first Whether it is the first of its assignment, for which the requester has to put up a reserve.
    function except(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        Exception calldata exception
    ) internal returns (bool first) {
        uint16 assignment = exception.assignment;
        Submission calldata submission = exception.submission;
        first = book.panels[context.id][assignment].verdict == Verdict.None;
        if (first) book.assignments[context.id].requireSubmitted(context.id, assignment, submission);
        else book.assignments[context.id].requireHeld(context.id, assignment, submission);
        PanelView memory panel = Panels.sampledOf(book, terms, context, assignment, submission);
        require(
            book.disputes[Disputes.key(context.id, assignment)].matter == Matter.None,
            IMarketEvents.AlreadyDisputed(assignment)
        );
        Clock.requireBefore(panel.deadline + terms.windows.judge);
        require(
            panel.answered >= panel.needed || block.timestamp > panel.deadline,
            IMarketEvents.PanelOpen(assignment, panel.answered, panel.needed)
        );
        require(
            Sampling.isSampled(
                context.entropy, assignment, submission.first, submission.count, terms.rate, exception.witness
            ),
            IMarketEvents.NotASampledTask(context.id, assignment, exception.witness)
        );

        PanelState memory state = panel.state;
        // What a panel is compared on is one task, so that one dispute can decide all of it.
        require(first || exception.witness == state.witness, IMarketEvents.WitnessDiffers(assignment, state.witness));
        address node;
        if (exception.verdict == Verdict.NoMajority) {
            require(state.verdict == Verdict.None, IMarketEvents.AlreadyExcepted(assignment));
            _requireUndecidable(book, terms, batch, context, assignment, panel, submission.node);
        } else {
            uint256 member;
            (node, member) = _accused(book, terms, batch, context, exception, state.rounds);
            require(
                state.verdict != Verdict.NoMajority && state.accused & (1 << member) == 0,
                IMarketEvents.AlreadyExcepted(assignment)
            );
            state.accused |= uint64(1 << member);
            // The primary and `answered` verifiers without the accused must be a majority of the quorum.
            uint256 agreeing = panel.answered + 1 - _bits(state.accused);
            uint256 majority = (uint256(terms.quorum) + 1) / 2;
            require(agreeing >= majority, IMarketEvents.PanelOpen(assignment, agreeing, majority));
        }

        book.assignments[context.id].contend(context.id, assignment, submission);
        PanelState storage stored = book.panels[context.id][assignment];
        stored.verdict = exception.verdict;
        stored.accused = state.accused;
        stored.witness = exception.witness;
        stored.raisedAt = uint32(block.timestamp);
        emit IMarketEvents.Excepted(context.id, assignment, exception.verdict, exception.witness, node);
    }

    /// @notice Fines every seat of the last round that has not answered.
    function fineAbsent(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        uint16 assignment,
        PanelView memory panel,
        address primary
    ) internal {
        uint8 round = panel.state.rounds;
        (address[] memory drawn,) = Panels.drawnFor(book, terms, batch, context, assignment, round, primary);
        for (uint256 seat; seat < drawn.length; ++seat) {
            if (book.answers[Panels.seatKey(context.id, assignment, round, uint8(seat))] != 0) continue;
            fineSeat(terms, context, SeatId(assignment, round, uint8(seat)), drawn[seat], panel.sampled);
        }
    }

    /// @notice Fines one drawn node for not answering in time.
    /// @param sampled Tasks it should have run.
    function fineSeat(
        Terms calldata terms,
        Context memory context,
        SeatId memory seat,
        address node,
        uint256 sampled
    ) internal {
        // Fits: the verification budget, of which this is a part, fits 96 bits.
        uint96 amount = uint96(sampled * terms.verifierPrice * ABSENT_FINE / PPM);
        uint96 fined = context.registry.fine(node, amount);
        emit IMarketEvents.Absent(context.id, seat.assignment, node, seat.round, seat.seat, fined);
    }

    /// @notice Whether the clock has run out and no further round can come: the panel had all its rounds, nobody is left
    /// to draw, or nobody called for the next in time.
    function isExhausted(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        uint16 assignment,
        PanelView memory panel,
        address primary
    ) internal view returns (bool) {
        if (block.timestamp <= panel.deadline) return false;
        if (panel.state.rounds == MAX_ROUNDS || block.timestamp > panel.deadline + terms.windows.judge) return true;
        return !Panels.canDraw(book, terms, batch, context, assignment, panel.state.rounds, primary);
    }

    /// @dev Reverts unless a majority cannot be had: the panel is full, or short of members for good.
    function _requireUndecidable(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        uint16 assignment,
        PanelView memory panel,
        address primary
    ) private view {
        uint256 full = terms.quorum - 1;
        if (panel.answered >= full) return;
        // One verifier that answered only in the last round: there is none left to escalate to.
        if (panel.needed != full && panel.state.rounds == MAX_ROUNDS) return;
        require(
            panel.needed == full && panel.answered >= panel.quorum
                && isExhausted(book, terms, batch, context, assignment, panel, primary),
            IMarketEvents.PanelOpen(assignment, panel.answered, full)
        );
    }

    /// @dev Whom an exception accuses, and its place on the panel: 0 the primary, i+1 the i-th answer.
    function _accused(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        Exception calldata exception,
        uint8 rounds
    ) private view returns (address node, uint256 member) {
        uint16 assignment = exception.assignment;
        address primary = exception.submission.node;
        if (exception.verdict == Verdict.PrimaryDiffers) return (primary, 0);
        require(exception.verdict == Verdict.SeatDiffers, IMarketEvents.InvalidVerdict(assignment));
        require(
            exception.round <= rounds
                && book.answers[Panels.seatKey(context.id, assignment, exception.round, exception.seat)] != 0,
            IMarketEvents.NotAnswered(assignment, exception.round, exception.seat)
        );
        (address[] memory drawn,) =
            Panels.drawnFor(book, terms, batch, context, assignment, exception.round, primary);
        node = drawn[exception.seat];
        member = 1;
        for (uint256 round; round <= exception.round; ++round) {
            uint256 seats = round == exception.round
                ? exception.seat
                : Panels.seatsIn(book, terms, context.id, assignment, uint8(round));
            for (uint256 seat; seat < seats; ++seat) {
                if (book.answers[Panels.seatKey(context.id, assignment, uint8(round), uint8(seat))] != 0) ++member;
            }
        }
    }

    /// @dev How many bits are set.
    function _bits(uint64 mask) private pure returns (uint256 count) {
        for (; mask != 0; mask &= mask - 1) {
            ++count;
        }
    }

    function _openRound(
        Book storage book,
        Context memory context,
        uint16 assignment,
        uint8 round,
        uint256 seats,
        bool escalation
    ) private {
        BatchId id = context.id;
        Panels.captureRounds(book, id, assignment, round - 1);
        uint32 entropyBlock = uint32(block.number) + context.finalDepth;
        book.panels[id][assignment].rounds = round;
        book.rounds[Panels.roundKey(id, assignment, round)] =
            Round(uint8(seats), uint32(block.timestamp), entropyBlock);
        emit IMarketEvents.RoundOpened(id, assignment, round, uint8(seats), entropyBlock, escalation);
    }
}
