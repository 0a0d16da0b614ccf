// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    BatchId,
    Dispute,
    Juror,
    Jury,
    Matter,
    MAX_TIER,
    Outcome,
    PanelState,
    SeatId,
    Settlement,
    Stage,
    UNDELIVERED,
    Verdict
} from "../interfaces/IMarket.sol";
import {HONEST, NODES} from "./Characters.sol";
import {DisputeActors} from "./DisputeActors.sol";
import {BOND_FIXED, CHALLENGE_BOND, CONTENDED, SETTLED, WINDOW} from "./MarketWorld.sol";
import {vm} from "./Vm.sol";

/// @notice How a contended assignment must end, worked out from docs/protocol.md and not from the contracts.
/// @param dispute As it was.
/// @param panel As it was.
/// @param ruling That holds; 0 for none.
/// @param first The panel's.
/// @param byJury Whether a jury said so.
/// @param guilty Members that lose their locks; bit i for member i.
/// @param unpaid Members that are not paid.
/// @param missed Members that did not open when they had to.
/// @param lied The requester accused falsely.
/// @param lost The requester contested and lost.
/// @param seatPay What a verifier earns.
/// @param contestBond What the contest locked, if it was one.
/// @param fair Every jury had a majority of honest jurors, and nobody honest was refused one.
struct Ending {
    Dispute dispute;
    PanelState panel;
    bytes32 ruling;
    bytes32 first;
    bool byJury;
    uint64 guilty;
    uint64 unpaid;
    uint64 missed;
    bool lied;
    bool lost;
    bool fair;
    uint256 seatPay;
    uint256 contestBond;
}

/// @notice What everybody had.
/// @param stakes By node, what is unbonding with them.
/// @param pays By node: available in the market's ledger.
/// @param rewards By node: available in the registry's ledger.
struct Riches {
    uint256[NODES] stakes;
    uint256[NODES] pays;
    uint256[NODES] rewards;
    uint256 requester;
    uint256 lock;
    uint256 burned;
}

/// @title DisputeEnds: what concluding may do to whom (the numbers D)
abstract contract DisputeEnds is DisputeActors {
    /// @dev Somebody honest could not appeal, because no node was left to draw.
    mapping(uint256 life => mapping(uint16 assignment => bool)) internal helpless;

    mapping(Outcome outcome => uint256 count) public ended;
    mapping(Verdict verdict => uint256 count) public stood;
    /// @notice Ends in which the requester lied, and in which it lost a contest.
    uint256 public lies;
    uint256 public lostContests;
    /// @notice Honest members and jurors for which D4 was checked, and for which it was not, as the jury was not honest.
    uint256 public honestEnds;
    uint256 public unfairEnds;
    /// @notice Honest requesters for which D5 was checked.
    uint256 public honestRequests;

    function _conclude(uint256 l, uint16 a, address by) internal returns (bool) {
        Settlement memory members = _panelOf(l, a);
        if (slices[l][a].status != CONTENDED) {
            try market.conclude(lives[l].terms, lives[l].batch, members) {
                revert("F21: concluded what is not contended");
            } catch {
                return false;
            }
        }
        Ending memory end = _endingOf(l, a, members);
        uint256[NODES] memory exposedStake = _atStake(l, a, members, end);
        uint256[NODES] memory wages = _wagesOf(l, a, end);
        Riches memory before = _riches(l);
        vm.prank(by);
        try market.conclude(lives[l].terms, lives[l].batch, members) {}
        catch (bytes memory reason) {
            refusal = bytes4(reason);
            require(refusal != bytes4(keccak256("Panic(uint256)")), "F0: concluding panics");
            return false;
        }
        _checkTime(end);
        slices[l][a].status = SETTLED;
        ++slices[l][a].settled;
        _noteClosed(l);
        lives[l].locked = _lockOf(l).amount;
        _forgetSpot(l, a);
        Riches memory then = _riches(l);
        _checkStakes(l, a, members, end, exposedStake, before, then);
        _checkRewards(l, a, members, end, wages, before, then);
        _checkLock(l, a, members, end, before, then);
        if (!asleep) _checkHonest(l, a, members, end, before, then);
        _requireErased(l, a);
        ++ended[_outcomeOf(end)];
        if (end.dispute.matter == Matter.None) ++stood[end.panel.verdict];
        if (end.lied) ++lies;
        if (end.lost) ++lostContests;
        return true;
    }

    // --- What must come of it ----------------------------------------------------------------------------------------

    function _endingOf(uint256 l, uint16 a, Settlement memory members) internal view returns (Ending memory end) {
        end.dispute = market.disputeOf(lives[l].id, a);
        end.panel = market.panelState(lives[l].id, a);
        Matter matter = end.dispute.matter;
        uint64 accused = end.panel.accused;
        uint64 all = uint64((1 << (members.answers.length + 1)) - 1);
        bool noMajority = end.panel.verdict == Verdict.NoMajority;
        end.fair = !helpless[l][a];
        end.seatPay = _payOf(l, a, 1);
        if (matter == Matter.Work || matter == Matter.Delivery) end.contestBond = _contestBond(l, a, end.dispute.member);
        if (end.dispute.stage == Stage.Answering) {
            end.unpaid = uint64(1 << end.dispute.member);
            return end;
        }
        end.first = market.rulingOf(lives[l].id, a, 0);
        end.ruling = end.first;
        for (uint8 tier = 1; tier <= end.dispute.tier; ++tier) {
            bytes32 ruling = market.rulingOf(lives[l].id, a, tier);
            if (ruling != 0) (end.ruling, end.byJury) = (ruling, true);
            if (!_isFair(l, a, tier)) end.fair = false;
        }
        if (matter == Matter.Delivery) {
            if (end.ruling == UNDELIVERED) end.unpaid = uint64(1 << end.dispute.member);
            end.lost = end.ruling != UNDELIVERED;
            return end;
        }
        uint64 right;
        for (uint8 i; i <= members.answers.length; ++i) {
            bytes32 digest = market.openedBy(lives[l].id, a, i);
            if (digest == 0 || end.ruling == 0) continue;
            if (digest == end.ruling) right |= uint64(1 << i);
            else end.guilty |= uint64(1 << i);
        }
        uint64 silent = all & ~end.dispute.opened;
        if (matter == Matter.Work && end.ruling != 0) end.guilty |= silent & 1;
        if (matter == Matter.Work) end.lost = end.guilty == 0;
        if (matter == Matter.Exception || matter == Matter.Silence) end.missed = silent & ~accused;
        if (matter == Matter.Exception && end.ruling != 0) {
            end.guilty |= silent & accused;
            end.lied = noMajority
                ? end.first == end.ruling
                : accused & right != 0 && (end.first == 0 || end.first == end.ruling);
        }
        if (end.ruling == 0 && (matter == Matter.None || matter == Matter.Exception)) {
            end.guilty |= accused;
            if (noMajority) end.unpaid = all;
        }
        end.unpaid |= end.guilty | end.missed;
    }

    function _outcomeOf(Ending memory end) private pure returns (Outcome) {
        if (end.guilty & 1 != 0) return Outcome.PrimarySlashed;
        if (end.panel.verdict == Verdict.NoMajority && end.ruling == 0) return Outcome.NoMajority;
        if (end.unpaid & 1 != 0) return Outcome.Forfeited;
        if (end.guilty != 0) return Outcome.SeatSlashed;
        return end.lied || end.dispute.matter == Matter.Silence ? Outcome.Forced : Outcome.Paid;
    }

    function _isFair(uint256 l, uint16 a, uint8 tier) private view returns (bool) {
        (, Juror[] memory jurors) = market.juryOf(lives[l].id, a, tier);
        uint256 honest;
        for (uint256 i; i < jurors.length; ++i) {
            if (jurors[i].shown && _isHonest(jurors[i].node)) ++honest;
        }
        return 2 * honest > jurors.length;
    }

    /// @dev The most that each node may lose: what stands behind what it did wrong, or risked, here.
    function _atStake(uint256 l, uint16 a, Settlement memory members, Ending memory end)
        private
        view
        returns (uint256[NODES] memory most)
    {
        uint256 slashAmount = lives[l].terms.slashAmount;
        bool undelivered = end.dispute.matter == Matter.Delivery && end.ruling == UNDELIVERED;
        for (uint256 i; i <= members.answers.length; ++i) {
            uint256 index = _indexOf(_nodeOf(members, i));
            if (end.guilty & (1 << i) != 0 || (undelivered && end.dispute.member == i)) {
                most[index] += i == 0 ? _lockFor(l, slices[l][a].count) : slashAmount;
            }
            if (end.missed & (1 << i) != 0) most[index] += _payOf(l, a, 1) / 2;
        }
        if (end.dispute.matter != Matter.None) {
            for (uint8 tier; tier <= end.dispute.tier; ++tier) {
                (Jury memory jury, Juror[] memory jurors) = market.juryOf(lives[l].id, a, tier);
                if (jury.bond != 0 && jury.appellant != lives[l].terms.requester) {
                    most[_indexOf(jury.appellant)] += jury.bond;
                }
                for (uint256 i; i < jurors.length; ++i) {
                    if (!jurors[i].shown || !end.byJury) continue;
                    if (_digestOfBallot(l, a, end.dispute, tier, i) != end.ruling) {
                        most[_indexOf(jurors[i].node)] += slashAmount;
                    }
                }
            }
        }
        _addAbsent(l, a, members, most);
    }

    /// @dev Who was drawn for the panel's last round and did not answer is fined where it is not full.
    function _addAbsent(uint256 l, uint16 a, Settlement memory members, uint256[NODES] memory most) private view {
        (uint256 needed,) = _sizeOf(l, a);
        if (_sampledOf(l, a) == 0 || members.answers.length >= needed) return;
        uint8 round = market.panelState(lives[l].id, a).rounds;
        address[] memory drawn =
            market.drawnFor(lives[l].terms, lives[l].batch, SeatId(a, round, 0), members.submission.node);
        for (uint256 seat; seat < drawn.length; ++seat) {
            if (answers[l][a][uint256(round) << 8 | seat].node != address(0)) continue;
            most[_indexOf(drawn[seat])] += _payOf(l, a, 1) / 2;
        }
    }

    /// @dev D15: a juror is paid for a ballot that it opened and that no jury overruled, and for nothing else.
    function _wagesOf(uint256 l, uint16 a, Ending memory end) private view returns (uint256[NODES] memory wages) {
        if (end.dispute.matter == Matter.None) return wages;
        for (uint8 tier = 1; tier <= end.dispute.tier; ++tier) {
            (, Juror[] memory jurors) = market.juryOf(lives[l].id, a, tier);
            for (uint256 i; i < jurors.length; ++i) {
                if (!jurors[i].shown) continue;
                if (end.byJury && _digestOfBallot(l, a, end.dispute, tier, i) != end.ruling) continue;
                wages[_indexOf(jurors[i].node)] += lives[l].terms.verifierPrice;
            }
        }
    }

    // --- What did come of it -----------------------------------------------------------------------------------------

    /// @dev D2: nobody is slashed before the last window has passed.
    function _checkTime(Ending memory end) private view {
        if (end.dispute.matter == Matter.None) {
            require(end.panel.verdict != Verdict.None, "F21: concluded nothing");
            require(now_ > uint256(end.panel.raisedAt) + WINDOW, "D2: before the challenge window has passed");
            return;
        }
        Stage stage = end.dispute.stage;
        require(stage == Stage.Ruled || stage == Stage.Answering, "F21: concluded in the middle");
        bool last = stage == Stage.Ruled && end.dispute.tier == MAX_TIER;
        require(last || now_ > end.dispute.deadline, "D2: before the last window has passed");
    }

    /// @dev D17: nobody loses more than what stands behind its wrong, and the guilty lose no less than the terms say.
    function _checkStakes(
        uint256 l,
        uint16 a,
        Settlement memory members,
        Ending memory end,
        uint256[NODES] memory most,
        Riches memory before,
        Riches memory then
    ) private view {
        for (uint256 i; i < NODES; ++i) {
            require(then.stakes[i] <= before.stakes[i], "stakes grow");
            require(before.stakes[i] - then.stakes[i] <= most[i], "D17: took more than stands behind what was wrong");
        }
        for (uint256 i; i <= members.answers.length; ++i) {
            if (end.guilty & (1 << i) == 0) continue;
            uint256 index = _indexOf(_nodeOf(members, i));
            uint256 lock = i == 0 ? _lockFor(l, slices[l][a].count) : lives[l].terms.slashAmount;
            uint256 least = lives[l].terms.fullSlash ? lock : lock / 10;
            require(before.stakes[index] - then.stakes[index] >= least, "D17: the guilty keep their locks");
        }
    }

    /// @dev D9, D12, D15, D18: who is paid how much, and that nothing appears or vanishes.
    function _checkRewards(
        uint256 l,
        uint16 a,
        Settlement memory members,
        Ending memory end,
        uint256[NODES] memory wages,
        Riches memory before,
        Riches memory then
    ) private view {
        uint256[NODES] memory pays;
        bool[NODES] memory isMember;
        for (uint256 i; i <= members.answers.length; ++i) {
            uint256 index = _indexOf(_nodeOf(members, i));
            isMember[index] = true;
            if (end.unpaid & (1 << i) == 0) pays[index] = _owed(l, a, end, i);
        }
        uint256 gained;
        uint256 spent;
        uint256 extra;
        for (uint256 i; i < NODES; ++i) {
            uint256 gain = then.pays[i] + then.rewards[i] - before.pays[i] - before.rewards[i];
            gained += gain;
            spent += before.stakes[i] - then.stakes[i];
            if (!isMember[i]) {
                require(gain == wages[i], "D15: a juror's wage is not what it earned");
                continue;
            }
            require(gain >= pays[i], "D18: a member that was not wrong is not paid");
            extra += gain - pays[i];
        }
        uint256 shares;
        for (uint256 i; i <= members.answers.length; ++i) {
            if (end.guilty & (1 << i) == 0) continue;
            shares += (i == 0 ? _lockFor(l, slices[l][a].count) : lives[l].terms.slashAmount) / 10;
        }
        if (end.dispute.matter != Matter.None) shares += _jurorShares(l, a, end);
        uint256 allowance = end.dispute.matter == Matter.None ? 0 : CHALLENGE_BOND;
        require(extra <= shares + allowance, "D12: more than the honest share");
        uint256 out = before.lock - then.lock;
        uint256 refund = then.requester - before.requester;
        require(lives[l].closed || refund == 0, "M6: refunded while open");
        require(out + spent == gained + refund + then.burned - before.burned, "D9: something appears or vanishes");
    }

    function _jurorShares(uint256 l, uint16 a, Ending memory end) private view returns (uint256 shares) {
        for (uint8 tier = 1; tier <= end.dispute.tier && end.byJury; ++tier) {
            // Erased by now: what was cast is remembered here.
            for (uint256 seat; seat < 22; ++seat) {
                if (ballots[l][a][uint256(tier) << 8 | seat].value == 0) continue;
                if (_digestOfBallot(l, a, end.dispute, tier, seat) != end.ruling) {
                    shares += lives[l].terms.slashAmount / 10;
                }
            }
        }
    }

    /// @dev D3, D10, D11: what leaves the batch's lock was locked for it, and burns for a reason.
    function _checkLock(
        uint256 l,
        uint16 a,
        Settlement memory members,
        Ending memory end,
        Riches memory before,
        Riches memory then
    ) private view {
        uint256 out = before.lock - then.lock - (then.requester - before.requester);
        uint256 most;
        uint256 mayBurn;
        for (uint256 i; i <= members.answers.length; ++i) {
            most += _owed(l, a, end, i);
            bool lapsed = end.missed & (1 << i) != 0
                || (end.dispute.matter == Matter.Silence && end.unpaid & (1 << i) != 0);
            if (lapsed) mayBurn += _owed(l, a, end, i);
        }
        if (end.dispute.matter == Matter.Exception) {
            (uint256 reserve,) = market.reserve(lives[l].terms, lives[l].price, slices[l][a].count);
            most += reserve;
            // D11: only a false accusation burns what backs it.
            if (end.lied) mayBurn += reserve;
            if (end.lied) require(out >= reserve, "D11: a liar keeps its reserve");
        }
        if (end.dispute.pot) (most, mayBurn) = (most + BOND_FIXED, mayBurn + BOND_FIXED);
        if (end.dispute.matter == Matter.Work || end.dispute.matter == Matter.Delivery) {
            most += end.contestBond;
            if (end.lost) mayBurn += _owed(l, a, end, end.dispute.member) / 10;
        }
        // Both juries at the most, if the requester called them.
        most += (6 * uint256(lives[l].terms.quorum) + 3) * lives[l].terms.verifierPrice;
        require(out <= most, "D3: more left the lock than was locked for it");
        uint256 lost;
        uint256 got;
        for (uint256 i; i < NODES; ++i) {
            lost += before.stakes[i] - then.stakes[i];
            got += then.rewards[i] - before.rewards[i];
        }
        uint256 burned = then.burned - before.burned - (lost - got);
        require(burned <= mayBurn, "D10: burned for nothing");
    }

    /// @dev D4, D5: whoever did what was due loses nothing, where juries were honest.
    function _checkHonest(
        uint256 l,
        uint16 a,
        Settlement memory members,
        Ending memory end,
        Riches memory before,
        Riches memory then
    ) private {
        for (uint256 i; i <= members.answers.length; ++i) {
            address node = _nodeOf(members, i);
            if (!_isHonest(node)) continue;
            if (!end.fair) {
                ++unfairEnds;
                continue;
            }
            ++honestEnds;
            require(end.unpaid & (1 << i) == 0, "D4: an honest member is not paid");
            uint256 index = _indexOf(node);
            uint256 had = before.stakes[index] + before.pays[index] + before.rewards[index];
            uint256 has = then.stakes[index] + then.pays[index] + then.rewards[index];
            require(has >= had + _owed(l, a, end, i), "D4: an honest member has less than it earned");
        }
        if (end.fair) {
            for (uint256 i; i < HONEST; ++i) {
                uint256 had = before.stakes[i] + before.pays[i] + before.rewards[i];
                uint256 has = then.stakes[i] + then.pays[i] + then.rewards[i];
                require(has >= had, "D4: somebody honest loses");
            }
        }
        if (!lives[l].honest || !end.fair) return;
        ++honestRequests;
        require(!end.lied && !end.lost, "D5: an honest requester loses its reserve");
        uint256 out = before.lock - then.lock - (then.requester - before.requester);
        uint256 most;
        for (uint256 i; i <= members.answers.length; ++i) {
            most += _owed(l, a, end, i);
        }
        require(out <= most, "D5: an honest requester pays more than the price");
    }

    /// @dev D8: nothing of the dispute is stored any more.
    function _requireErased(uint256 l, uint16 a) private view {
        BatchId id = lives[l].id;
        require(market.disputeOf(id, a).matter == Matter.None, "D8: the dispute is still stored");
        require(market.panelState(id, a).verdict == Verdict.None, "D8: the exception is still stored");
        for (uint8 tier; tier <= MAX_TIER; ++tier) {
            require(market.rulingOf(id, a, tier) == 0, "D8: a ruling is still stored");
            (Jury memory jury,) = market.juryOf(id, a, tier);
            require(jury.appellant == address(0) && jury.seats == 0, "D8: a jury is still stored");
            for (uint256 seat; seat < 22; ++seat) {
                bytes32 key = keccak256(abi.encode(keccak256(abi.encode(id, a)), "juror", uint256(tier), seat));
                require(_stored(JURORS, key) == 0 && _stored(DIGESTS, key) == 0, "D8: a juror is still stored");
            }
        }
        for (uint8 member; member < 16; ++member) {
            require(market.openedBy(id, a, member) == 0, "D8: an opening is still stored");
        }
    }

    /// @dev Where the market's storage has these mappings; see {Book}, which begins in the second slot.
    uint256 private constant DIGESTS = 10;
    uint256 private constant JURORS = 12;

    function _stored(uint256 slot, bytes32 key) private view returns (bytes32) {
        return vm.load(address(market), keccak256(abi.encode(key, slot)));
    }

    /// @dev What a member is paid, also once the batch is forgotten.
    function _owed(uint256 l, uint16 a, Ending memory end, uint256 member) private view returns (uint256) {
        return member == 0 ? _payOf(l, a, 0) : end.seatPay;
    }

    function _digestOfBallot(uint256 l, uint16 a, Dispute memory dispute, uint8 tier, uint256 seat)
        private
        view
        returns (bytes32)
    {
        uint8 was = dispute.tier;
        dispute.tier = tier;
        bytes32 digest = _digestOf(l, a, dispute, seat);
        dispute.tier = was;
        return digest;
    }

    function _riches(uint256 l) private view returns (Riches memory riches) {
        for (uint256 i; i < NODES; ++i) {
            riches.stakes[i] = _nodeLock(nodes[i]);
            riches.pays[i] = vault.available(address(market), nodes[i]);
            riches.rewards[i] = vault.available(address(registry), nodes[i]);
        }
        riches.requester = vault.available(address(market), lives[l].terms.requester);
        riches.lock = _lockOf(l).amount;
        riches.burned = vault.burned();
    }

    function _forgetSpot(uint256 l, uint16 a) private {
        for (uint256 i; i < spots.length; ++i) {
            if (spots[i].l != l || spots[i].a != a) continue;
            spots[i] = spots[spots.length - 1];
            spots.pop();
            return;
        }
    }
}
