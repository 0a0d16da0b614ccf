// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Answer,
    Batch,
    BatchId,
    BatchState,
    Exception,
    JobId,
    Mode,
    PanelState,
    SeatId,
    Settlement,
    Submission,
    Terms,
    Verdict,
    Windows
} from "../interfaces/IMarket.sol";
import {Commitment} from "../libraries/Commitment.sol";
import {PPM} from "../libraries/Sampling.sol";
import {NODES} from "./Characters.sol";
import {
    BOND_FIXED,
    CLAIM_WINDOW,
    CLAIMED,
    Life,
    MarketWorld,
    REQUESTERS,
    SETTLED,
    Slice,
    SUBMITTED,
    VOID,
    WINDOW
} from "./MarketWorld.sol";
import {vm, within} from "./Vm.sol";

/// @title BatchActors: every step of a batch that nobody disputes, by anybody, at any time
/// @notice A step that the market takes is checked for what it may do (M3, M5, M6); one that it refuses is no failure.
abstract contract BatchActors is MarketWorld {
    uint256 public paid;
    uint256 public forced;
    uint256 public redrawn;

    function _post(uint256 dice) internal returns (bool) {
        uint256 r = dice % REQUESTERS;
        Terms memory terms = _terms(requesters[r], dice >> 8);
        uint24 count = uint24(1 + (dice >> 40) % 16);
        bytes32 seed = keccak256(abi.encode("seed", lives.length));
        JobId job = market.jobId(terms);
        uint64 sequence = market.batchesOf(job);
        bytes32 commitment = Commitment.seed(address(market), JobId.unwrap(job), sequence, seed);
        uint256 before = vault.available(address(market), terms.requester);
        uint24 slots = registry.classState(address(market), class).slots;
        vm.prank(terms.requester);
        try market.post(terms, count, 0, commitment) returns (BatchId id) {
            Life storage life = lives.push();
            life.id = id;
            life.terms = terms;
            life.batch = Batch(job, sequence, count, slots, 0, commitment);
            life.seed = seed;
            life.price = terms.price;
            life.locked = before - vault.available(address(market), terms.requester);
            life.honest = r == 0;
            return true;
        } catch {
            return false;
        }
    }

    function _claim(uint256 l, uint256 dice) internal {
        Life storage life = lives[l];
        BatchState memory state = market.batchState(life.id);
        uint24 left = life.batch.count - state.next;
        address node = nodes[(dice >> 16) % NODES];
        uint24 count = dice % 3 == 0 ? left : uint24(within(dice >> 32, 0, uint256(left) + 1));
        // Trees are built for every step of a dispute, so keep them small.
        if (count > 8) count = 8;
        uint24 slot = _slotOf(node);
        vm.prank(node);
        try market.claim(life.terms, life.batch, slot, count, 0) returns (uint16 assignment) {
            require(count != 0 && count <= left, "claimed what is not there");
            require(assignment == slices[l].length, "an index twice");
            slices[l].push(Slice(node, state.next, count, CLAIMED, 0));
        } catch {}
    }

    function _reclaim(uint256 l, uint16 a, uint256 dice) internal {
        Life storage life = lives[l];
        address node = nodes[(dice >> 16) % NODES];
        uint24 slot = _slotOf(node);
        vm.prank(node);
        try market.reclaim(life.terms, life.batch, slot, a, 0) {
            Slice storage slice = slices[l][a];
            require(slice.status == VOID || slice.status == CLAIMED, "reclaimed what was done");
            slice.status = CLAIMED;
            slice.node = node;
        } catch {}
    }

    function _submitAll(uint256 l, uint256 dice) internal {
        for (uint16 a; a < slices[l].length; ++a) {
            uint256 throw_ = _mix(dice, a);
            // Sometimes another, sometimes twice.
            if (throw_ % 8 != 1) _submit(l, a, throw_ % 8 == 0 ? nodes[(throw_ >> 8) % NODES] : slices[l][a].node);
        }
    }

    function _submit(uint256 l, uint16 a, address by) internal {
        Slice storage slice = slices[l][a];
        if (slice.status == VOID) return;
        bytes32 root = _rootOf(l, by, _tasksOf(l, a, 0));
        vm.prank(by);
        try market.submit(lives[l].id, a, root, 0, "") {
            require(slice.status == CLAIMED && by == slice.node, "submitted for another, or twice");
            slice.status = SUBMITTED;
            submissions[l][a] =
                Submission(by, slice.first, slice.count, root, keccak256(abi.encode(bytes32(0), keccak256(""))));
        } catch {}
    }

    function _expireAll(uint256 l) internal {
        for (uint16 a; a < slices[l].length; ++a) {
            if (slices[l][a].status == CLAIMED) _expire(l, a);
        }
    }

    function _expire(uint256 l, uint16 a) internal {
        vm.prank(STRANGER);
        try market.expire(lives[l].terms, lives[l].batch, a) {
            require(slices[l][a].status == CLAIMED, "voided what was done");
            slices[l][a].status = VOID;
        } catch {}
    }

    function _seal(uint256 l) internal {
        vm.prank(STRANGER);
        try market.seal(lives[l].terms, lives[l].batch) {
            _noteClosed(l);
        } catch {}
    }

    function _reveal(uint256 l, address by, bytes32 seed) internal returns (bool) {
        Life storage life = lives[l];
        vm.prank(by);
        try market.reveal(life.terms, life.batch, seed) {
            require(!life.revealed && seed == life.seed, "revealed twice, or another seed");
            life.revealed = true;
            return true;
        } catch {
            return false;
        }
    }

    function _answerAll(uint256 l, uint256 dice) internal {
        for (uint16 a; a < slices[l].length; ++a) {
            if (slices[l][a].status != SUBMITTED) continue;
            uint8 last = market.panelState(lives[l].id, a).rounds;
            for (uint8 round = dice % 3 == 0 ? 0 : last; round <= last; ++round) {
                _answerRound(l, a, round, _mix(dice, uint256(a) << 8 | round), false);
            }
        }
    }

    /// @param due Only those answer that do what is due.
    function _answerRound(uint256 l, uint16 a, uint8 round, uint256 dice, bool due) internal {
        Life storage life = lives[l];
        address[] memory drawn;
        try market.drawnFor(life.terms, life.batch, SeatId(a, round, 0), slices[l][a].node) returns (
            address[] memory found
        ) {
            drawn = found;
        } catch {
            return;
        }
        if (drawn.length == 0) return;
        uint256[] memory tasks = _tasksOf(l, a, 1);
        if (tasks.length == 0) return;
        for (uint8 seat; seat < drawn.length; ++seat) {
            uint256 throw_ = _mix(dice, seat);
            require(drawn[seat] != slices[l][a].node, "E4: the primary was drawn");
            if (due ? !_isHonest(drawn[seat]) : throw_ % 4 == 0) continue;
            address node = !due && throw_ % 16 == 1 ? nodes[(throw_ >> 8) % NODES] : drawn[seat];
            bytes32 root = _rootOf(l, node, tasks);
            vm.prank(node);
            try market.answer(life.terms, life.batch, SeatId(a, round, seat), submissions[l][a], root, 0, "") {
                Answer storage given = answers[l][a][uint256(round) << 8 | seat];
                require(node == drawn[seat], "answered for another");
                require(given.node == address(0), "answered twice");
                require(slices[l][a].status == SUBMITTED, "F1: answered while contended");
                ++answered[l][a];
                given.node = node;
                given.root = root;
                given.content = keccak256(abi.encode(bytes32(0), keccak256("")));
            } catch {}
        }
    }

    function _escalate(uint256 l, uint16 a, address by) internal returns (bool) {
        vm.prank(by);
        try market.escalate(lives[l].terms, lives[l].batch, a, submissions[l][a]) {
            return true;
        } catch {
            return false;
        }
    }

    function _redraw(uint256 l, uint16 a, address by) internal returns (bool) {
        vm.prank(by);
        try market.redraw(lives[l].terms, lives[l].batch, a, submissions[l][a]) {
            return true;
        } catch {
            return false;
        }
    }

    function _endJudging(uint256 l, address by) internal {
        vm.prank(by);
        try market.judge(lives[l].terms, lives[l].batch, new Exception[](0), true) {
            require(lives[l].revealed, "judged what was not revealed");
        } catch {}
    }

    function _rebid(uint256 l, address by, uint96 price) internal {
        Life storage life = lives[l];
        uint256 before = vault.available(address(market), life.terms.requester);
        vm.prank(by);
        try market.rebid(life.terms, life.batch, price) {
            require(slices[l].length == 0 && life.price == life.terms.price, "rebid late, or twice");
            life.price = price;
            life.locked = life.locked + before - vault.available(address(market), life.terms.requester);
        } catch {}
    }

    /// @dev Settles one assignment and checks what may come of it.
    /// @param forged Claims that somebody else submitted it.
    /// @param revealing Shows the seed in the same call.
    function _settle(uint256 l, uint16 a, address by, bool forged, bool revealing) internal returns (bool) {
        Life storage life = lives[l];
        Slice storage slice = slices[l][a];
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = _panelOf(l, a);
        if (forged) settlements[0].submission.node = STRANGER;
        PanelState memory panel = market.panelState(life.id, a);
        BatchState memory state = market.batchState(life.id);
        uint256 most = uint256(slice.count) * life.price;
        most += _sampledOf(l, a) * life.terms.verifierPrice * settlements[0].answers.length;
        uint256 earned = _earned();
        uint256 refund = vault.available(address(market), life.terms.requester);
        uint256 stake = _nodeLock(slice.node);
        uint256 lock = _lockOf(l).amount;

        if (!_callSettle(l, by, settlements, revealing)) return false;
        require(!forged && slice.status == SUBMITTED, "M3, F2: settled what was not submitted, or contended");
        require(!revealing || (by == life.terms.requester && !life.revealed), "revealed twice");
        if (revealing) life.revealed = true;
        slice.status = SETTLED;
        ++slice.settled;
        _noteClosed(l);
        life.locked = _lockOf(l).amount;

        require(_nodeLock(slice.node) == stake, "M5: slashed without a verdict");
        earned = _earned() - earned;
        refund = vault.available(address(market), life.terms.requester) - refund;
        require(earned <= most, "M6: paid beyond the price");
        require(life.closed || refund == 0, "M6: refunded while open");
        uint256 burned = lock - life.locked - earned - refund;
        if (burned != 0) {
            bool silent = !life.revealed || (by != life.terms.requester && !state.judged);
            require(burned == BOND_FIXED && !state.bondBurned, "M6: burned twice, or something else");
            require(silent && life.terms.mode != Mode.Trusted && panel.verdict == Verdict.None, "M6: burned for nothing");
            require(asleep || !life.honest, "D5: an honest requester's bond burned");
            ++forced;
        }
        if (earned != 0) ++paid;
        if (panel.rounds != 0) ++redrawn;
        return true;
    }

    function _callSettle(uint256 l, address by, Settlement[] memory settlements, bool revealing)
        private
        returns (bool)
    {
        Life storage life = lives[l];
        if (revealing) {
            vm.prank(by);
            try market.revealAndSettle(life.terms, life.batch, life.seed, settlements) {
                return true;
            } catch {
                return false;
            }
        }
        vm.prank(by);
        try market.settle(life.terms, life.batch, settlements) {
            return true;
        } catch {
            return false;
        }
    }

    function _terms(address requester, uint256 dice) private view returns (Terms memory terms) {
        terms.requester = requester;
        terms.delegate = dice % 3 == 0 ? address(0) : DELEGATE;
        uint256 kind = (dice >> 8) % 8;
        terms.mode = kind == 0 ? Mode.Trusted : kind == 1 ? Mode.Replicated : Mode.Sampled;
        terms.adaptive = kind >= 5;
        terms.fullSlash = (dice >> 16) % 4 != 0;
        terms.quorum = kind == 2 ? 5 : 3;
        terms.rate = kind == 0 ? 0 : kind == 1 ? uint32(PPM) : kind % 2 == 0 ? 400_000 : 200_000;
        terms.maxShare = uint32(PPM);
        terms.minSlice = uint24(1 + (dice >> 24) % 3);
        terms.price = 1_000;
        terms.verifierPrice = 1_200;
        // As little as the terms may ask, or more.
        terms.slashAmount = dice % 2 == 0 ? 16_000 : kind == 2 ? 15_334 : 10_000;
        terms.class = class;
        terms.spec = bytes32(lives.length);
        terms.encryptionKey = abi.encodePacked(bytes1(0x02), bytes32(0));
        terms.windows = Windows(CLAIM_WINDOW, WINDOW, WINDOW, WINDOW, WINDOW, WINDOW);
        if (kind == 0) {
            terms.allowed = nodes;
        } else if ((dice >> 32) % 3 == 0) {
            terms.excluded = new address[](1);
            terms.excluded[0] = nodes[(dice >> 40) % NODES];
        }
    }
}
