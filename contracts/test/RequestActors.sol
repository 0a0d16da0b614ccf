// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Outcome, Phase, Request, RequestState, Ruling, Stage, Verdict, WorkerState, WorkerStatus} from "../interfaces/IRequests.sol";
import {EVALUATOR, Member, WORKER} from "../interfaces/ISchemas.sol";
import {Lock} from "../interfaces/IVault.sol";
import {RewardFunction} from "../libraries/Rewards.sol";
import {Asked, DEPOSIT, FEE, Mind, RequestWorld, STEP, TIME_LIMIT, WORKERS} from "./RequestWorld.sol";
import {vm} from "./Vm.sol";

/// @title RequestActors: requesters, workers, evaluators and judges, honest and hostile, that do anything in any order
/// @notice Every external function that changes something is a move; none may revert. What must never happen is checked
/// where it would happen, and by the numbered views that {RequestInvariantsTest} asserts after every move.
contract RequestActors is RequestWorld {
    bytes32 private constant DATA = keccak256("data");
    bytes32 private constant SALT = keccak256("salt");
    bytes private constant KEY = hex"021111111111111111111111111111111111111111111111111111111111111111";
    uint256 private constant OPEN = 3;
    mapping(uint256 request => uint256 second) private committable;

    // --- Moves -------------------------------------------------------------------------------------------------------

    function ask(uint256 dice) public {
        dice = _thrown(dice);
        if (asked.length - closed >= OPEN) return _proceed(dice);
        _ask(dice);
    }

    function accept(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (!found) return;
        if (dice % 3 == 0) _evaluate(l, evaluators[(dice >> 8) % evaluators.length]);
        else _work(l, workers[(dice >> 8) % workers.length]);
    }

    function stepBack(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (!found || accepted[l].length == 0) return;
        uint256 place = (dice >> 8) % accepted[l].length;
        address worker = accepted[l][place];
        bool early = _phase(l) == Phase.Accepting;
        bool left;
        if (dice % 2 == 0) {
            vm.prank(worker);
            try requests.resign(asked[l].id) { left = true; } catch {}
        } else {
            vm.prank(dice % 5 == 0 ? STRANGER : asked[l].request.requester);
            try requests.rejectWorker(asked[l].request, worker) { left = true; } catch {}
            require(!left || dice % 5 != 0, "rejected by a stranger");
        }
        if (!left) return;
        require(early, "left after the start");
        accepted[l][place] = accepted[l][accepted[l].length - 1];
        accepted[l].pop();
    }

    function start(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (!found) return;
        vm.prank(asked[l].request.requester);
        try requests.start(asked[l].request) {} catch {}
    }

    function cancel(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (found) _cancel(l);
    }

    /// @notice Submits, reveals, or reveals what is another's.
    function compute(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (!found || accepted[l].length == 0) return;
        address worker = accepted[l][(dice >> 8) % accepted[l].length];
        if (minds[worker] == Mind.Silent) return;
        if (dice % 4 == 0) _submit(l, worker);
        else if (dice % 4 == 1) _reveal(l, worker);
        else _copy(l, worker, accepted[l][(dice >> 16) % accepted[l].length]);
    }

    function showTestData(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (found) _showTestData(l, dice % 4 == 0 ? SALT : DATA);
    }

    function rank(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (!found) return;
        address evaluator = asked[l].evaluator;
        if (evaluator == address(0) || minds[evaluator] == Mind.Silent) return;
        bool right = minds[evaluator] == Mind.Honest || (minds[evaluator] == Mind.Whimsical && dice % 2 == 0);
        _rank(l, right ? _truth(l) : _falsehood(l, dice >> 8), dice % 16 == 3 ? STRANGER : evaluator);
    }

    function acceptResult(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (!found) return;
        // Who is honest accepts the truth only.
        bool right = _isTrue(l, 0);
        if (right || !asked[l].honest) _accept(l, asked[l].request.requester);
        for (uint256 i; i < revealed[l].length; ++i) {
            if (right || minds[revealed[l][i]] != Mind.Honest) _accept(l, revealed[l][i]);
        }
    }

    function challenge(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (!found) return;
        address by = everybody[(dice >> 8) % everybody.length];
        if (by != requesters[0] && !_isHonestMember(by)) _challenge(l, by);
    }

    function judge(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (!found) return;
        RequestState memory state = requests.requestState(asked[l].id);
        if (state.stage != Stage.Called) return;
        address called = dice % 8 == 0 ? BAD : asked[l].path[state.tier - 1];
        bool right = minds[called] == Mind.Honest || (minds[called] == Mind.Whimsical && dice % 2 == 0);
        Ruling memory ruling = right ? _truth(l) : _falsehood(l, dice >> 8);
        if (!right && dice % 5 == 0) ruling = Ruling(Verdict.Void, new address[](0), new uint128[](0));
        _judge(l, called, ruling);
    }

    function climb(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (found) _climb(l);
    }

    function settle(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _pick(dice);
        if (found) _settle(l, everybody[(dice >> 8) % everybody.length]);
    }

    /// @notice Settles once more what has ended, or asks for it again.
    function endTwice(uint256 dice) external {
        dice = _thrown(dice);
        if (asked.length == 0) return;
        uint256 l = (dice >> 8) % asked.length;
        if (!asked[l].ended) return;
        Ruling memory none;
        try requests.settle(asked[l].request, asked[l].path, none, new address[](0)) {
            require(false, "Q1: settled twice");
        } catch {}
        vm.prank(asked[l].request.requester);
        try requests.requestJob(asked[l].request) { require(false, "Q1: asked twice"); } catch {}
    }

    /// @notice The tree changes under everybody's feet.
    function quarrel(uint256 dice) external {
        dice = _thrown(dice);
        address parent = dice % 2 == 0 ? BAD : ODD;
        address child = everybody[(dice >> 8) % everybody.length];
        uint256 kind = (dice >> 16) % 4;
        if (kind == 0) {
            vm.prank(parent);
            try schemas.drop(schema, child) {} catch {}
        } else if (kind == 1 && child != STRANGER && child != requesters[0] && child != requesters[1]) {
            vm.prank(child);
            try schemas.startRoot(schema) {} catch {}
        } else {
            Member memory member = schemas.memberOf(schema, child);
            if (member.parent == address(0)) return;
            vm.prank(child);
            try schemas.applyJob(schema, member.roles, member.parent, bytes32(0)) {} catch {}
            vm.prank(member.parent);
            try schemas.approveNode(schema, child, member.roles) {} catch {}
        }
    }

    function pass(uint256 dice) external {
        dice = _thrown(dice);
        _advance(1 + dice % (dice % 3 == 0 ? 2 * STEP : STEP / 2));
    }

    function proceed(uint256 dice) external {
        _proceed(_thrown(dice));
    }

    // --- What must hold ----------------------------------------------------------------------------------------------

    /// @notice V1 and Q2: nothing is lost, and nothing burns but where a request ends.
    function requireConserved() external view {
        uint256 sum = vault.burned();
        require(sum == burned, "Q2: burned before the end");
        for (uint256 i; i < everybody.length; ++i) {
            sum += vault.available(address(requests), everybody[i]);
        }
        for (uint256 l; l < asked.length; ++l) {
            bytes32[] memory ids = _locksOf(l);
            for (uint256 i; i < ids.length; ++i) {
                sum += vault.lockOf(address(requests), ids[i]).amount;
            }
        }
        require(sum == vault.total(), "V1: accounts, locks and burned are not the total");
    }

    /// @notice Q1: what is locked for each request is just what should be.
    function requireLocked() external view {
        for (uint256 l; l < asked.length; ++l) {
            Asked memory a = asked[l];
            bytes32[] memory ids = _locksOf(l);
            uint256 rewards = uint256(a.request.evaluatorReward)
                + uint256(a.request.workerReward) * (a.request.testData == 0 ? 1 : 2);
            _requireLock(ids[0], a.request.requester, a.ended ? 0 : rewards);
            for (uint8 tier; tier <= a.path.length; ++tier) {
                address ruler = tier == 0 ? a.evaluator : a.path[tier - 1];
                bool deposited = tier == 0 ? ruler != address(0) : hashes[l][tier] != 0;
                _requireLock(ids[1 + 2 * tier], ruler, a.ended || !deposited ? 0 : a.request.deposit);
                address challenger = challengers[l][tier];
                _requireLock(
                    ids[2 + 2 * tier], challenger, a.ended || challenger == address(0) ? 0 : a.request.challengeFee
                );
            }
        }
    }

    /// @notice What is stored agrees with what happened.
    function requireCounted() external view {
        for (uint256 l; l < asked.length; ++l) {
            RequestState memory state = requests.requestState(asked[l].id);
            require((state.stage == Stage.Ended) == asked[l].ended, "Q7: ended otherwise");
            if (asked[l].ended) continue;
            require(state.revealed == revealed[l].length, "another number revealed");
            require(state.workers == accepted[l].length, "another number accepted");
            require(state.revealed <= state.submitted && state.submitted <= state.workers, "counts out of order");
            for (uint256 i; i < revealed[l].length; ++i) {
                WorkerState memory worker = requests.workerOf(asked[l].id, revealed[l][i]);
                require(worker.index == i, "Q5: another place");
            }
        }
    }

    /// @notice Q7: whoever sleeps from now on, waiting and calls of a stranger end everything.
    function closeAll(bool sleeping) external {
        asleep = sleeping;
        for (uint256 rounds; closed < asked.length; ++rounds) {
            require(rounds < 60, "Q7: a request that does not end");
            for (uint256 l; l < asked.length; ++l) {
                if (asked[l].ended) continue;
                _cancel(l);
                if (asked[l].ended) continue;
                _climb(l);
                _settle(l, STRANGER);
            }
            if (closed < asked.length) _advance(STEP + 1);
        }
    }

    function _requireLock(bytes32 id, address holder, uint256 amount) private view {
        Lock memory held = vault.lockOf(address(requests), id);
        require(held.amount == amount, "Q1: another amount locked");
        require(amount == 0 || held.holder == holder, "Q1: locked of another");
    }

    // --- Steps -------------------------------------------------------------------------------------------------------

    /// @inheritdoc RequestWorld
    function _beforeTimePasses() internal override {
        for (uint256 l; l < asked.length; ++l) {
            if (!asked[l].ended) _doWhatIsDue(l);
        }
    }

    /// @dev What honest parties do in time. None of it may be refused.
    function _doWhatIsDue(uint256 l) private {
        Phase phase = _phase(l);
        if (phase == Phase.Computing) {
            for (uint256 i; i < accepted[l].length; ++i) {
                address worker = accepted[l][i];
                if (minds[worker] == Mind.Honest && _status(l, worker) == WorkerStatus.Accepted) {
                    require(_submit(l, worker), "Q9: an honest result refused");
                }
            }
        } else if (phase == Phase.Revealing) {
            for (uint256 i; i < accepted[l].length; ++i) {
                address worker = accepted[l][i];
                if (minds[worker] == Mind.Honest && _status(l, worker) == WorkerStatus.Submitted) {
                    // The last reveal of all ends the phase.
                    require(_reveal(l, worker), "Q9: an honest reveal refused");
                }
            }
            if (asked[l].honest && _phase(l) == Phase.Revealing) _showTestData(l, DATA);
        } else if (phase == Phase.Ranking) {
            address evaluator = asked[l].evaluator;
            if (minds[evaluator] == Mind.Honest) require(_rank(l, _truth(l), evaluator), "Q9: an honest ranking refused");
        } else if (phase == Phase.Contestable) {
            _challengeWhatIsWrong(l);
        } else if (phase == Phase.Judging) {
            uint8 tier = requests.requestState(asked[l].id).tier;
            address called = asked[l].path[tier - 1];
            if (minds[called] == Mind.Honest) require(_judge(l, called, _truth(l)), "Q9: an honest judge refused");
        }
    }

    function _challengeWhatIsWrong(uint256 l) private {
        uint8 tier = requests.requestState(asked[l].id).tier;
        if (_isTrue(l, tier)) return;
        address by = asked[l].honest ? asked[l].request.requester : address(0);
        for (uint256 i; i < revealed[l].length && by == address(0); ++i) {
            if (minds[revealed[l][i]] == Mind.Honest) by = revealed[l][i];
        }
        for (uint8 t; t < tier && by == address(0); ++t) {
            address ruler = t == 0 ? asked[l].evaluator : asked[l].path[t - 1];
            if (hashes[l][t] != 0 && minds[ruler] == Mind.Honest) by = ruler;
        }
        if (by != address(0)) require(_challenge(l, by), "Q9: an honest challenge refused");
    }

    function _proceed(uint256 dice) private {
        (uint256 l, bool found) = _pick(dice);
        if (!found) return _ask(dice);
        Phase phase = _phase(l);
        if (phase == Phase.Accepting) {
            if (asked[l].evaluator == address(0)) _evaluate(l, evaluators[dice % evaluators.length]);
            for (uint256 i; i < 4; ++i) {
                _work(l, workers[(dice >> (8 * i + 8)) % workers.length]);
            }
            vm.prank(asked[l].request.requester);
            try requests.start(asked[l].request) {} catch {}
        } else if (phase == Phase.Computing || phase == Phase.Revealing) {
            for (uint256 i; i < accepted[l].length; ++i) {
                address worker = accepted[l][i];
                if (minds[worker] == Mind.Silent || (minds[worker] == Mind.Whimsical && dice % 4 == 0)) continue;
                if (phase == Phase.Computing) _submit(l, worker);
                else _reveal(l, worker);
            }
            _advance(1);
        } else if (phase == Phase.Contestable && dice % 4 == 0) {
            _challengeWhatIsWrong(l);
        } else {
            _advance(STEP / 3);
            _climb(l);
        }
    }

    function _ask(uint256 dice) private {
        uint256 l = asked.length;
        Request memory r;
        r.requester = requesters[dice % 2];
        r.schema = schema;
        r.root = ROOT;
        r.release = keccak256("release");
        r.nonce = uint64(l);
        r.rewardFunction = RewardFunction(1 + (dice >> 8) % 5);
        r.skipEvaluation = (dice >> 16) % 16 == 0;
        r.workerReward = uint96(1 + (dice >> 24) % 100_000);
        r.minWorkers = uint8(1 + (dice >> 48) % 3);
        r.maxWorkers = uint8(r.minWorkers + (dice >> 56) % 6);
        r.acceptWindow = STEP;
        r.timeLimit = TIME_LIMIT;
        r.stepWindow = STEP;
        r.encryptionKey = KEY;
        if (r.skipEvaluation) {
            r.rewardFunction = RewardFunction.Even;
            r.workers = workers;
            r.maxWorkers = uint8(WORKERS);
        } else {
            r.evaluatorReward = uint96(1 + (dice >> 64) % 1_000);
            r.challengeFee = uint96(FEE + (dice >> 72) % FEE);
            r.deposit = uint96(DEPOSIT + (dice >> 80) % DEPOSIT);
            if ((dice >> 88) % 2 == 0) r.testData = requests.testDataCommitment(r.requester, DATA, SALT);
        }
        if (r.rewardFunction == RewardFunction.List) {
            r.list = new uint96[](1 + (dice >> 96) % 4);
            for (uint256 i; i < r.list.length; ++i) {
                r.list[i] = r.workerReward / 4;
            }
        }
        vm.prank(r.requester);
        Asked storage a = asked.push();
        a.id = requests.requestJob(r);
        a.request = r;
        a.honest = dice % 2 == 0;
        a.fetchable = a.honest || (dice >> 104) % 4 != 0;
    }

    function _evaluate(uint256 l, address evaluator) private {
        // The tree changes: an honest one evaluates where its judges are as it knows them.
        vm.prank(evaluator);
        try requests.acceptJob(asked[l].request, EVALUATOR, KEY) {
            asked[l].evaluator = evaluator;
            asked[l].path = schemas.pathOf(schema, evaluator, EVALUATOR);
            address root = asked[l].path.length == 0 ? evaluator : asked[l].path[asked[l].path.length - 1];
            require(root == ROOT, "Q8: another tree");
        } catch {}
    }

    function _work(uint256 l, address worker) private {
        vm.prank(worker);
        try requests.acceptJob(asked[l].request, WORKER, KEY) {
            require(worker != asked[l].evaluator, "Q8: evaluates its own work");
            accepted[l].push(worker);
        } catch {}
    }

    function _cancel(uint256 l) private {
        bool due = _phase(l) == Phase.Unmet;
        uint256 fire = vault.burned();
        vm.prank(STRANGER);
        try requests.cancel(asked[l].request) {
            require(due, "cancelled what was met");
            asked[l].ended = true;
            ++closed;
            ++ended[Outcome.Cancelled];
            require(vault.burned() == fire, "Q4: a cancellation burns");
        } catch {
            require(!due, "Q7: cannot be cancelled");
        }
    }

    function _resultOf(uint256 l, address worker) private pure returns (bytes32 digest, bytes32 salt) {
        return (keccak256(abi.encode("result", l, worker)), keccak256(abi.encode("salt", l, worker)));
    }

    function _submit(uint256 l, address worker) private returns (bool) {
        (bytes32 digest, bytes32 salt) = _resultOf(l, worker);
        bytes32 commitment = requests.resultCommitment(asked[l].id, worker, digest, salt);
        vm.prank(worker);
        try requests.submitResult(asked[l].id, commitment) {
            require(revealed[l].length == 0, "Q5: committed after something was revealed");
            return true;
        } catch {
            return false;
        }
    }

    function _reveal(uint256 l, address worker) private returns (bool) {
        (bytes32 digest, bytes32 salt) = _resultOf(l, worker);
        vm.prank(worker);
        try requests.revealResult(asked[l].id, digest, salt) {
            revealed[l].push(worker);
            return true;
        } catch {
            return false;
        }
    }

    /// @dev Another's opening, or none of one's own a second time.
    function _copy(uint256 l, address worker, address other) private {
        (bytes32 digest, bytes32 salt) = _resultOf(l, other);
        if (worker == other && _status(l, worker) != WorkerStatus.Revealed) salt = digest;
        vm.prank(worker);
        try requests.revealResult(asked[l].id, digest, salt) { require(false, "Q5: revealed another's"); } catch {}
    }

    function _showTestData(uint256 l, bytes32 data) private {
        bool due = _phase(l) == Phase.Revealing && data == DATA && requests.requestState(asked[l].id).awaitsTestData;
        vm.prank(asked[l].request.requester);
        try requests.revealTestData(asked[l].request, data, SALT) {
            require(due, "Q6: other test data, or too early");
        } catch {
            require(!due, "Q6: test data refused");
        }
    }

    function _rank(uint256 l, Ruling memory ruling, address by) private returns (bool) {
        vm.prank(by);
        try requests.rank(asked[l].id, ruling, bytes32(0)) {
            require(by == asked[l].evaluator, "ranked by another");
            _remember(l, 0, ruling);
            return true;
        } catch {
            return false;
        }
    }

    function _accept(uint256 l, address by) private {
        vm.prank(by);
        try requests.acceptResult(asked[l].request) {} catch {}
    }

    function _challenge(uint256 l, address by) private returns (bool) {
        uint8 tier = requests.requestState(asked[l].id).tier;
        vm.prank(by);
        try requests.challenge(asked[l].request, asked[l].path) {
            require(by != STRANGER, "challenged by a stranger");
            require(challengers[l][tier] == address(0), "challenged twice");
            challengers[l][tier] = by;
            return true;
        } catch {
            return false;
        }
    }

    function _judge(uint256 l, address by, Ruling memory ruling) private returns (bool) {
        uint8 tier = requests.requestState(asked[l].id).tier;
        vm.prank(by);
        try requests.reevaluate(asked[l].request, asked[l].path, ruling, bytes32(0)) {
            require(by == asked[l].path[tier - 1], "Q8: another judge");
            require(hashes[l][tier] == 0, "Q8: a tier ruled twice");
            WorkerStatus status = _status(l, by);
            require(
                status == WorkerStatus.None || status == WorkerStatus.Resigned || status == WorkerStatus.Rejected,
                "Q8: judged its own work"
            );
            _remember(l, tier, ruling);
            return true;
        } catch {
            return false;
        }
    }

    function _climb(uint256 l) private {
        Phase phase = _phase(l);
        bool due = phase == Phase.Overdue || phase == Phase.Unanswered;
        vm.prank(STRANGER);
        try requests.climb(asked[l].id) {
            require(due, "climbed too early");
            ++climbed;
        } catch {
            require(!due, "Q7: cannot climb");
        }
    }
}
