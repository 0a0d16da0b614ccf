// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    BatchId,
    BatchState,
    Dispute,
    Exception,
    Juror,
    Jury,
    Matter,
    MAX_TIER,
    PanelState,
    SeatId,
    Settlement,
    Stage,
    Verdict
} from "../interfaces/IMarket.sol";
import {Slot} from "../interfaces/IRegistry.sol";
import {Commitment, Opening} from "../libraries/Commitment.sol";
import {BatchActors} from "./BatchActors.sol";
import {Character, Characters, NODES} from "./Characters.sol";
import {CHALLENGE_BOND, CONTENDED, DRAW_DELAY, Life, SUBMITTED, WINDOW} from "./MarketWorld.sol";
import {vm} from "./Vm.sol";

/// @notice What a juror cast, and what it would open.
struct Ballot {
    bytes32 value;
    bytes32 salt;
}

/// @notice One contended assignment.
struct Spot {
    uint256 l;
    uint16 a;
}

/// @notice How things stood before a step.
struct Before {
    Dispute dispute;
    PanelState panel;
    BatchState batch;
    uint256 stakes;
    uint256 lock;
}

/// @title DisputeActors: every step of a dispute but its end, by anybody, at any time
/// @notice Each returns whether the market took it; `refusal` tells why not. What a step that was taken may have done, and
/// whether it was possible at all (the numbers F), is checked here.
abstract contract DisputeActors is BatchActors {
    Spot[] internal spots;
    mapping(uint256 life => mapping(uint16 assignment => mapping(uint256 place => Ballot))) internal ballots;
    /// @dev How many disputes an assignment has had.
    mapping(uint256 life => mapping(uint16 assignment => uint256 count)) internal disputes;
    bytes4 internal refusal;

    mapping(Matter matter => uint256 count) public begun;
    mapping(Stage stage => uint256 count) public entered;
    /// @notice Juries drawn in a tier, and called anew.
    mapping(uint256 tier => uint256 count) public drawnJuries;
    uint256 public replaced;
    uint256 public exposed;

    // --- How a dispute begins ----------------------------------------------------------------------------------------

    function _except(uint256 l, uint16 a, address by, Exception[] memory exceptions) internal returns (bool) {
        Before memory before = _before(l, a);
        uint256 growth;
        if (before.panel.verdict == Verdict.None) {
            (, growth) = market.reserve(lives[l].terms, lives[l].price, slices[l][a].count);
        }
        vm.prank(by);
        try market.judge(lives[l].terms, lives[l].batch, exceptions, false) {
            uint24 witness = exceptions[0].witness;
            require(by == lives[l].terms.requester || by == DELEGATE, "F3: somebody else excepted");
            require(before.dispute.matter == Matter.None, "F4: an exception after the dispute began");
            require(
                before.panel.verdict == Verdict.None || before.panel.witness == witness, "F5: another witness"
            );
            require(!before.batch.judged, "F6: an exception after the last");
            if (slices[l][a].status == SUBMITTED) _contended(l, a);
            require(slices[l][a].status == CONTENDED, "excepted what was not submitted");
            _after(l, before, growth);
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    function _challenge(uint256 l, uint16 a, address by) internal returns (bool) {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        vm.prank(by);
        try market.challenge(lives[l].terms, lives[l].batch, panel) {
            require(before.panel.verdict != Verdict.None, "F7: challenged what does not stand");
            require(now_ <= uint256(before.panel.raisedAt) + WINDOW, "F8: challenged after the window");
            require(_memberOf(panel, by) <= panel.answers.length, "F9: challenged by somebody else");
            _began(l, a, before, Matter.Exception, Stage.Opening);
            require(market.disputeOf(lives[l].id, a).task == before.panel.witness, "another task");
            _after(l, before, 0);
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    function _callPanel(uint256 l, uint16 a, address by) internal returns (bool) {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        uint256 overdue = _panelDeadline(l, a) + WINDOW;
        vm.prank(by);
        try market.callPanel(lives[l].terms, lives[l].batch, panel) {
            require(slices[l][a].status == SUBMITTED, "F10: called a contended panel");
            require(!before.batch.judged, "F10: called what is judged");
            require(now_ > overdue && now_ <= overdue + WINDOW, "F10: called outside its window");
            require(asleep || !lives[l].honest, "D5: an honest requester was silent");
            _contended(l, a);
            _began(l, a, before, Matter.Silence, Stage.Opening);
            require(
                market.disputeOf(lives[l].id, a).pot == !before.batch.bondBurned, "D10: the pot is not the bond, once"
            );
            _after(l, before, 0);
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    function _contest(uint256 l, uint16 a, address by, Matter matter, uint24 task, uint8 member)
        internal
        returns (bool)
    {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        uint256 until = _panelDeadline(l, a) + WINDOW;
        uint256 cost;
        if (member <= panel.answers.length) cost = _contestBond(l, a, member);
        vm.prank(by);
        try market.contest(lives[l].terms, lives[l].batch, panel, matter, task, member) {
            require(by == lives[l].terms.requester, "F11: contested by somebody else");
            require(slices[l][a].status == SUBMITTED && !before.batch.judged, "F11: contested what is decided");
            require(now_ <= until, "F11: contested too late");
            _contended(l, a);
            _began(l, a, before, matter, Stage.Answering);
            _after(l, before, cost);
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    function _answerContest(uint256 l, uint16 a, address by) internal returns (bool) {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        vm.prank(by);
        try market.answerContest(lives[l].terms, lives[l].batch, panel, "") {
            require(before.dispute.stage == Stage.Answering, "F12: answered nothing");
            require(now_ <= before.dispute.deadline, "F12: answered too late");
            require(by == _nodeOf(panel, before.dispute.member), "F12: answered for another");
            _calledJury(l, a, before, lives[l].terms.requester);
            _after(l, before, 0);
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    // --- Opening, ruling and appealing -------------------------------------------------------------------------------

    /// @dev Opens for a member, which only a Silent one has no opening for.
    function _open(uint256 l, uint16 a, uint256 member, address by, bool forged) internal returns (bool) {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        (Opening memory opening, bytes32[] memory proof, bool has) = _openingOf(l, a, panel, member, before.dispute.task);
        if (!has) return false;
        if (forged) opening.digest = keccak256("forged");
        Life storage life = lives[l];
        vm.prank(by);
        try market.open(life.terms, life.batch, panel, uint8(member), opening, proof) {
            require(!forged && _characterOf(_nodeOf(panel, member)) != Character.Silent, "F13: opened what it is not");
            Stage stage = before.dispute.matter == Matter.Work ? Stage.Showing : Stage.Opening;
            require(before.dispute.stage == stage, "F14: opened in another stage");
            require(now_ <= before.dispute.deadline, "F14: opened too late");
            require(before.dispute.opened & (1 << member) == 0, "F14: opened twice");
            require(market.openedBy(life.id, a, uint8(member)) == opening.digest, "another digest");
            _after(l, before, 0);
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    function _rule(uint256 l, uint16 a, address by) internal returns (bool) {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        Life storage life = lives[l];
        vm.prank(by);
        try market.rule(life.terms, life.batch, panel) {}
        catch (bytes memory reason) {
            return _refused(reason);
        }
        Dispute memory now__ = market.disputeOf(life.id, a);
        Dispute memory was = before.dispute;
        bool over = now_ > was.deadline;
        ++entered[now__.stage];
        uint256 fines;
        if (was.stage == Stage.Opening) {
            require(over || was.opened == (1 << (panel.answers.length + 1)) - 1, "F15: ruled while some can open");
            require(now__.stage == Stage.Ruled, "F15: not ruled");
            _checkPanelRuling(l, a, panel);
        } else if (was.stage == Stage.Casting) {
            fines = _checkBallotsClosed(l, a, was, now__, over);
        } else {
            require(was.stage == Stage.Showing && now__.stage == Stage.Ruled, "F15: ruled on nothing");
            fines = _checkJuryRuling(l, a, was, over, panel.answers.length + 1);
        }
        // D2: a fine for being absent is all that is taken before the end.
        uint256 most = fines * (life.terms.verifierPrice / 2);
        require(before.stakes - _stakes() <= most, "D2: slashed before the end");
        require(_lockOf(l).amount == before.lock, "D3: a ruling moves money");
        return true;
    }

    function _appeal(uint256 l, uint16 a, address by) internal returns (bool) {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        Life storage life = lives[l];
        vm.prank(by);
        try market.appeal(life.terms, life.batch, panel) {
            require(before.dispute.stage == Stage.Ruled, "F16: appealed what is not ruled");
            require(now_ <= before.dispute.deadline, "F16: appealed too late");
            require(before.dispute.tier < MAX_TIER, "F16: appealed a final ruling");
            _calledJury(l, a, before, by);
            uint256 tier = before.dispute.tier + 1;
            uint256 cost = tier * (2 * uint256(life.terms.quorum) + 1) * life.terms.verifierPrice;
            (Jury memory jury,) = market.juryOf(life.id, a, uint8(tier));
            if (jury.bond == 0) {
                require(tier == 1 && _memberOf(panel, by) <= panel.answers.length, "D16: appealed without a bond");
            } else {
                require(jury.bond == cost, "D16: the bond is not what the jury costs");
            }
            _after(l, before, by == life.terms.requester ? cost : 0);
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    // --- Juries ------------------------------------------------------------------------------------------------------

    function _convene(uint256 l, uint16 a, address by) internal returns (bool) {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        (Jury memory jury,) = market.juryOf(lives[l].id, a, before.dispute.tier);
        vm.prank(by);
        try market.convene(lives[l].terms, lives[l].batch, panel) {
            require(before.dispute.stage == Stage.Casting, "F17: convened in another stage");
            require(!jury.convened, "F17: convened twice");
            require(block_ > jury.entropyBlock, "F17: convened before its entropy");
            _checkSeats(l, a, before.dispute.tier);
            ++drawnJuries[before.dispute.tier];
            _after(l, before, 0);
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    function _cast(uint256 l, uint16 a, uint8 seat, address by, bytes32 value) internal returns (bool) {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        Dispute memory was = before.dispute;
        (Jury memory jury, Juror[] memory jurors) = market.juryOf(lives[l].id, a, was.tier);
        Ballot memory ballot = Ballot(value, keccak256(abi.encode("ballot", moves, by, seat)));
        bytes32 sealed_ = Commitment.ballot(
            address(market), BatchId.unwrap(lives[l].id), a, was.task, was.tier, by, value, ballot.salt
        );
        vm.prank(by);
        try market.castBallot(lives[l].terms, lives[l].batch, panel, seat, sealed_) {
            require(was.stage == Stage.Casting, "F18: cast in another stage");
            require(now_ <= was.deadline, "F18: cast too late");
            // A jury that was not drawn yet is drawn by the first ballot.
            if (seat < jurors.length) require(!jurors[seat].cast, "F18: cast twice");
            (, jurors) = market.juryOf(lives[l].id, a, was.tier);
            require(jurors[seat].node == by && jurors[seat].cast, "F18: cast for another");
            if (!jury.convened) {
                require(block_ > jury.entropyBlock, "F17: convened before its entropy");
                _checkSeats(l, a, was.tier);
                ++drawnJuries[was.tier];
            }
            ballots[l][a][uint256(was.tier) << 8 | seat] = ballot;
            _after(l, before, 0);
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    function _show(uint256 l, uint16 a, uint8 seat, address by, bool forged) internal returns (bool) {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        Ballot memory ballot = ballots[l][a][uint256(before.dispute.tier) << 8 | seat];
        if (forged) ballot.value = Characters.truth(BatchId.unwrap(lives[l].id), before.dispute.task + 1);
        (, Juror[] memory jurors) = market.juryOf(lives[l].id, a, before.dispute.tier);
        vm.prank(by);
        try market.openBallot(lives[l].terms, lives[l].batch, panel, seat, ballot.value, ballot.salt) {
            require(!forged, "F19: opened another ballot");
            require(before.dispute.stage == Stage.Showing, "F19: opened a ballot in another stage");
            require(now_ <= before.dispute.deadline, "F19: opened a ballot too late");
            require(jurors[seat].cast && !jurors[seat].shown, "F19: opened a ballot twice, or none");
            _after(l, before, 0);
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    function _expose(uint256 l, uint16 a, uint8 seat, address by) internal returns (bool) {
        Settlement memory panel = _panelOf(l, a);
        Before memory before = _before(l, a);
        Ballot memory ballot = ballots[l][a][uint256(before.dispute.tier) << 8 | seat];
        (, Juror[] memory jurors) = market.juryOf(lives[l].id, a, before.dispute.tier);
        vm.prank(by);
        try market.exposeBallot(lives[l].terms, lives[l].batch, panel, seat, ballot.value, ballot.salt) {
            require(before.dispute.stage == Stage.Casting, "F20: exposed when all may know");
            require(jurors[seat].cast && jurors[seat].node != by, "F20: exposed nothing, or itself");
            require(before.stakes - _stakes() == lives[l].terms.slashAmount / 10, "D12: not the honest share");
            delete ballots[l][a][uint256(before.dispute.tier) << 8 | seat];
            ++exposed;
            return true;
        } catch (bytes memory reason) {
            return _refused(reason);
        }
    }

    // --- What a step may have done -----------------------------------------------------------------------------------

    /// @dev D13: a panel's ruling is the digest that a majority of the quorum opened, and there is none without.
    function _checkPanelRuling(uint256 l, uint16 a, Settlement memory panel) private view {
        uint256 majority = (uint256(lives[l].terms.quorum) + 1) / 2;
        bytes32 ruling = market.rulingOf(lives[l].id, a, 0);
        for (uint256 i; i <= panel.answers.length; ++i) {
            bytes32 digest = market.openedBy(lives[l].id, a, uint8(i));
            if (digest == 0) continue;
            uint256 equal;
            for (uint256 j; j <= panel.answers.length; ++j) {
                if (market.openedBy(lives[l].id, a, uint8(j)) == digest) ++equal;
            }
            require((equal >= majority) == (digest == ruling), "D13: not what the majority of the quorum opened");
        }
    }

    /// @dev D13: a jury's ruling is the value that more than half of its seats opened. Returns how many may be fined.
    function _checkJuryRuling(uint256 l, uint16 a, Dispute memory was, bool over, uint256 members)
        private
        view
        returns (uint256 fines)
    {
        BatchId id = lives[l].id;
        (, Juror[] memory jurors) = market.juryOf(id, a, was.tier);
        bytes32 ruling = market.rulingOf(id, a, was.tier);
        uint256 agreeing;
        for (uint256 i; i < jurors.length; ++i) {
            bytes32 digest = _digestOf(l, a, was, i);
            if (!jurors[i].shown) {
                if (jurors[i].cast) ++fines;
                continue;
            }
            uint256 equal;
            for (uint256 j; j < jurors.length; ++j) {
                if (jurors[j].shown && _digestOf(l, a, was, j) == digest) ++equal;
            }
            require((2 * equal > jurors.length) == (digest == ruling), "D13: not what most of the jury opened");
            if (digest == ruling) ++agreeing;
        }
        require(ruling == 0 || 2 * agreeing > jurors.length, "D13: a ruling of nobody");
        bool shown = was.matter != Matter.Work || was.opened == (1 << members) - 1;
        require(over || (fines == 0 && shown), "F15: counted while some can open");
    }

    function _checkBallotsClosed(uint256 l, uint16 a, Dispute memory was, Dispute memory is_, bool over)
        private
        returns (uint256 fines)
    {
        (Jury memory jury, Juror[] memory jurors) = market.juryOf(lives[l].id, a, was.tier);
        for (uint256 i; i < jurors.length; ++i) {
            if (!jurors[i].cast) ++fines;
        }
        require(over || fines == 0, "F15: closed the ballots while some can cast");
        if (is_.stage == Stage.Casting) {
            require(jury.call == 1, "called anew twice");
            require(fines != 0, "called anew for nothing");
            ++replaced;
        } else {
            require(is_.stage == Stage.Showing, "F15: ballots neither closed nor called for");
        }
    }

    /// @dev D14: nobody sits on a jury who is on the panel, sits already, or was not in the pool as it was frozen.
    function _checkSeats(uint256 l, uint16 a, uint256 tier) private view {
        Life storage life = lives[l];
        uint256 sealedAt = market.batchState(life.id).sealedAt;
        bool[NODES] memory taken;
        taken[_indexOf(slices[l][a].node)] = true;
        if (_sampledOf(l, a) != 0) {
            uint8 rounds = market.panelState(life.id, a).rounds;
            for (uint8 round; round <= rounds; ++round) {
                address[] memory drawn =
                    market.drawnFor(life.terms, life.batch, SeatId(a, round, 0), slices[l][a].node);
                for (uint256 i; i < drawn.length; ++i) {
                    taken[_indexOf(drawn[i])] = true;
                }
            }
        }
        for (uint256 t = 1; t <= tier; ++t) {
            (, Juror[] memory jurors) = market.juryOf(life.id, a, uint8(t));
            for (uint256 i; i < jurors.length; ++i) {
                uint256 index = _indexOf(jurors[i].node);
                require(!taken[index], "D14: sits twice, or on the panel");
                taken[index] = true;
                require(_wasPooled(jurors[i].node, sealedAt, life.batch.slots), "D14: was not in the pool");
            }
        }
    }

    function _wasPooled(address node, uint256 sealedAt, uint24 slots) private view returns (bool) {
        for (uint24 i; i < slots; ++i) {
            // As a rule it is where it was at first.
            Slot memory slot = registry.slotOf(address(market), class, uint24((_indexOf(node) + i) % slots));
            if (slot.node == node && slot.activeFrom <= sealedAt && slot.leftAt > sealedAt) return true;
        }
        return false;
    }

    function _began(uint256 l, uint16 a, Before memory before, Matter matter, Stage stage) private {
        require(before.dispute.matter == Matter.None, "D1: disputed twice at once");
        require(++disputes[l][a] == 1, "D1: disputed twice");
        Dispute memory dispute = market.disputeOf(lives[l].id, a);
        require(dispute.matter == matter && dispute.stage == stage && dispute.tier == 0, "another dispute");
        require(dispute.deadline == now_ + WINDOW, "D2: not the whole window");
        ++begun[matter];
        ++entered[stage];
    }

    function _calledJury(uint256 l, uint16 a, Before memory before, address appellant) private {
        Dispute memory dispute = market.disputeOf(lives[l].id, a);
        (Jury memory jury,) = market.juryOf(lives[l].id, a, dispute.tier);
        require(dispute.stage == Stage.Casting && dispute.tier == before.dispute.tier + 1, "F16: no next jury");
        require(dispute.deadline == now_ + DRAW_DELAY + WINDOW, "D2: not the whole window");
        require(jury.entropyBlock > block_ && jury.appellant == appellant, "D14: drawn by what is known");
        ++entered[Stage.Casting];
    }

    function _contended(uint256 l, uint16 a) private {
        slices[l][a].status = CONTENDED;
        spots.push(Spot(l, a));
    }

    function _before(uint256 l, uint16 a) internal view returns (Before memory) {
        return Before(
            market.disputeOf(lives[l].id, a),
            market.panelState(lives[l].id, a),
            market.batchState(lives[l].id),
            _stakes(),
            _lockOf(l).amount
        );
    }

    /// @dev D2, D3: the step took nobody's stake, and the batch's lock has grown by what it should.
    function _after(uint256 l, Before memory before, uint256 growth) private {
        require(_stakes() == before.stakes, "D2: slashed before the end");
        lives[l].locked = _lockOf(l).amount;
        require(lives[l].locked == before.lock + growth, "D3: locked more or less than backs it");
    }

    function _refused(bytes memory reason) private returns (bool) {
        refusal = bytes4(reason);
        // Arithmetic and the like: nobody may ever meet it.
        require(refusal != bytes4(keccak256("Panic(uint256)")), "F0: a step panics");
        return false;
    }

    // --- What is known about a dispute -------------------------------------------------------------------------------

    function _contestBond(uint256 l, uint16 a, uint256 member) internal view returns (uint256) {
        uint256 jury = (2 * uint256(lives[l].terms.quorum) + 1) * lives[l].terms.verifierPrice;
        return jury + CHALLENGE_BOND + _payOf(l, a, member) / 10;
    }

    /// @dev The number of a member; beyond the last if it is none.
    function _memberOf(Settlement memory panel, address node) internal pure returns (uint256 member) {
        for (; member <= panel.answers.length; ++member) {
            if (_nodeOf(panel, member) == node) break;
        }
    }

    /// @dev What is right: the digest of the true output, or whether the accused delivered.
    function _truthOf(uint256 l, uint16 a, Dispute memory dispute) internal view returns (bytes32) {
        bytes32 batch = BatchId.unwrap(lives[l].id);
        if (dispute.matter == Matter.Delivery) return _ballotOf(l, a, dispute, Character.Honest, address(0));
        return Commitment.digest(
            Commitment.batchNonce(address(market), batch), dispute.task, Characters.truth(batch, dispute.task)
        );
    }

    /// @dev What a juror of this character says.
    function _ballotOf(uint256 l, uint16 a, Dispute memory dispute, Character character, address node)
        internal
        view
        returns (bytes32)
    {
        bytes32 batch = BatchId.unwrap(lives[l].id);
        if (dispute.matter != Matter.Delivery) {
            return Characters.valueOf(character, node, batch, dispute.task);
        }
        address accused = _nodeOf(_panelOf(l, a), dispute.member);
        bytes32 fact = Characters.delivery(_characterOf(accused), accused, batch);
        if (character == Character.Honest) return fact;
        return uint256(keccak256(abi.encode(batch, a))) % 2 == 0 ? fact : bytes32(3 - uint256(fact));
    }

    /// @dev What an opened ballot counts as.
    function _digestOf(uint256 l, uint16 a, Dispute memory dispute, uint256 seat) internal view returns (bytes32) {
        bytes32 value = ballots[l][a][uint256(dispute.tier) << 8 | seat].value;
        if (dispute.matter == Matter.Delivery) return value;
        bytes32 batch = BatchId.unwrap(lives[l].id);
        return Commitment.digest(Commitment.batchNonce(address(market), batch), dispute.task, value);
    }

    function _openingOf(uint256 l, uint16 a, Settlement memory panel, uint256 member, uint256 task)
        internal
        view
        returns (Opening memory opening, bytes32[] memory proof, bool has)
    {
        uint256[] memory tasks = _tasksOf(l, a, member);
        address node = _nodeOf(panel, member);
        bytes32 batch = BatchId.unwrap(lives[l].id);
        for (uint256 i; i < tasks.length && !has; ++i) {
            if (tasks[i] != task) continue;
            has = true;
            opening = Characters.openingOf(_characterOf(node), address(market), node, batch, task);
            (, proof) = Characters.commitment(_characterOf(node), address(market), node, batch, tasks, i);
        }
    }
}
