// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    ABSENT_FINE,
    Batch,
    BatchId,
    Dispute,
    HONEST_SHARE,
    IJuries,
    Juror,
    Jury,
    Matter,
    MAX_TIER,
    Parameters,
    Settlement,
    Stage,
    Terms
} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault, Payment} from "./interfaces/IVault.sol";
import {MarketBase} from "./MarketBase.sol";
import {MarketCases} from "./MarketCases.sol";
import {MarketVerdicts} from "./MarketVerdicts.sol";
import {BlockHash} from "./libraries/BlockHash.sol";
import {Clock} from "./libraries/Clock.sol";
import {Commitment} from "./libraries/Commitment.sol";
import {Case, Disputes} from "./libraries/Disputes.sol";

/// @title The part of a market that rules on disputes; see {IJuries} and {MarketBase}
/// @dev Useless by itself: called directly, it finds no batch in its own storage.
contract MarketJuries is IJuries, MarketCases {
    /// @notice Answers every call this contract does not know.
    MarketVerdicts public immutable verdicts;

    constructor(IVault vault_, IRegistry registry_, Parameters memory parameters_, MarketVerdicts verdicts_)
        MarketBase(vault_, registry_, parameters_)
    {
        verdicts = verdicts_;
        _requireTwin(verdicts_);
    }

    /// @dev Runs {MarketVerdicts} on this contract's storage and returns what it returns.
    fallback() external {
        _delegate(address(verdicts));
    }

    /// @inheritdoc IJuries
    function rule(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external {
        Case memory case_ = _case(terms, batch, panel);
        Stage stage = case_.dispute.stage;
        if (stage == Stage.Opening) {
            if (!_allOpened(case_, panel)) Clock.requireAfter(case_.dispute.deadline);
            bytes32[] memory digests = new bytes32[](panel.answers.length + 1);
            for (uint256 member; member < digests.length; ++member) {
                digests[member] = _book.digests[Disputes.openedKey(case_.key, member)];
            }
            _rule(terms, case_, Disputes.majorityOf(digests, (uint256(terms.quorum) + 1) / 2));
        } else if (stage == Stage.Casting) {
            _closeBallots(terms, batch, panel, case_);
        } else {
            require(stage == Stage.Showing, WrongStage(panel.assignment, stage, Stage.Showing));
            _count(terms, panel, case_);
        }
    }

    /// @inheritdoc IJuries
    function convene(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external {
        Case memory case_ = _at(terms, batch, panel, Stage.Casting);
        Disputes.convene(_book, terms, batch, case_, panel.submission.node);
    }

    /// @inheritdoc IJuries
    function castBallot(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        uint8 seat,
        bytes32 ballot
    ) external {
        Case memory case_ = _at(terms, batch, panel, Stage.Casting);
        Clock.requireBefore(case_.dispute.deadline);
        uint8 tier = case_.dispute.tier;
        if (!_book.juries[Disputes.juryKey(case_.key, tier)].convened) {
            Disputes.convene(_book, terms, batch, case_, panel.submission.node);
        }
        bytes32 place = Disputes.jurorKey(case_.key, tier, seat);
        address holder = _book.jurors[place].node;
        require(msg.sender == holder, SeatOfAnother(holder, msg.sender));
        require(!_book.jurors[place].cast && ballot != 0, WrongBallot(panel.assignment, seat));
        _book.jurors[place].cast = true;
        _book.digests[place] = ballot;
        registry.commitSeat(msg.sender, terms.slashAmount);
        emit BallotCast(case_.context.id, panel.assignment, msg.sender, tier, seat);
    }

    /// @inheritdoc IJuries
    function openBallot(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        uint8 seat,
        bytes32 value,
        bytes32 salt
    ) external {
        Case memory case_ = _at(terms, batch, panel, Stage.Showing);
        Clock.requireBefore(case_.dispute.deadline);
        bytes32 place = _requireBallot(case_, seat, value, salt);
        address node = _book.jurors[place].node;
        bytes32 batchId_ = BatchId.unwrap(case_.context.id);
        bytes32 digest = case_.dispute.matter == Matter.Delivery
            ? value
            : Commitment.digest(Commitment.batchNonce(address(this), batchId_), case_.dispute.task, value);
        _book.jurors[place].shown = true;
        _book.digests[place] = digest;
        emit BallotOpened(
            case_.context.id, panel.assignment, node, case_.dispute.tier, seat, value, digest
        );
    }

    /// @inheritdoc IJuries
    function exposeBallot(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        uint8 seat,
        bytes32 value,
        bytes32 salt
    ) external {
        Case memory case_ = _at(terms, batch, panel, Stage.Casting);
        bytes32 place = _requireBallot(case_, seat, value, salt);
        address node = _book.jurors[place].node;
        require(msg.sender != node, NotPermitted(msg.sender, address(0)));
        _book.jurors[place].cast = false;
        delete _book.digests[place];

        uint96 reward = _share(terms.slashAmount, HONEST_SHARE);
        Payment[] memory payments = new Payment[](1);
        payments[0] = Payment(msg.sender, reward);
        registry.slash(node, terms.slashAmount, reward, payments);
        emit BallotExposed(
            case_.context.id, panel.assignment, node, case_.dispute.tier, seat, msg.sender, reward
        );
    }

    function _rule(Terms calldata terms, Case memory case_, bytes32 digest) private {
        Dispute memory dispute = case_.dispute;
        bool last = dispute.tier == MAX_TIER;
        dispute.stage = Stage.Ruled;
        dispute.deadline = last ? 0 : uint32(block.timestamp) + terms.windows.challenge;
        _book.disputes[case_.key] = dispute;
        if (digest != 0) _book.digests[Disputes.rulingKey(case_.key, dispute.tier)] = digest;
        emit Ruled(case_.context.id, case_.assignment, dispute.tier, digest, dispute.deadline);
    }

    /// @dev Casting is over: once every seat has cast, or at the deadline. Who did not cast is fined, and the first time
    /// others are called in its place.
    function _closeBallots(Terms calldata terms, Batch calldata batch, Settlement calldata panel, Case memory case_)
        private
    {
        Dispute memory dispute = case_.dispute;
        Jury storage jury = _book.juries[Disputes.juryKey(case_.key, dispute.tier)];
        bool over = block.timestamp > dispute.deadline;
        // If nobody drew the jury while the chain told its entropy, it has no seats.
        if (over && !jury.convened && BlockHash.read(jury.entropyBlock) != 0) {
            Disputes.convene(_book, terms, batch, case_, panel.submission.node);
        }
        uint256 empty;
        bool drawn = jury.convened || jury.call != 0;
        uint256 seats = drawn ? jury.seats : 0;
        for (uint256 seat; seat < seats; ++seat) {
            Juror memory juror = _book.jurors[Disputes.jurorKey(case_.key, dispute.tier, seat)];
            if (juror.cast) continue;
            ++empty;
            if (over) _fineJuror(terms, case_, juror.node);
        }
        if (!over && (empty != 0 || !jury.convened)) Clock.requireAfter(dispute.deadline);
        if (!drawn) jury.seats = 0;
        if (empty != 0 && jury.call == 0) {
            return Disputes.callReplacements(_book, terms, case_, dispute, empty);
        }
        dispute.stage = Stage.Showing;
        dispute.deadline = uint32(block.timestamp) + terms.windows.challenge;
        _book.disputes[case_.key] = dispute;
        emit BallotsClosed(case_.context.id, panel.assignment, dispute.tier, dispute.deadline);
    }

    /// @dev Showing is over: once every ballot is open, and for Work every member has opened, or at the deadline.
    function _count(Terms calldata terms, Settlement calldata panel, Case memory case_) private {
        uint256 tier = case_.dispute.tier;
        bool over = block.timestamp > case_.dispute.deadline;
        if (!over && case_.dispute.matter == Matter.Work && !_allOpened(case_, panel)) {
            Clock.requireAfter(case_.dispute.deadline);
        }
        uint256 seats = _book.juries[Disputes.juryKey(case_.key, tier)].seats;
        bytes32[] memory digests = new bytes32[](seats);
        for (uint256 seat; seat < seats; ++seat) {
            bytes32 place = Disputes.jurorKey(case_.key, tier, seat);
            Juror memory juror = _book.jurors[place];
            if (juror.shown) {
                digests[seat] = _book.digests[place];
            } else if (juror.cast) {
                if (!over) Clock.requireAfter(case_.dispute.deadline);
                _fineJuror(terms, case_, juror.node);
            }
        }
        _rule(terms, case_, Disputes.majorityOf(digests, seats / 2 + 1));
    }

    function _fineJuror(Terms calldata terms, Case memory case_, address node) private {
        uint96 fined = registry.fine(node, _share(terms.verifierPrice, ABSENT_FINE));
        emit Missed(case_.context.id, case_.assignment, node, fined);
    }

    function _requireBallot(Case memory case_, uint8 seat, bytes32 value, bytes32 salt)
        private
        view
        returns (bytes32 place)
    {
        place = Disputes.jurorKey(case_.key, case_.dispute.tier, seat);
        Juror memory juror = _book.jurors[place];
        bytes32 ballot = Commitment.ballot(
            address(this),
            BatchId.unwrap(case_.context.id),
            case_.assignment,
            case_.dispute.task,
            case_.dispute.tier,
            juror.node,
            value,
            salt
        );
        require(
            juror.cast && !juror.shown && value != 0 && ballot == _book.digests[place],
            WrongBallot(case_.assignment, seat)
        );
    }
}
