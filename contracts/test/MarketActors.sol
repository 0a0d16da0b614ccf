// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Answer,
    BatchState,
    Dispute,
    Exception,
    Juror,
    Jury,
    Matter,
    Mode,
    PanelState,
    Settlement,
    Stage,
    Verdict
} from "../interfaces/IMarket.sol";
import {NodeState} from "../interfaces/IRegistry.sol";
import {Lock} from "../interfaces/IVault.sol";
import {Sampling} from "../libraries/Sampling.sol";
import {Character, NODES} from "./Characters.sol";
import {HonestActors} from "./HonestActors.sol";
import {
    BOND_FIXED,
    CLAIM_WINDOW,
    CLAIMED,
    CONTENDED,
    Life,
    REQUESTERS,
    SETTLED,
    Slice,
    SUBMITTED,
    WINDOW
} from "./MarketWorld.sol";
import {vm, within} from "./Vm.sol";

/// @title MarketActors: requesters and nodes, honest and hostile, that do anything in any order
/// @notice Every external function that changes something is a move; none may revert. What must never happen is checked
/// where it would happen, in the steps that the moves take, and by the numbered views that {MarketInvariantsTest} asserts
/// after every move.
contract MarketActors is HonestActors {
    // --- Moves: batches ----------------------------------------------------------------------------------------------

    function post(uint256 dice) public {
        dice = _thrown(dice);
        if (lives.length - closed >= 3) return submit(dice);
        if (!_post(dice)) return;
        for (uint256 i; i < (dice >> 64) % 4; ++i) {
            _claim(lives.length - 1, _mix(dice, i));
        }
    }

    /// @notice What a batch needs next, done as its actors would who mean well; without it few lives get far.
    function proceed(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found) return post(dice);
        BatchState memory state = market.batchState(lives[l].id);
        if (state.sealedAt == 0) {
            if (state.next < lives[l].batch.count && dice % 4 != 0) return _claim(l, dice);
            if (state.pending != 0) return _submitAll(l, dice);
            return _finishComputing(l);
        }
        if (!lives[l].revealed && dice % 8 != 0) {
            _advance(1, 5);
            _reveal(l, lives[l].terms.requester, lives[l].seed);
            return;
        }
        uint256 kind = (dice >> 8) % 8;
        if (kind < 4) _answerAll(l, dice);
        else if (kind == 4) _judgeAll(l, dice);
        else if (kind == 5) _advance(WINDOW + 1, 5);
        else if (kind == 6) _settleAll(l, (dice >> 16) % 2 == 0 ? _judgeOf(l, 7) : STRANGER);
        else _escalateAll(l, _judgeOf(l, 7));
    }

    /// @notice All computed, revealed and answered, at once.
    function hurry(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found) return post(dice);
        if (lives[l].revealed) return _answerAll(l, dice);
        for (uint256 i; i < 6 && market.batchState(lives[l].id).next < lives[l].batch.count; ++i) {
            _claim(l, _mix(dice, i) - _mix(dice, i) % 3);
        }
        for (uint16 a; a < slices[l].length; ++a) {
            _submit(l, a, slices[l][a].node);
        }
        if (market.batchState(lives[l].id).sealedAt == 0) return;
        _advance(1, 5);
        _reveal(l, lives[l].terms.requester, lives[l].seed);
        _answerAll(l, dice);
    }

    function claim(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (found) _claim(l, dice);
    }

    function reclaim(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (found) _reclaim(l, a, dice);
    }

    function submit(uint256 dice) public {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (found) _submitAll(l, dice);
    }

    function expire(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (found) _expire(l, a);
    }

    function seal(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (found) _seal(l);
    }

    function reveal(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found) return;
        if (dice % 4 != 0) _advance(1, 5);
        _reveal(l, dice % 2 == 0 ? STRANGER : lives[l].terms.requester, dice % 16 == 1 ? bytes32(0) : lives[l].seed);
    }

    function capture(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found) return;
        try market.capture(lives[l].id) {} catch {}
    }

    function answer(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found || !lives[l].revealed) return;
        if (dice % 2 == 0) _advance(1, 5);
        _answerAll(l, dice);
        if (dice % 5 < 2) _judgeAll(l, dice);
    }

    function escalate(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (found) _escalate(l, a, _judgeOf(l, dice));
    }

    function redraw(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (!found) return;
        if (dice % 2 == 0) _advance(WINDOW + 61, 5);
        _redraw(l, a, _judgeOf(l, dice >> 8));
    }

    function settle(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (found) _settle(l, a, dice % 3 == 0 ? _judgeOf(l, 7) : STRANGER, dice % 8 == 1, false);
    }

    function settleAll(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (found) _settleAll(l, dice % 2 == 0 ? _judgeOf(l, 7) : STRANGER);
    }

    function revealAndSettle(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (!found || lives[l].honest) return;
        if (dice % 4 != 0) _advance(1, 5);
        _settle(l, a, dice % 8 == 1 ? STRANGER : lives[l].terms.requester, false, true);
    }

    /// @notice Tries to be paid for what was paid, in a batch open or closed.
    function settleAgain(uint256 dice) external {
        dice = _thrown(dice);
        if (lives.length == 0) return;
        uint256 l = dice % lives.length;
        for (uint16 a; a < slices[l].length; ++a) {
            if (slices[l][a].status != SETTLED) continue;
            require(!_settle(l, a, lives[l].terms.requester, false, false), "M3: settled twice");
            require(!_conclude(l, a, STRANGER), "M3: concluded twice");
        }
    }

    function rebid(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found) return;
        _rebid(l, dice % 8 == 0 ? STRANGER : lives[l].terms.requester, uint96(within(dice >> 16, 1, 1_300)));
    }

    function pass(uint256 dice) external {
        dice = _thrown(dice);
        uint256 kind = dice % 16;
        if (kind < 3) _advance(1 + (dice >> 8) % 30, 1);
        else if (kind < 8) _advance(WINDOW / 2, 5);
        else if (kind < 14) _advance(WINDOW + 1, 10);
        else if (kind == 14) _advance(CLAIM_WINDOW + 1, 20);
        else _advance(10 * WINDOW, 300);
    }

    /// @notice Passes just far enough for a batch to need its next step, and takes it.
    function finishComputing(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (found && market.batchState(lives[l].id).sealedAt == 0) _finishComputing(l);
    }

    // --- Moves: disputes ---------------------------------------------------------------------------------------------

    function judge(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found) return;
        if (dice % 4 == 0) _advance(WINDOW, 5);
        _judgeAll(l, dice);
    }

    function challenge(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _dispute(dice);
        if (found) _challenge(l, a, _hostileOf(l, a, dice));
    }

    function callPanel(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (!found) return;
        if (dice % 4 != 0 && lives[l].revealed && !lives[l].honest) {
            uint256 overdue = _panelDeadline(l, a) + WINDOW;
            if (overdue >= now_) _advance(overdue + 1 - now_, 5);
        }
        _callPanel(l, a, STRANGER);
    }

    function contest(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (!found || lives[l].honest || !lives[l].revealed) return;
        _contestSome(l, a, dice);
    }

    function answerContest(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _dispute(dice);
        if (found) _answerContest(l, a, _hostileOf(l, a, dice));
    }

    function open(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _dispute(dice);
        if (found) _openSome(l, a, dice);
    }

    function rule(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _dispute(dice);
        if (found) _rule(l, a, STRANGER);
    }

    function appeal(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _dispute(dice);
        if (found) _appealSome(l, a, dice);
    }

    function convene(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _dispute(dice);
        if (found) _convene(l, a, STRANGER);
    }

    function castBallot(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _dispute(dice);
        if (!found) return;
        if (dice % 2 == 0) _advance(1, 5);
        _castSome(l, a, dice);
    }

    function openBallot(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _dispute(dice);
        if (found) _showSome(l, a, dice);
    }

    function exposeBallot(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _dispute(dice);
        if (!found) return;
        _exposeSome(l, a, dice);
    }

    function conclude(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = dice % 8 == 0 ? _slice(dice) : _dispute(dice);
        if (found) _conclude(l, a, STRANGER);
    }

    /// @notice What a dispute needs next: each does it in its own way; then time passes and the step ends.
    function quarrel(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _dispute(dice);
        if (!found || dice % 8 == 0) return _pick(dice);
        Stage stage = market.disputeOf(lives[l].id, a).stage;
        if (stage == Stage.None) {
            _challenge(l, a, _hostileOf(l, a, dice));
        } else if (stage == Stage.Answering) {
            _answerContest(l, a, _hostileOf(l, a, dice));
        } else if (stage == Stage.Opening) {
            _openSome(l, a, dice);
        } else if (stage == Stage.Ruled) {
            if (dice % 2 == 0) _appealSome(l, a, dice);
        } else if (stage == Stage.Casting) {
            _advance(1, 5);
            _castSome(l, a, dice);
            if (dice % 2 == 0) _exposeSome(l, a, dice);
        } else {
            _showSome(l, a, dice);
            _openSome(l, a, dice);
        }
        if (stage == Stage.Casting || (dice >> 8) % 4 != 0) _advance(WINDOW + 61, 5);
        if (market.disputeOf(lives[l].id, a).stage != stage) return;
        if (stage == Stage.None || stage == Stage.Answering || stage == Stage.Ruled) _conclude(l, a, STRANGER);
        else _rule(l, a, STRANGER);
    }

    // --- Moves: stakes and pools -------------------------------------------------------------------------------------

    function liveAsNode(uint256 dice) external {
        dice = _thrown(dice);
        address node = nodes[(dice >> 16) % NODES];
        // The honest keep what backs them.
        uint256 kind = _isHonest(node) ? 4 + dice % 4 : dice % 8;
        uint24 slot = kind == 0 ? _freePlace() : _slotOf(node);
        bool isThief = _isEntrusted(node) && (dice >> 24) % 2 == 0;
        vm.prank(_isEntrusted(node) && !isThief ? OWNER : node);
        if (kind == 0) try registry.joinPoolFor(address(market), class, node, slot) { _refuse(isThief); } catch {}
        else if (kind == 1) try registry.leavePool(address(market), class, slot) {} catch {}
        else if (kind == 2) try registry.unstakeFor(address(market), node, uint88((dice >> 32) % 300_000)) { _refuse(isThief); } catch {}
        else if (kind == 3) try registry.withdrawStakeFor(address(market), node) { _refuse(isThief); } catch {}
        else if (kind == 4) try registry.stakeFor(address(market), node, uint88((dice >> 32) % 50_000)) { _refuse(isThief); } catch {}
        else if (kind == 5) try registry.evict(address(market), class, slot) {} catch {}
        else if (kind == 6) try registry.freeSlot(address(market), class, uint24((dice >> 32) % 16)) {} catch {}
        else _takeOut(node, dice);
    }

    function _refuse(bool isThief) private pure {
        require(!isThief, "R7: whoever has a node's key manages what is entrusted");
    }

    /// @dev Whatever a node has, by its own key.
    function _takeOut(address node, uint256 dice) private {
        address ledger = (dice >> 26) % 2 == 0 ? address(registry) : address(market);
        uint256 amount = (dice >> 32) % 50_000;
        if ((dice >> 28) % 2 == 0) try vault.withdraw(ledger, amount, node) {} catch {}
        else try vault.move(ledger, STRANGER, amount) {} catch {}
    }

    // --- Views that must always hold ---------------------------------------------------------------------------------

    /// @notice V1: every account, every lock and what was burned add up to what the vault owes and has.
    function requireConserved() external view {
        uint256 sum = vault.burned() + vault.available(address(registry), STRANGER);
        for (uint256 i; i < NODES; ++i) {
            sum += vault.available(address(market), nodes[i]) + vault.available(address(registry), nodes[i]);
            sum += vault.available(STRANGER, nodes[i]) + _nodeLock(nodes[i]);
        }
        for (uint256 i; i < REQUESTERS; ++i) {
            sum += vault.available(address(market), requesters[i]);
        }
        for (uint256 l; l < lives.length; ++l) {
            sum += _lockOf(l).amount;
        }
        require(sum == vault.total(), "V1: accounts, locks and burned are not the total");
        require(token.balanceOf(address(vault)) == vault.total(), "V1: the vault does not have what it owes");
    }

    /// @notice V5: nothing that was entrusted is where a node's own key could have brought it.
    function requireEntrustedKept() external view {
        for (uint256 i; i < NODES; ++i) {
            if (!_isEntrusted(nodes[i])) continue;
            require(token.balanceOf(nodes[i]) == 0, "V5: a thief has it");
            require(vault.available(STRANGER, nodes[i]) == 0, "V5: a thief's ledger has it");
        }
    }

    /// @notice R1, R2: what is committed is at stake, and the vault holds the stake.
    function requireStakesBacked() external view {
        for (uint256 i; i < NODES; ++i) {
            NodeState memory state = registry.nodeState(address(market), nodes[i]);
            require(state.committed <= state.stake, "R1: committed beyond the stake");
            uint256 unbonding = registry.unbondingOf(address(market), nodes[i]).amount;
            require(_nodeLock(nodes[i]) == state.stake + unbonding, "R2: the lock is not stake and unbonding");
        }
    }

    /// @notice M1, D7: what a node has committed is exactly what stands behind its open assignments, seats, bonds and ballots.
    function requireCommitmentsMatch() external view {
        uint256[] memory owed = new uint256[](NODES);
        for (uint256 l; l < lives.length; ++l) {
            if (lives[l].closed) continue;
            for (uint16 a; a < slices[l].length; ++a) {
                Slice memory slice = slices[l][a];
                bool held = slice.status == SUBMITTED || slice.status == CONTENDED;
                if (!held && slice.status != CLAIMED) continue;
                owed[_indexOf(slice.node)] += _lockFor(l, slice.count);
                Answer[] memory given = _answersOf(l, a);
                for (uint256 i; i < given.length; ++i) {
                    owed[_indexOf(given[i].node)] += lives[l].terms.slashAmount;
                }
                if (slice.status == CONTENDED) _addBonds(l, a, owed);
            }
        }
        for (uint256 i; i < NODES; ++i) {
            uint256 committed = registry.nodeState(address(market), nodes[i]).committed;
            require(committed == owed[i], "M1: committed is not what is open");
        }
    }

    /// @notice M2, D3: an open batch's lock covers all that may still be paid and burned; a closed one has none.
    function requireEscrowCovers() external view {
        for (uint256 l; l < lives.length; ++l) {
            Life storage life = lives[l];
            BatchState memory state = market.batchState(life.id);
            Lock memory lock = _lockOf(l);
            require((state.postedAt == 0) == life.closed, "M2: closed unseen");
            if (life.closed) {
                require(lock.amount == 0 && lock.holder == address(0), "M2: a closed batch has a lock");
                require(market.entropyOf(life.id) == 0, "M2: a closed batch has entropy");
                continue;
            }
            require(lock.amount == life.locked, "M2: the lock changed unseen");
            uint256 due = state.bondBurned ? 0 : BOND_FIXED;
            uint256 unclaimed = life.batch.count;
            uint256 sampled;
            bytes32 entropy = market.entropyOf(life.id);
            for (uint16 a; a < slices[l].length; ++a) {
                Slice memory slice = slices[l][a];
                unclaimed -= slice.count;
                if (slice.status == SETTLED) continue;
                due += uint256(slice.count) * life.price;
                if (life.revealed) {
                    sampled += Sampling.sampledCount(entropy, slice.first, slice.count, life.terms.rate);
                }
                if (slice.status == CONTENDED) due += _backing(l, a);
            }
            due += unclaimed * life.price;
            if (!life.revealed) sampled = Sampling.maxSampled(life.batch.count, life.terms.rate);
            if (life.terms.mode != Mode.Trusted) {
                due += sampled * (life.terms.quorum - 1) * life.terms.verifierPrice;
            }
            require(lock.amount >= due, "M2: the lock does not cover what is due");
        }
    }

    /// @notice M3: nothing settles twice.
    function requireSettledOnce() external view {
        for (uint256 l; l < lives.length; ++l) {
            for (uint16 a; a < slices[l].length; ++a) {
                require(slices[l][a].settled <= 1, "M3: settled twice");
            }
        }
    }

    /// @notice M4, D6: from here everything can be closed by strangers, by nothing but waiting and poking, though nobody
    /// does any more what is due to it. Changes the state.
    function closeAll() external {
        asleep = true;
        for (uint256 l; l < lives.length; ++l) {
            if (lives[l].closed) continue;
            _advance(2 * CLAIM_WINDOW, 10);
            _expireAll(l);
            if (market.batchState(lives[l].id).sealedAt == 0) _seal(l);
            // Past the reveal, the last round's check, the judging and the challenge.
            _advance(6 * CLAIM_WINDOW, 10);
            _settleAll(l, STRANGER);
        }
        // Two castings, the showing, the end.
        for (uint256 round; round < 4 && spots.length != 0; ++round) {
            for (uint256 i = spots.length; i != 0; --i) {
                (uint256 l, uint16 a) = (spots[i - 1].l, spots[i - 1].a);
                if (!_conclude(l, a, STRANGER)) _rule(l, a, STRANGER);
            }
            _advance(2 * CLAIM_WINDOW, 10);
        }
        for (uint256 l; l < lives.length; ++l) {
            require(lives[l].closed, "M4, D6: a batch has no way out");
        }
    }

    // --- Inside ------------------------------------------------------------------------------------------------------

    function _finishComputing(uint256 l) private {
        _advance(CLAIM_WINDOW + 1, 10);
        _expireAll(l);
        _seal(l);
    }

    function _settleAll(uint256 l, address by) private {
        for (uint16 a; a < slices[l].length; ++a) {
            if (slices[l][a].status == SUBMITTED) _settle(l, a, by, false, false);
        }
    }

    function _escalateAll(uint256 l, address by) private {
        for (uint16 a; a < slices[l].length; ++a) {
            _escalate(l, a, by);
        }
    }

    function _judgeAll(uint256 l, uint256 dice) private {
        if (!lives[l].revealed) return;
        for (uint16 a; a < slices[l].length; ++a) {
            _judge(l, a, _mix(dice, a));
        }
        if (dice % 3 == 0) _endJudging(l, _judgeOf(l, dice));
    }

    /// @dev An exception, true or false.
    function _judge(uint256 l, uint16 a, uint256 dice) private {
        Slice memory slice = slices[l][a];
        if (slice.status != SUBMITTED && slice.status != CONTENDED) return;
        uint24 witness = slice.first + uint24((dice >> 128) % slice.count);
        // As a rule one that is sampled, if any is.
        if (dice % 16 != 0) {
            witness = uint24(
                Sampling.sampledTask(market.entropyOf(lives[l].id), a, slice.first, slice.count, 0)
            );
        }
        Exception[] memory exceptions = new Exception[](1);
        exceptions[0] = Exception(
            a,
            Verdict((dice >> 16) % 4),
            witness,
            uint8((dice >> 24) % 2),
            uint8((dice >> 32) % 3),
            submissions[l][a]
        );
        _except(l, a, _judgeOf(l, dice >> 40), exceptions);
    }

    /// @dev A contended assignment.
    function _dispute(uint256 dice) private view returns (uint256 l, uint16 a, bool found) {
        if (spots.length == 0) return (0, 0, false);
        uint256 i = (dice >> 200) % spots.length;
        return (spots[i].l, spots[i].a, true);
    }

    /// @dev Anybody but the honest, whose steps are their own: as a rule a member.
    function _hostileOf(uint256 l, uint16 a, uint256 dice) private view returns (address by) {
        Settlement memory panel = _panelOf(l, a);
        by = _nodeOf(panel, (dice >> 48) % (panel.answers.length + 1));
        if (dice % 8 == 0 || _isHonest(by)) return (dice >> 4) % 2 == 0 ? STRANGER : nodes[NODES - 1];
    }

    function _openSome(uint256 l, uint16 a, uint256 dice) private {
        Settlement memory panel = _panelOf(l, a);
        for (uint256 i; i <= panel.answers.length; ++i) {
            uint256 throw_ = _mix(dice, i);
            // Whoever knows an opening may show it, also for the honest.
            if (throw_ % 3 != 0) _open(l, a, i, STRANGER, throw_ % 16 == 1);
        }
    }

    function _appealSome(uint256 l, uint16 a, uint256 dice) private {
        uint256 kind = (dice >> 56) % 4;
        address by = nodes[NODES - 1];
        if (kind == 0 && !lives[l].honest) by = lives[l].terms.requester;
        else if (kind < 3) by = _hostileOf(l, a, dice);
        _appeal(l, a, by);
    }

    /// @dev Finds something to quarrel about in a batch of a requester that is not honest.
    function _pick(uint256 dice) private {
        for (uint256 l; l < lives.length; ++l) {
            if (lives[l].closed || lives[l].honest || !lives[l].revealed) continue;
            if ((dice >> 4) % 4 != 0) return _judgeAll(l, dice - dice % 24);
            for (uint16 a; a < slices[l].length; ++a) {
                _contestSome(l, a, _mix(dice, a));
            }
        }
    }

    function _contestSome(uint256 l, uint16 a, uint256 dice) private {
        if (slices[l][a].status != SUBMITTED && dice % 8 != 0) return;
        uint24 task = uint24(slices[l][a].first + (dice >> 16) % slices[l][a].count);
        address by = dice % 8 == 0 ? STRANGER : lives[l].terms.requester;
        if ((dice >> 8) % 2 == 0) _contest(l, a, by, Matter.Work, dice % 16 == 1 ? task + 8 : task, 0);
        else _contest(l, a, by, Matter.Delivery, task, uint8((dice >> 32) % 4));
    }

    function _exposeSome(uint256 l, uint16 a, uint256 dice) private {
        (, Juror[] memory jurors) = market.juryOf(lives[l].id, a, market.disputeOf(lives[l].id, a).tier);
        // Nobody knows what the honest cast.
        for (uint256 i; i < jurors.length; ++i) {
            uint256 seat = (dice % jurors.length + i) % jurors.length;
            if (!jurors[seat].cast || _isHonest(jurors[seat].node)) continue;
            _expose(l, a, uint8(seat), (dice >> 16) % 4 == 0 ? jurors[seat].node : nodes[NODES - 1]);
            return;
        }
    }

    function _castSome(uint256 l, uint16 a, uint256 dice) private {
        Dispute memory dispute = market.disputeOf(lives[l].id, a);
        (Jury memory jury, Juror[] memory jurors) = market.juryOf(lives[l].id, a, dispute.tier);
        if (dispute.stage == Stage.Casting && !jury.convened) {
            _convene(l, a, STRANGER);
            (, jurors) = market.juryOf(lives[l].id, a, dispute.tier);
        }
        for (uint8 seat; seat < jurors.length; ++seat) {
            uint256 throw_ = _mix(dice, seat);
            address node = throw_ % 16 == 1 ? nodes[NODES - 1] : jurors[seat].node;
            Character character = _indexOf(node) < NODES ? _characterOf(node) : Character.Honest;
            if (character == Character.Honest || character == Character.Silent) continue;
            if (character == Character.Whimsical && throw_ % 2 == 0) continue;
            _cast(l, a, seat, node, _ballotOf(l, a, dispute, character, node));
        }
    }

    function _showSome(uint256 l, uint16 a, uint256 dice) private {
        uint8 tier = market.disputeOf(lives[l].id, a).tier;
        (, Juror[] memory jurors) = market.juryOf(lives[l].id, a, tier);
        for (uint8 seat; seat < jurors.length; ++seat) {
            uint256 throw_ = _mix(dice, seat);
            if (!jurors[seat].cast || _isHonest(jurors[seat].node) || throw_ % 8 == 0) continue;
            _show(l, a, seat, STRANGER, throw_ % 8 == 1);
        }
    }

    /// @dev What a dispute has committed: the bonds of whoever called for something, and a lock for each ballot.
    function _addBonds(uint256 l, uint16 a, uint256[] memory owed) private view {
        Dispute memory dispute = market.disputeOf(lives[l].id, a);
        if (dispute.matter == Matter.None) return;
        for (uint8 tier; tier <= dispute.tier; ++tier) {
            (Jury memory jury, Juror[] memory jurors) = market.juryOf(lives[l].id, a, tier);
            if (jury.bond != 0 && jury.appellant != lives[l].terms.requester) {
                owed[_indexOf(jury.appellant)] += jury.bond;
            }
            for (uint256 i; i < jurors.length; ++i) {
                if (jurors[i].cast) owed[_indexOf(jurors[i].node)] += lives[l].terms.slashAmount;
            }
        }
    }

    /// @dev What the batch's lock holds for a contended assignment, beyond its pay.
    function _backing(uint256 l, uint16 a) private view returns (uint256 amount) {
        Dispute memory dispute = market.disputeOf(lives[l].id, a);
        PanelState memory panel = market.panelState(lives[l].id, a);
        if (panel.verdict != Verdict.None) {
            (amount,) = market.reserve(lives[l].terms, lives[l].price, slices[l][a].count);
        }
        if (dispute.pot) amount += BOND_FIXED;
        // Before it is answered, the bond of a contest is nobody's jury's.
        if (dispute.stage == Stage.Answering) return amount + _contestBond(l, a, dispute.member);
        for (uint8 tier = 1; tier <= dispute.tier; ++tier) {
            (Jury memory jury,) = market.juryOf(lives[l].id, a, tier);
            if (jury.appellant == lives[l].terms.requester) amount += jury.bond;
        }
    }
}
