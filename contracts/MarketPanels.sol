// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Answer,
    Batch,
    BatchId,
    BatchState,
    Exception,
    IPanels,
    PanelState,
    Parameters,
    Round,
    SeatId,
    Submission,
    Terms
} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {MarketBase} from "./MarketBase.sol";
import {MarketDisputes} from "./MarketDisputes.sol";
import {Context} from "./libraries/Book.sol";
import {Judging} from "./libraries/Judging.sol";
import {Panels} from "./libraries/Panels.sol";
import {Pricing} from "./libraries/Pricing.sol";

/// @title The part of a market that runs again and judges; see {MarketBase}
/// @dev Useless by itself: called directly, it finds no batch in its own storage.
contract MarketPanels is IPanels, MarketBase {
    /// @notice Answers every call this contract does not know.
    MarketDisputes public immutable disputes;

    constructor(IVault vault_, IRegistry registry_, Parameters memory parameters_, MarketDisputes disputes_)
        MarketBase(vault_, registry_, parameters_)
    {
        disputes = disputes_;
        _requireTwin(disputes_);
    }

    /// @dev Runs {MarketDisputes} on this contract's storage and returns what it returns.
    fallback() external {
        _delegate(address(disputes));
    }

    /// @inheritdoc IPanels
    function batchState(BatchId id) external view returns (BatchState memory) {
        return _book.batches[id];
    }

    /// @inheritdoc IPanels
    function entropyOf(BatchId id) external view returns (bytes32) {
        return _book.entropy[id];
    }

    /// @inheritdoc IPanels
    function panelState(BatchId id, uint16 assignment) external view returns (PanelState memory) {
        return _book.panels[id][assignment];
    }

    /// @inheritdoc IPanels
    function roundOf(BatchId id, uint16 assignment, uint8 round) external view returns (Round memory, bytes32) {
        bytes32 key = Panels.roundKey(id, assignment, round);
        return (_book.rounds[key], _book.roundHashes[key]);
    }

    /// @inheritdoc IPanels
    function drawnFor(Terms calldata terms, Batch calldata batch, SeatId calldata seat, address primary)
        external
        view
        returns (address[] memory drawn)
    {
        Context memory context = _open(terms, batch);
        require(context.state.revealedAt != 0, NotRevealed(context.id));
        (drawn,) = Panels.drawnFor(_book, terms, batch, context, seat.assignment, seat.round, primary);
    }

    /// @inheritdoc IPanels
    function rebid(Terms calldata terms, Batch calldata batch, uint96 price) external {
        Pricing.rebid(_book, terms, batch, _open(terms, batch), vault, parameters(), price);
    }

    /// @inheritdoc IPanels
    function answer(
        Terms calldata terms,
        Batch calldata batch,
        SeatId calldata seat,
        Submission calldata submission,
        bytes32 root,
        bytes32 manifest,
        bytes calldata envelope
    ) external {
        Context memory context = _open(terms, batch);
        Judging.answer(
            _book,
            terms,
            batch,
            context,
            seat,
            submission,
            Answer(msg.sender, root, _content(manifest, envelope))
        );
        emit Answered(
            context.id, seat.assignment, msg.sender, seat.round, seat.seat, root, manifest, envelope
        );
    }

    /// @inheritdoc IPanels
    function escalate(Terms calldata terms, Batch calldata batch, uint16 assignment, Submission calldata submission)
        external
    {
        Judging.escalate(_book, terms, _open(terms, batch), assignment, submission);
    }

    /// @inheritdoc IPanels
    function redraw(Terms calldata terms, Batch calldata batch, uint16 assignment, Submission calldata submission)
        external
    {
        Judging.redraw(_book, terms, batch, _open(terms, batch), assignment, submission);
    }

    /// @inheritdoc IPanels
    function judge(Terms calldata terms, Batch calldata batch, Exception[] calldata exceptions, bool last) external {
        Context memory context = _open(terms, batch);
        require(context.byRequester, NotPermitted(msg.sender, terms.requester));
        require(context.state.revealedAt != 0, NotRevealed(context.id));
        require(!context.state.judged, AlreadyJudged(context.id));
        uint96 price = _priceOf(terms, context);
        uint96 backing;
        for (uint256 i; i < exceptions.length; ++i) {
            if (!Judging.except(_book, terms, batch, context, exceptions[i])) continue;
            (, uint96 beyondBond) = Pricing.reserve(terms, price, exceptions[i].submission.count, parameters());
            backing += beyondBond;
        }
        if (backing != 0) vault.lock(BatchId.unwrap(context.id), terms.requester, backing);
        if (last) {
            _book.batches[context.id].judged = true;
            emit Judged(context.id);
        }
    }
}
