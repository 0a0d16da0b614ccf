// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    BatchId,
    BatchState,
    Dispute,
    DELIVERED,
    Exception,
    IMarketEvents,
    Juror,
    Jury,
    Matter,
    MAX_TIER,
    Mode,
    PanelState,
    Round,
    Settlement,
    Stage,
    UNDELIVERED,
    Verdict
} from "../interfaces/IMarket.sol";
import {Character, Characters} from "./Characters.sol";
import {DisputeEnds} from "./DisputeEnds.sol";
import {CLAIMED, Life, SUBMITTED, WINDOW} from "./MarketWorld.sol";

/// @title HonestActors: what is due to honest nodes and to the honest requester, done before time passes
/// @notice None of these steps may be refused, unless nobody is left to sit on a jury.
abstract contract HonestActors is DisputeEnds {
    /// @dev For which rounds of a panel the honest have answered.
    mapping(uint256 life => mapping(uint16 assignment => uint256 rounds)) private served;

    /// @dev See {MarketWorld}.
    function _beforeTimePasses() internal override {
        for (uint256 l; l < lives.length; ++l) {
            if (lives[l].closed) continue;
            _dueOfBatch(l);
        }
        // Concluding takes a spot out, so go backwards.
        for (uint256 i = spots.length; i != 0; --i) {
            _dueOfDispute(spots[i - 1].l, spots[i - 1].a);
        }
    }

    // --- Batches -----------------------------------------------------------------------------------------------------

    function _dueOfBatch(uint256 l) private {
        Life storage life = lives[l];
        BatchState memory state = market.batchState(life.id);
        if (state.sealedAt == 0) {
            for (uint16 a; a < slices[l].length; ++a) {
                if (slices[l][a].status == CLAIMED && _isHonest(slices[l][a].node)) _submit(l, a, slices[l][a].node);
            }
            return;
        }
        if (life.terms.mode == Mode.Trusted) return;
        if (!life.revealed && life.honest) _reveal(l, life.terms.requester, life.seed);
        if (!life.revealed) return;
        for (uint16 a; a < slices[l].length; ++a) {
            if (slices[l][a].status != SUBMITTED) continue;
            uint8 rounds = market.panelState(life.id, a).rounds;
            if (served[l][a] <= rounds && _sampledOf(l, a) != 0) {
                _answerRound(l, a, rounds, 0, true);
                (Round memory round,) = market.roundOf(life.id, a, rounds);
                // Again next time, if the round is not drawn yet.
                if (block_ > round.entropyBlock) served[l][a] = uint256(rounds) + 1;
            }
            if (life.honest) _look(l, a);
        }
    }

    /// @dev What the honest requester does about an assignment: settles, excepts, contests, or calls for more answers.
    function _look(uint256 l, uint16 a) private {
        Life storage life = lives[l];
        address requester = life.terms.requester;
        Settlement memory panel = _panelOf(l, a);
        if (_sampledOf(l, a) == 0) return _acceptOrContest(l, a, panel);
        (uint256 needed, uint256 enough) = _sizeOf(l, a);
        bool full = panel.answers.length >= needed;
        if (!full && now_ <= _panelDeadline(l, a)) return;
        if (panel.answers.length < enough) {
            if (!_redraw(l, a, requester)) _settle(l, a, requester, false, false);
            return;
        }
        (uint24 witness, bool differ) = _difference(l, a, panel);
        if (!differ) return _acceptOrContest(l, a, panel);
        if (full && life.terms.adaptive && !market.panelState(life.id, a).escalated) {
            if (_escalate(l, a, requester)) return;
        }
        Exception[] memory exceptions = _exceptionsOf(l, a, panel, witness);
        if (exceptions[0].verdict == Verdict.NoMajority && !full && _redraw(l, a, requester)) return;
        _due(l, a, _except(l, a, requester, exceptions), "D5: the honest requester cannot except");
    }

    function _acceptOrContest(uint256 l, uint16 a, Settlement memory panel) private {
        Life storage life = lives[l];
        bytes32 batch = BatchId.unwrap(life.id);
        address requester = life.terms.requester;
        for (uint256 i; i <= panel.answers.length; ++i) {
            address node = _nodeOf(panel, i);
            if (Characters.delivery(_characterOf(node), node, batch) == DELIVERED) continue;
            _due(
                l, a, _contest(l, a, requester, Matter.Delivery, 0, uint8(i)), "D5: the honest requester cannot contest"
            );
            return;
        }
        address primary = panel.submission.node;
        for (uint24 i; i < panel.submission.count; ++i) {
            uint24 task = panel.submission.first + i;
            // It looks at one in two.
            if (uint256(keccak256(abi.encode(batch, task))) % 2 == 0) continue;
            bytes32 value = Characters.valueOf(_characterOf(primary), primary, batch, task);
            if (value == Characters.truth(batch, task)) continue;
            _due(l, a, _contest(l, a, requester, Matter.Work, task, 0), "D5: the honest requester cannot contest");
            return;
        }
        bool settled = _settle(l, a, requester, false, false);
        require(settled, "D5: the honest requester cannot settle");
    }

    /// @dev A sampled task on which members differ, if there is one: rather one on which the primary does.
    function _difference(uint256 l, uint16 a, Settlement memory panel)
        private
        view
        returns (uint24 witness, bool differ)
    {
        uint256[] memory tasks = _tasksOf(l, a, 1);
        for (uint256 i; i < tasks.length; ++i) {
            bytes32 said = _said(l, panel, 0, tasks[i]);
            uint256 others;
            for (uint256 j = 1; j <= panel.answers.length; ++j) {
                if (_said(l, panel, j, tasks[i]) != said) ++others;
            }
            if (others == 0) continue;
            if (2 * others > panel.answers.length) return (uint24(tasks[i]), true);
            if (!differ) (witness, differ) = (uint24(tasks[i]), true);
        }
    }

    /// @dev What a member's opening says; what cannot be read differs from all else.
    function _said(uint256 l, Settlement memory panel, uint256 member, uint256 task) private view returns (bytes32) {
        address node = _nodeOf(panel, member);
        Character character = _characterOf(node);
        if (character == Character.Silent) return keccak256(abi.encode("unreadable", node));
        return Characters.valueOf(character, node, BatchId.unwrap(lives[l].id), task);
    }

    /// @dev One for each member that is not with the majority of the quorum; or that there is none.
    function _exceptionsOf(uint256 l, uint16 a, Settlement memory panel, uint24 witness)
        private
        view
        returns (Exception[] memory exceptions)
    {
        uint256 members = panel.answers.length + 1;
        uint256 best;
        bytes32 said;
        for (uint256 i; i < members; ++i) {
            uint256 equal;
            for (uint256 j; j < members; ++j) {
                if (_said(l, panel, j, witness) == _said(l, panel, i, witness)) ++equal;
            }
            if (equal > best) (best, said) = (equal, _said(l, panel, i, witness));
        }
        if (best < (uint256(lives[l].terms.quorum) + 1) / 2) {
            exceptions = new Exception[](1);
            exceptions[0] = Exception(a, Verdict.NoMajority, witness, 0, 0, panel.submission);
            return exceptions;
        }
        exceptions = new Exception[](members - best);
        uint256 count;
        if (_said(l, panel, 0, witness) != said) {
            exceptions[count++] = Exception(a, Verdict.PrimaryDiffers, witness, 0, 0, panel.submission);
        }
        for (uint256 seat; count < exceptions.length; ++seat) {
            address node = answers[l][a][(seat / 32) << 8 | seat % 32].node;
            if (node == address(0)) continue;
            if (_said(l, panel, _memberOf(panel, node), witness) == said) continue;
            exceptions[count++] =
                Exception(a, Verdict.SeatDiffers, witness, uint8(seat / 32), uint8(seat % 32), panel.submission);
        }
    }

    // --- Disputes ----------------------------------------------------------------------------------------------------

    function _dueOfDispute(uint256 l, uint16 a) internal {
        Dispute memory dispute = market.disputeOf(lives[l].id, a);
        Settlement memory panel = _panelOf(l, a);
        if (dispute.matter == Matter.None) return _dueOfException(l, a, panel);
        if (dispute.stage != Stage.Ruled && now_ > dispute.deadline) return;
        if (dispute.stage == Stage.Answering) {
            address accused = _nodeOf(panel, dispute.member);
            if (_isHonest(accused)) _due(l, a, _answerContest(l, a, accused), "D4: the honest cannot answer");
        } else if (dispute.stage == Stage.Opening) {
            _openDue(l, a, panel, dispute, panel.answers.length);
        } else if (dispute.stage == Stage.Ruled) {
            if (dispute.tier < MAX_TIER && now_ <= dispute.deadline) _appealDue(l, a, panel, dispute);
        } else if (dispute.stage == Stage.Casting) {
            _castDue(l, a, dispute);
        } else {
            _showDue(l, a, dispute);
            if (dispute.matter == Matter.Work) _openDue(l, a, panel, dispute, 0);
        }
    }

    function _dueOfException(uint256 l, uint16 a, Settlement memory panel) private {
        PanelState memory state = market.panelState(lives[l].id, a);
        if (now_ > uint256(state.raisedAt) + WINDOW) return;
        for (uint256 i; i <= panel.answers.length; ++i) {
            address node = _nodeOf(panel, i);
            bool concerned = state.verdict == Verdict.NoMajority || state.accused & (1 << i) != 0;
            if (!concerned || !_isHonest(node)) continue;
            _due(l, a, _challenge(l, a, node), "D4: the honest cannot challenge");
            return;
        }
    }

    /// @dev The honest open; an honest requester opens for all others, whose openings it has.
    function _openDue(uint256 l, uint16 a, Settlement memory panel, Dispute memory dispute, uint256 last) private {
        for (uint256 i; i <= last; ++i) {
            address node = _nodeOf(panel, i);
            if (dispute.opened & (1 << i) != 0 || _characterOf(node) == Character.Silent) continue;
            if (_isHonest(node)) _due(l, a, _open(l, a, i, node, false), "D4: the honest cannot open");
            else if (lives[l].honest) {
                _due(l, a, _open(l, a, i, lives[l].terms.requester, false), "D5: the honest requester cannot open");
            }
        }
    }

    /// @dev Whoever is honest and loses by the ruling appeals.
    function _appealDue(uint256 l, uint16 a, Settlement memory panel, Dispute memory dispute) private {
        if (_ruling(l, a, dispute) == _truthOf(l, a, dispute)) return;
        for (uint256 i; i <= panel.answers.length; ++i) {
            address node = _nodeOf(panel, i);
            if (!_isHonest(node) || !_loses(l, a, dispute, i)) continue;
            _due(l, a, _appeal(l, a, node), "D4: the honest cannot appeal");
            return;
        }
    }

    function _loses(uint256 l, uint16 a, Dispute memory dispute, uint256 member) private view returns (bool) {
        bytes32 ruling = _ruling(l, a, dispute);
        if (dispute.matter == Matter.Delivery) return ruling == UNDELIVERED && dispute.member == member;
        if (ruling != 0) {
            bytes32 opened = market.openedBy(lives[l].id, a, uint8(member));
            return opened != 0 && opened != ruling;
        }
        if (dispute.matter != Matter.Exception) return false;
        PanelState memory state = market.panelState(lives[l].id, a);
        return state.verdict == Verdict.NoMajority || state.accused & (1 << member) != 0;
    }

    function _castDue(uint256 l, uint16 a, Dispute memory dispute) private {
        (Jury memory jury, Juror[] memory jurors) = market.juryOf(lives[l].id, a, dispute.tier);
        if (!jury.convened) {
            // Nobody can before the block is mined, nor long after.
            if (block_ <= jury.entropyBlock || block_ > uint256(jury.entropyBlock) + 256) return;
            _due(l, a, _convene(l, a, STRANGER), "D6: the jury cannot be drawn");
            (, jurors) = market.juryOf(lives[l].id, a, dispute.tier);
        }
        for (uint8 seat; seat < jurors.length; ++seat) {
            address node = jurors[seat].node;
            if (jurors[seat].cast || !_isHonest(node)) continue;
            bytes32 value = _ballotOf(l, a, dispute, Character.Honest, node);
            _due(l, a, _cast(l, a, seat, node, value), "D4: the honest cannot cast");
        }
    }

    function _showDue(uint256 l, uint16 a, Dispute memory dispute) private {
        (, Juror[] memory jurors) = market.juryOf(lives[l].id, a, dispute.tier);
        for (uint8 seat; seat < jurors.length; ++seat) {
            if (!jurors[seat].cast || jurors[seat].shown || !_isHonest(jurors[seat].node)) continue;
            _due(l, a, _show(l, a, seat, jurors[seat].node, false), "D4: the honest cannot open a ballot");
        }
    }

    /// @dev The ruling that holds for now.
    function _ruling(uint256 l, uint16 a, Dispute memory dispute) private view returns (bytes32 ruling) {
        for (uint8 tier; tier <= dispute.tier; ++tier) {
            bytes32 later = market.rulingOf(lives[l].id, a, tier);
            if (later != 0) ruling = later;
        }
    }

    function _due(uint256 l, uint16 a, bool done, string memory what) private {
        if (done) return;
        require(refusal == IMarketEvents.PoolExhausted.selector, what);
        helpless[l][a] = true;
    }
}
