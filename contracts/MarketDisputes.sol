// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Batch,
    BatchId,
    Dispute,
    IDisputes,
    Juror,
    Jury,
    Matter,
    MAX_TIER,
    Mode,
    Parameters,
    Settlement,
    Stage,
    Terms,
    Verdict
} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {MarketBase} from "./MarketBase.sol";
import {MarketCases} from "./MarketCases.sol";
import {MarketJuries} from "./MarketJuries.sol";
import {Assignments, AssignmentWord} from "./libraries/Assignments.sol";
import {Clock} from "./libraries/Clock.sol";
import {Commitment, Opening} from "./libraries/Commitment.sol";
import {Case, Disputes} from "./libraries/Disputes.sol";
import {Pricing} from "./libraries/Pricing.sol";
import {Sampling} from "./libraries/Sampling.sol";

/// @title The part of a market in which parties disagree, up to an appeal; see {IDisputes} and {MarketBase}
/// @dev Useless by itself: called directly, it finds no batch in its own storage.
contract MarketDisputes is IDisputes, MarketCases {
    using Assignments for mapping(uint16 => AssignmentWord);

    /// @notice Answers every call this contract does not know.
    MarketJuries public immutable juries;

    constructor(IVault vault_, IRegistry registry_, Parameters memory parameters_, MarketJuries juries_)
        MarketBase(vault_, registry_, parameters_)
    {
        juries = juries_;
        _requireTwin(juries_);
    }

    /// @dev Runs {MarketJuries} on this contract's storage and returns what it returns.
    fallback() external {
        _delegate(address(juries));
    }

    // --- Views -------------------------------------------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function disputeOf(BatchId id, uint16 assignment) external view returns (Dispute memory) {
        return _book.disputes[Disputes.key(id, assignment)];
    }

    /// @inheritdoc IDisputes
    function rulingOf(BatchId id, uint16 assignment, uint8 tier) external view returns (bytes32) {
        return _book.digests[Disputes.rulingKey(Disputes.key(id, assignment), tier)];
    }

    /// @inheritdoc IDisputes
    function openedBy(BatchId id, uint16 assignment, uint8 member) external view returns (bytes32) {
        return _book.digests[Disputes.openedKey(Disputes.key(id, assignment), member)];
    }

    /// @inheritdoc IDisputes
    function juryOf(BatchId id, uint16 assignment, uint8 tier)
        external
        view
        returns (Jury memory jury, Juror[] memory jurors)
    {
        bytes32 key = Disputes.key(id, assignment);
        jury = _book.juries[Disputes.juryKey(key, tier)];
        // Before the first draw there are only seats.
        bool drawn = jury.convened || jury.call != 0;
        jurors = new Juror[](drawn ? jury.seats : 0);
        for (uint256 seat; seat < jurors.length; ++seat) {
            jurors[seat] = _book.jurors[Disputes.jurorKey(key, tier, seat)];
        }
    }

    /// @inheritdoc IDisputes
    function reserve(Terms calldata terms, uint96 price, uint24 count)
        external
        view
        returns (uint96 amount, uint96 beyondBond)
    {
        return Pricing.reserve(terms, price, count, parameters());
    }

    // --- How a dispute begins ----------------------------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function challenge(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external {
        Case memory case_ = _fresh(terms, batch, panel);
        require(case_.panel.state.verdict != Verdict.None, NotDisputed(panel.assignment));
        Clock.requireBefore(uint256(case_.panel.state.raisedAt) + terms.windows.challenge);
        uint256 member = _memberOf(panel, msg.sender);
        require(member <= panel.answers.length, NotPermitted(msg.sender, panel.submission.node));
        // The accused's lock is its bond: being poor is not being wrong.
        uint96 bond = case_.panel.state.accused & (1 << member) != 0 ? 0 : _challengeBond;
        _putUp(terms, case_.context.id, panel, bond);
        _book.juries[Disputes.juryKey(case_.key, 0)].appellant = msg.sender;
        _book.juries[Disputes.juryKey(case_.key, 0)].bond = bond;
        _begin(terms, case_, Matter.Exception, Stage.Opening, case_.panel.state.witness, 0, false);
    }

    /// @inheritdoc IDisputes
    function callPanel(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external {
        Case memory case_ = _fresh(terms, batch, panel);
        require(case_.panel.sampled != 0, NotSampled(case_.context.id, panel.assignment));
        require(case_.panel.state.verdict == Verdict.None, AlreadyExcepted(panel.assignment));
        require(!case_.context.state.judged, AlreadyJudged(case_.context.id));
        uint256 overdue = case_.panel.deadline + terms.windows.judge;
        Clock.requireAfter(overdue);
        Clock.requireBefore(overdue + terms.windows.challenge);
        require(
            case_.panel.answered >= case_.panel.quorum,
            PanelOpen(panel.assignment, case_.panel.answered, case_.panel.quorum)
        );
        bool pot = !case_.context.state.bondBurned;
        if (pot) _book.batches[case_.context.id].bondBurned = true;
        _book.assignments[case_.context.id].contend(case_.context.id, panel.assignment, panel.submission);
        // Nobody can choose it: a friend of a liar would choose one on which all agree.
        uint256 task = Sampling.sampledTask(
            case_.context.entropy, panel.assignment, panel.submission.first, panel.submission.count, 0
        );
        _begin(terms, case_, Matter.Silence, Stage.Opening, uint24(task), 0, pot);
    }

    /// @inheritdoc IDisputes
    function contest(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        Matter matter,
        uint24 task,
        uint8 member
    ) external {
        require(msg.sender == terms.requester, NotPermitted(msg.sender, terms.requester));
        // Where nothing is ever checked there is nobody to draw a jury from.
        require(
            (matter == Matter.Work || matter == Matter.Delivery) && terms.mode != Mode.Trusted, InvalidMatter(matter)
        );
        Case memory case_ = _fresh(terms, batch, panel);
        require(case_.panel.state.verdict == Verdict.None, AlreadyExcepted(panel.assignment));
        require(!case_.context.state.judged, AlreadyJudged(case_.context.id));
        Clock.requireBefore(case_.panel.deadline + terms.windows.judge);
        require(
            case_.panel.answered >= case_.panel.needed || block.timestamp > case_.panel.deadline,
            PanelOpen(panel.assignment, case_.panel.answered, case_.panel.needed)
        );
        if (matter == Matter.Work) {
            require(member == 0, NoSuchMember(panel.assignment, member));
            require(
                task >= panel.submission.first && task - panel.submission.first < panel.submission.count,
                NotASampledTask(case_.context.id, panel.assignment, task)
            );
        } else {
            require(member <= panel.answers.length, NoSuchMember(panel.assignment, member));
            task = 0;
        }
        vault.lock(BatchId.unwrap(case_.context.id), msg.sender, _contestBond(terms, panel, case_, member));
        _book.assignments[case_.context.id].contend(case_.context.id, panel.assignment, panel.submission);
        _begin(terms, case_, matter, Stage.Answering, task, member, false);
    }

    /// @inheritdoc IDisputes
    function answerContest(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        bytes calldata evidence
    ) external {
        Case memory case_ = _at(terms, batch, panel, Stage.Answering);
        Clock.requireBefore(case_.dispute.deadline);
        address accused = _nodeOf(panel, case_.dispute.member);
        require(msg.sender == accused, NotPermitted(msg.sender, accused));
        emit ContestAnswered(case_.context.id, panel.assignment, msg.sender, evidence);
        uint96 bond = _contestBond(terms, panel, case_, case_.dispute.member);
        Disputes.callJury(_book, terms, case_, case_.dispute, terms.requester, bond);
    }

    // --- Opening and appealing ---------------------------------------------------------------------------------------

    /// @inheritdoc IDisputes
    function open(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        uint8 member,
        Opening calldata opening,
        bytes32[] calldata proof
    ) external {
        Case memory case_ = _case(terms, batch, panel);
        // A contested result stays hidden from the jury until its ballots are in.
        Stage stage = case_.dispute.matter == Matter.Work ? Stage.Showing : Stage.Opening;
        require(case_.dispute.stage == stage, WrongStage(panel.assignment, case_.dispute.stage, stage));
        Clock.requireBefore(case_.dispute.deadline);
        require(member <= panel.answers.length, NoSuchMember(panel.assignment, member));
        require(case_.dispute.opened & (1 << member) == 0, AlreadyOpened(panel.assignment, member));
        bytes32 root = member == 0 ? panel.submission.root : panel.answers[member - 1].root;
        require(
            opening.task == case_.dispute.task && opening.digest != 0
                && Commitment.verify(
                    root, address(this), BatchId.unwrap(case_.context.id), _nodeOf(panel, member), opening, proof
                ),
            WrongOpening(panel.assignment, member, case_.dispute.task)
        );
        _book.disputes[case_.key].opened = case_.dispute.opened | uint64(1 << member);
        _book.digests[Disputes.openedKey(case_.key, member)] = opening.digest;
        emit Opened(case_.context.id, panel.assignment, member, opening.digest);
    }

    /// @inheritdoc IDisputes
    function appeal(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external {
        Case memory case_ = _at(terms, batch, panel, Stage.Ruled);
        require(case_.dispute.tier < MAX_TIER, Final(panel.assignment));
        Clock.requireBefore(case_.dispute.deadline);
        // Who is left does not depend on the order, so any key does.
        require(
            registry.draw(
                address(this),
                terms.class,
                case_.key,
                case_.context.state.sealedAt,
                batch.slots,
                Disputes.involved(_book, terms, batch, case_, panel.submission.node),
                new address[](0),
                1
            ).length != 0,
            PoolExhausted(panel.assignment)
        );
        uint96 bond = uint96(Pricing.jurySeats(terms, case_.dispute.tier + 1) * terms.verifierPrice);
        if (msg.sender != terms.requester && case_.dispute.tier == 0 && _stakesItsLock(panel, case_)) bond = 0;
        _putUp(terms, case_.context.id, panel, bond);
        Disputes.callJury(_book, terms, case_, case_.dispute, msg.sender, bond);
    }

    /// @dev A case that is not disputed yet.
    function _fresh(Terms calldata terms, Batch calldata batch, Settlement calldata panel)
        private
        returns (Case memory case_)
    {
        case_ = _case(terms, batch, panel);
        require(case_.dispute.matter == Matter.None, AlreadyDisputed(panel.assignment));
    }

    function _begin(
        Terms calldata terms,
        Case memory case_,
        Matter matter,
        Stage stage,
        uint24 task,
        uint8 member,
        bool pot
    ) private {
        uint32 deadline = uint32(block.timestamp) + terms.windows.challenge;
        _book.disputes[case_.key] = Dispute(matter, stage, 0, member, task, deadline, 0, pot);
        emit Disputed(case_.context.id, case_.assignment, matter, msg.sender, task, member, deadline);
    }

    /// @dev Takes the caller's bond: the requester's out of its money, anybody else's out of its stake.
    function _putUp(Terms calldata terms, BatchId id, Settlement calldata panel, uint96 bond) private {
        if (bond == 0) return;
        if (msg.sender == terms.requester) vault.lock(BatchId.unwrap(id), msg.sender, bond);
        else if (_memberOf(panel, msg.sender) <= panel.answers.length) registry.commitSeat(msg.sender, bond);
        else registry.commitBond(terms.class, msg.sender, bond);
    }

    /// @dev Whether the caller is a member that loses its lock if the dispute stays as it is: that is bond enough.
    function _stakesItsLock(Settlement calldata panel, Case memory case_) private view returns (bool) {
        uint256 member = _memberOf(panel, msg.sender);
        if (member > panel.answers.length) return false;
        bytes32 ruling = Disputes.effectiveRuling(_book, case_.key, case_.dispute.tier);
        bytes32 digest = _book.digests[Disputes.openedKey(case_.key, member)];
        if (ruling != 0 && digest != 0) return digest != ruling;
        return case_.panel.state.accused & (1 << member) != 0;
    }

    function _contestBond(Terms calldata terms, Settlement calldata panel, Case memory case_, uint8 member)
        private
        view
        returns (uint96)
    {
        uint256 pay = member == 0
            ? uint256(panel.submission.count) * _priceOf(terms, case_.context)
            : case_.panel.sampled * terms.verifierPrice;
        return Pricing.contestBond(terms, pay, _challengeBond);
    }

    /// @dev The number of a member; beyond the last if it is none.
    function _memberOf(Settlement calldata panel, address node) private pure returns (uint256 member) {
        for (; member <= panel.answers.length; ++member) {
            if (_nodeOf(panel, member) == node) break;
        }
    }
}
