// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {
    ABANDON_FINE,
    Answer,
    Batch,
    BatchId,
    BatchState,
    DIFFERENCE_FINE,
    HONEST_SHARE,
    IBatches,
    JobId,
    Mode,
    Outcome,
    Parameters,
    Settlement,
    Submission,
    Terms,
    Verdict
} from "./interfaces/IMarket.sol";
import {ClassState, IRegistry, StakeShare} from "./interfaces/IRegistry.sol";
import {IVault, Payment} from "./interfaces/IVault.sol";
import {MarketBase} from "./MarketBase.sol";
import {MarketPanels} from "./MarketPanels.sol";
import {Assignments, AssignmentStatus, AssignmentWord, Claim} from "./libraries/Assignments.sol";
import {BlockHash} from "./libraries/BlockHash.sol";
import {Context, PanelView} from "./libraries/Book.sol";
import {Clock} from "./libraries/Clock.sol";
import {Commitment} from "./libraries/Commitment.sol";
import {Judging} from "./libraries/Judging.sol";
import {Panels} from "./libraries/Panels.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {PPM, Sampling} from "./libraries/Sampling.sol";
import {TermsRules} from "./libraries/TermsRules.sol";

/// @title The part of a market that holds batches, and its address; see {IMarket} and {MarketBase}
contract Market is IBatches, MarketBase {
    using Assignments for mapping(uint16 => AssignmentWord);
    using SafeCast for uint256;

    /// @dev Credits collected while settling.
    struct Tally {
        Payment[] payments;
        uint256 paymentCount;
        StakeShare[] shares;
        uint256 shareCount;
        uint96 burn;
    }

    /// @notice Answers every call this contract does not know.
    MarketPanels public immutable panels;

    constructor(IVault vault_, IRegistry registry_, Parameters memory parameters_, MarketPanels panels_)
        MarketBase(vault_, registry_, parameters_)
    {
        panels = panels_;
        _requireTwin(panels_);
    }

    /// @dev Runs {MarketPanels} on this contract's storage and returns what it returns.
    fallback() external {
        address target = address(panels);
        // Not declared memory-safe, though it returns at once: the optimizer then inlines less, and this part, the
        // largest, stays within the limit on code size.
        assembly {
            calldatacopy(0, 0, calldatasize())
            let success := delegatecall(gas(), target, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch success
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }

    // --- Views -------------------------------------------------------------------------------------------------------

    /// @inheritdoc IBatches
    function quote(Terms calldata terms, uint24 count) public view returns (uint96 escrow, uint96 bond) {
        return Pricing.quote(terms, terms.price, count, _bondFixed, _bondShare);
    }

    // --- Posting -----------------------------------------------------------------------------------------------------

    /// @inheritdoc IBatches
    function post(Terms calldata terms, uint24 count, bytes32 manifest, bytes32 seedCommitment)
        external
        returns (BatchId id)
    {
        require(msg.sender == terms.requester, NotPermitted(msg.sender, terms.requester));
        require(count != 0, TermOutOfRange("count", 0, 1, type(uint24).max));
        ClassState memory class = registry.classState(address(this), terms.class);
        JobId job = jobId(terms);
        uint64 sequence = batchesOf[job]++;
        if (sequence == 0) {
            TermsRules.check(terms, class, parameters());
            emit JobOpened(job, terms.requester, terms);
        }
        if (terms.mode != Mode.Trusted) {
            // A full panel and as many again to draw from.
            uint256 required = 2 * uint256(terms.quorum) + terms.excluded.length;
            require(class.nodes >= required, ClassTooSmall(terms.class, class.nodes, required));
        }

        Batch memory batch = Batch(job, sequence, count, class.slots, manifest, seedCommitment);
        id = batchId(batch);
        BatchState storage state = _book.batches[id];
        state.postedAt = uint32(block.timestamp);
        state.unsubmitted = count;
        (uint96 escrow, uint96 bond) = quote(terms, count);
        emit BatchPosted(id, job, batch, escrow, bond);

        vault.lock(BatchId.unwrap(id), msg.sender, escrow + bond);
    }

    // --- Computing ---------------------------------------------------------------------------------------------------

    /// @inheritdoc IBatches
    function claim(Terms calldata terms, Batch calldata batch, uint24 slot, uint24 count, uint96 minPrice)
        external
        returns (uint16 assignment)
    {
        Context memory context = _open(terms, batch);
        uint96 price = _claimable(terms, context, minPrice);
        BatchState storage state = _book.batches[context.id];
        uint256 left = batch.count - context.state.next;
        require(left != 0, NothingLeft(context.id));
        uint256 most = uint256(batch.count) * terms.maxShare / PPM;
        uint256 least = terms.minSlice < left ? terms.minSlice : left;
        if (most < least) most = least;
        if (most > left) most = left;
        require(count >= least && count <= most, SliceOutOfRange(count, least, most));

        assignment = context.state.slices;
        state.slices = assignment + 1;
        state.next = context.state.next + count;
        _assign(terms, context.id, assignment, slot, context.state.next, count, price);
    }

    /// @inheritdoc IBatches
    function reclaim(Terms calldata terms, Batch calldata batch, uint24 slot, uint16 assignment, uint96 minPrice)
        external
    {
        Context memory context = _open(terms, batch);
        uint96 price = _claimable(terms, context, minPrice);
        if (Assignments.statusOf(_book.assignments[context.id][assignment]) == AssignmentStatus.Claimed) {
            _void(terms, context.id, assignment, price);
        }
        Claim memory slice = _book.assignments[context.id].claimOf(context.id, assignment, AssignmentStatus.Void);
        _assign(terms, context.id, assignment, slot, slice.first, slice.count, price);
    }

    /// @inheritdoc IBatches
    function submit(BatchId id, uint16 assignment, bytes32 root, bytes32 manifest, bytes calldata envelope) external {
        Claim memory claimed = _book.assignments[id].claimOf(id, assignment, AssignmentStatus.Claimed);
        require(msg.sender == claimed.node, NotPermitted(msg.sender, claimed.node));
        Clock.requireBefore(claimed.deadline);
        BatchState storage state = _book.batches[id];
        _book.assignments[id].submit(
            assignment, Submission(msg.sender, claimed.first, claimed.count, root, _content(manifest, envelope))
        );
        --state.pending;
        uint24 unsubmitted = state.unsubmitted - claimed.count;
        state.unsubmitted = unsubmitted;
        emit Submitted(id, assignment, msg.sender, root, manifest, envelope);
        if (unsubmitted == 0) _seal(id, state);
    }

    /// @inheritdoc IBatches
    function expire(Terms calldata terms, Batch calldata batch, uint16 assignment) external {
        Context memory context = _open(terms, batch);
        _void(terms, context.id, assignment, _priceOf(terms, context));
    }

    /// @inheritdoc IBatches
    function seal(Terms calldata terms, Batch calldata batch) external {
        Context memory context = _open(terms, batch);
        require(context.state.sealedAt == 0, AlreadySealed(context.id));
        Clock.requireAfter(uint256(context.state.postedAt) + terms.windows.claim);
        require(context.state.pending == 0, StillPending(context.id, context.state.pending));
        if (context.state.open != 0) return _seal(context.id, _book.batches[context.id]);
        _forget(context.id, context.state.rebid);
        vault.close(BatchId.unwrap(context.id), new Payment[](0), 0);
    }

    // --- Sampling ----------------------------------------------------------------------------------------------------

    /// @inheritdoc IBatches
    function capture(BatchId id) external {
        BatchState storage state = _book.batches[id];
        require(state.sealedAt != 0, NotSealed(id));
        require(state.revealedAt == 0, AlreadyRevealed(id));
        require(!state.captured, AlreadyCaptured(id));
        bytes32 blockHash = BlockHash.mustRead(uint256(state.sealBlock) + _finalDepth);
        state.captured = true;
        _book.entropy[id] = blockHash;
        emit EntropyCaptured(id, blockHash);
    }

    /// @inheritdoc IBatches
    function reveal(Terms calldata terms, Batch calldata batch, bytes32 seed) external {
        _reveal(terms, batch, _open(terms, batch), seed);
    }

    // --- Judging and settling ----------------------------------------------------------------------------------------

    /// @inheritdoc IBatches
    function settle(Terms calldata terms, Batch calldata batch, Settlement[] calldata settlements) external {
        _settle(terms, batch, _open(terms, batch), settlements);
    }

    /// @inheritdoc IBatches
    function revealAndSettle(
        Terms calldata terms,
        Batch calldata batch,
        bytes32 seed,
        Settlement[] calldata settlements
    ) external {
        Context memory context = _open(terms, batch);
        require(msg.sender == terms.requester, NotPermitted(msg.sender, terms.requester));
        _reveal(terms, batch, context, seed);
        _settle(terms, batch, context, settlements);
    }

    // --- Batches -----------------------------------------------------------------------------------------------------

    function _claimable(Terms calldata terms, Context memory context, uint96 minPrice)
        private
        view
        returns (uint96 price)
    {
        require(context.state.sealedAt == 0, AlreadySealed(context.id));
        Clock.requireBefore(uint256(context.state.postedAt) + terms.windows.claim);
        price = _priceOf(terms, context);
        require(price >= minPrice, PriceTooLow(price, minPrice));
        if (terms.mode == Mode.Trusted) {
            require(_contains(terms.allowed, msg.sender), NotPermitted(msg.sender, terms.allowed[0]));
        } else {
            require(!_contains(terms.excluded, msg.sender), NotPermitted(msg.sender, terms.requester));
        }
    }

    function _assign(
        Terms calldata terms,
        BatchId id,
        uint16 assignment,
        uint24 slot,
        uint24 first,
        uint24 count,
        uint96 price
    ) private {
        BatchState storage state = _book.batches[id];
        ++state.pending;
        ++state.open;
        uint32 deadline = uint32(block.timestamp) + terms.windows.submit;
        _book.assignments[id].claim(assignment, Claim(msg.sender, first, count, deadline));
        emit Claimed(id, assignment, msg.sender, first, count, deadline);

        registry.commitAssignment(terms.class, slot, msg.sender, _lockOf(terms, price, count));
    }

    function _void(Terms calldata terms, BatchId id, uint16 assignment, uint96 price) private {
        Claim memory claimed = _book.assignments[id].claimOf(id, assignment, AssignmentStatus.Claimed);
        Clock.requireAfter(claimed.deadline);
        BatchState storage state = _book.batches[id];
        --state.pending;
        --state.open;
        address node = claimed.node;
        _book.assignments[id].void(assignment, claimed);

        StakeShare[] memory shares = new StakeShare[](1);
        shares[0] = StakeShare(node, _lockOf(terms, price, claimed.count));
        registry.release(shares);
        uint96 fined = registry.fine(node, _share(uint256(claimed.count) * price, ABANDON_FINE));
        emit Voided(id, assignment, node, fined);
    }

    function _seal(BatchId id, BatchState storage state) private {
        state.sealedAt = uint32(block.timestamp);
        state.sealBlock = uint32(block.number);
        emit Sealed(id, uint32(block.number) + _finalDepth);
    }

    function _reveal(Terms calldata terms, Batch calldata batch, Context memory context, bytes32 seed) private {
        BatchState memory state = context.state;
        require(state.sealedAt != 0, NotSealed(context.id));
        require(state.revealedAt == 0, AlreadyRevealed(context.id));
        Clock.requireBefore(uint256(state.sealedAt) + terms.windows.reveal);
        bytes32 commitment = Commitment.seed(address(this), JobId.unwrap(batch.job), batch.sequence, seed);
        require(commitment == batch.seedCommitment, WrongSeed(commitment, batch.seedCommitment));
        bytes32 blockHash =
            state.captured ? _book.entropy[context.id] : BlockHash.mustRead(uint256(state.sealBlock) + _finalDepth);

        context.entropy = Sampling.entropy(seed, blockHash, BatchId.unwrap(context.id));
        context.state.revealedAt = uint32(block.timestamp);
        _book.batches[context.id].revealedAt = uint32(block.timestamp);
        _book.entropy[context.id] = context.entropy;
        emit Revealed(context.id, seed, context.entropy);
    }

    // --- Settlement --------------------------------------------------------------------------------------------------

    function _settle(
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        Settlement[] calldata settlements
    ) private {
        uint256 most = settlements.length;
        for (uint256 i; i < settlements.length; ++i) {
            most += settlements[i].answers.length;
        }
        Tally memory tally = Tally(new Payment[](most), 0, new StakeShare[](most), 0, 0);
        uint96 price = _priceOf(terms, context);
        for (uint256 i; i < settlements.length; ++i) {
            _settleOne(terms, batch, context, settlements[i], price, tally);
        }

        Payment[] memory payments = tally.payments;
        StakeShare[] memory shares = tally.shares;
        uint256 paymentCount = tally.paymentCount;
        uint256 shareCount = tally.shareCount;
        assembly ("memory-safe") {
            // Shorten to what was used.
            mstore(payments, paymentCount)
            mstore(shares, shareCount)
        }
        if (shareCount != 0) registry.release(shares);
        _finish(context, uint16(settlements.length), payments, tally.burn);
    }

    function _settleOne(
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        Settlement calldata settlement,
        uint96 price,
        Tally memory tally
    ) private {
        Submission calldata submission = settlement.submission;
        uint16 assignment = settlement.assignment;
        _book.assignments[context.id].settle(context.id, assignment, submission, AssignmentStatus.Submitted);

        PanelView memory panel;
        if (context.state.revealedAt != 0) {
            panel.sampled = Sampling.sampledCount(context.entropy, submission.first, submission.count, terms.rate);
        }
        if (panel.sampled != 0) Panels.fill(_book, terms, context, assignment, panel);
        Outcome outcome = _outcome(terms, batch, context, assignment, submission, panel);
        if (outcome == Outcome.Forced && !context.state.bondBurned) {
            context.state.bondBurned = true;
            tally.burn += _bondFixed;
            emit BondBurned(context.id, _bondFixed);
        }
        // Before the answers are erased, since their absence is what is fined.
        if (panel.sampled != 0 && panel.answered < panel.needed) {
            Judging.fineAbsent(_book, terms, batch, context, assignment, panel, submission.node);
        }
        Panels.takeAnswers(_book, terms, context.id, assignment, panel, settlement.answers, true);
        _credit(terms, context.id, settlement, panel, outcome, price, tally);
        if (panel.state.rounds != 0) delete _book.panels[context.id][assignment];
    }

    /// @dev How an assignment ends if it is settled now; reverts if it cannot be.
    function _outcome(
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        uint16 assignment,
        Submission calldata submission,
        PanelView memory panel
    ) private view returns (Outcome) {
        BatchState memory state = context.state;
        if (terms.mode == Mode.Trusted) return Outcome.Paid;
        require(state.sealedAt != 0, NotSealed(context.id));
        if (state.revealedAt == 0) {
            Clock.requireAfter(uint256(state.sealedAt) + terms.windows.reveal);
            return Outcome.Forced;
        }
        if (panel.sampled == 0) {
            panel.deadline = uint256(state.revealedAt) + terms.windows.check;
        } else if (panel.answered < panel.needed) {
            require(block.timestamp > panel.deadline, PanelOpen(assignment, panel.answered, panel.needed));
            if (panel.answered < panel.quorum) {
                require(
                    Judging.isExhausted(_book, terms, batch, context, assignment, panel, submission.node),
                    PanelOpen(assignment, panel.answered, panel.quorum)
                );
                return Outcome.Exhausted;
            }
        }
        if (context.byRequester || state.judged) return Outcome.Paid;
        // Where something is sampled, members may first be compared; see {IDisputes.callPanel}.
        uint256 overdue = panel.deadline + terms.windows.judge;
        Clock.requireAfter(panel.sampled == 0 ? overdue : overdue + terms.windows.challenge);
        return Outcome.Forced;
    }

    /// @dev Pays and frees as `outcome` says: nobody is slashed here.
    function _credit(
        Terms calldata terms,
        BatchId id,
        Settlement calldata settlement,
        PanelView memory panel,
        Outcome outcome,
        uint96 price,
        Tally memory tally
    ) private {
        Submission calldata submission = settlement.submission;
        uint256 seatPay = panel.sampled * terms.verifierPrice;
        uint256 paid;
        _free(tally, submission.node, _lockOf(terms, price, submission.count));
        if (outcome != Outcome.Exhausted) {
            paid = uint256(submission.count) * price;
            _pay(tally, submission.node, paid);
        }
        // Who answered did its part, even where no more could be drawn.
        for (uint256 i; i < settlement.answers.length; ++i) {
            _free(tally, settlement.answers[i].node, terms.slashAmount);
            _pay(tally, settlement.answers[i].node, seatPay);
            paid += seatPay;
        }
        emit Settled(id, settlement.assignment, outcome, paid.toUint96(), 0, 0);
    }

    function _pay(Tally memory tally, address to, uint256 amount) private pure {
        tally.payments[tally.paymentCount++] = Payment(to, amount.toUint96());
    }

    function _free(Tally memory tally, address node, uint96 amount) private pure {
        tally.shares[tally.shareCount++] = StakeShare(node, amount);
    }

    // --- Small things ------------------------------------------------------------------------------------------------

    function _contains(address[] calldata list, address node) private pure returns (bool) {
        for (uint256 i; i < list.length; ++i) {
            if (list[i] == node) return true;
        }
        return false;
    }
}
