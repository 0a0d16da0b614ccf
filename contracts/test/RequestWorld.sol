// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {
    IRequests,
    Outcome,
    Phase,
    Request,
    RequestId,
    RequestState,
    Ruling,
    Stage,
    Verdict,
    WorkerStatus
} from "../interfaces/IRequests.sol";
import {ADMIN, ALL_FUNCTIONS, EVALUATOR, ISchemas, MAX_DEPTH, SchemaId, SchemaTerms, WORKER} from "../interfaces/ISchemas.sol";
import {IVault, Lock} from "../interfaces/IVault.sol";
import {RewardFunction, Rewards} from "../libraries/Rewards.sol";
import {vm} from "./Vm.sol";

uint32 constant STEP = 600;
uint32 constant TIME_LIMIT = 1_200;
uint96 constant DEPOSIT = 1_000;
uint96 constant FEE = 100;
uint256 constant WORKERS = 8;

/// @notice What kind of party it is.
/// - Honest: computes, ranks and judges right, challenges what is wrong, and takes every step due to it in time.
/// - Lying: its results are invalid, its rulings wrong; challenges what is right.
/// - Silent: does nothing but accept.
/// - Whimsical: as either, as the dice fall.
enum Mind {
    Honest,
    Lying,
    Silent,
    Whimsical
}

/// @notice A request as these tests remember it.
struct Asked {
    RequestId id;
    Request request;
    address evaluator;
    address[] path;
    bool honest;
    /// @dev Whether what the evaluation needs can be fetched.
    bool fetchable;
    bool ended;
    uint8 tiers;
}

/// @title RequestWorld: a tree with its members, its clock, what these tests remember of it, and how requests must end
abstract contract RequestWorld {
    IVault public immutable vault;
    ISchemas public immutable schemas;
    IRequests public immutable requests;
    IERC20 public immutable token;
    SchemaId public immutable schema;

    address internal constant ROOT = address(0x1007);
    /// @dev Admins: honest, lying, and whimsical below the lying one.
    address internal constant GOOD = address(0xA1);
    address internal constant BAD = address(0xA2);
    address internal constant ODD = address(0xA3);
    address internal constant STRANGER = address(0x57);
    address[2] internal requesters = [address(0xA11CE), address(0xB0B)];
    address[] internal evaluators;
    address[] internal workers;
    address[] internal everybody;
    mapping(address node => Mind) internal minds;

    Asked[] internal asked;
    mapping(uint256 request => address[]) internal accepted;
    mapping(uint256 request => address[]) internal revealed;
    mapping(uint256 request => mapping(uint8 tier => Ruling)) private _ruled;
    mapping(uint256 request => mapping(uint8 tier => bytes32)) internal hashes;
    mapping(uint256 request => mapping(uint8 tier => address)) internal challengers;
    mapping(uint256 request => mapping(address party => int256)) private _due;
    mapping(Outcome => uint256) public ended;

    uint256 public moves;
    uint256 public closed;
    uint256 public overturned;
    uint256 public climbed;
    uint256 public honestEnds;
    uint256 internal burned;
    uint256 internal now_ = 1_800_000_000;
    /// @dev Nobody does what is due any more.
    bool internal asleep;

    constructor() {
        vm.warp(now_);
        token = IERC20(_deploy("SuretyToken", abi.encode(address(this), 1e30)));
        vault = IVault(_deploy("Vault", abi.encode(token)));
        schemas = ISchemas(_deploy("Schemas", abi.encode(uint48(STEP))));
        requests = IRequests(_deploy("Requests", abi.encode(vault, schemas, uint32(60), uint32(1 days))));
        token.approve(address(vault), type(uint256).max);
        SchemaTerms memory terms = SchemaTerms(keccak256("release"), DEPOSIT, FEE, ALL_FUNCTIONS, 0);
        vm.prank(ROOT);
        schema = schemas.registerJob(terms);
        _join(GOOD, ROOT, ADMIN, Mind.Honest);
        _join(BAD, ROOT, ADMIN | EVALUATOR | WORKER, Mind.Lying);
        _join(ODD, BAD, ADMIN, Mind.Whimsical);
        address[3] memory parents = [GOOD, BAD, ODD];
        for (uint160 i; i < 9; ++i) {
            address node = address(0xE0 + i);
            evaluators.push(node);
            _join(node, parents[i % 3], EVALUATOR, i < 3 ? Mind.Honest : Mind(1 + (i / 3 + i) % 3));
        }
        evaluators.push(ROOT);
        evaluators.push(BAD);
        for (uint160 i; i < WORKERS; ++i) {
            address node = address(0xC0 + i);
            workers.push(node);
            _join(node, parents[i % 3], WORKER, i < 4 ? Mind.Honest : i < 6 ? Mind.Lying : i == 6 ? Mind.Silent : Mind.Whimsical);
        }
        workers.push(BAD);
        everybody.push(ROOT);
        everybody.push(requesters[0]);
        everybody.push(requesters[1]);
        everybody.push(STRANGER);
        for (uint256 i; i < everybody.length; ++i) {
            vault.deposit(address(requests), everybody[i], 10_000_000);
        }
    }

    function _join(address node, address parent, uint8 roles, Mind mind) private {
        vm.prank(node);
        schemas.applyJob(schema, roles, parent, bytes32(0));
        vm.prank(parent);
        schemas.approveNode(schema, node, roles);
        minds[node] = mind;
        everybody.push(node);
    }

    /// @dev From what was compiled, so that these tests are compiled without it.
    function _deploy(string memory name, bytes memory arguments) private returns (address made) {
        bytes memory code = bytes.concat(vm.getCode(string.concat("contracts/", name, ".sol:", name)), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), name);
    }

    // --- Time and dice -----------------------------------------------------------------------------------------------

    /// @dev What is due to those that do what is due.
    function _beforeTimePasses() internal virtual;

    /// @dev Passes time in steps that no window fits between, so that whoever watches can act in each.
    function _advance(uint256 seconds_) internal {
        while (seconds_ != 0) {
            uint256 next = asleep || seconds_ < STEP / 3 ? seconds_ : STEP / 3;
            if (!asleep) _beforeTimePasses();
            seconds_ -= next;
            now_ += next;
            vm.warp(now_);
        }
    }

    /// @dev Evenly spread, whatever the runner's favourite numbers are.
    function _thrown(uint256 dice) internal returns (uint256) {
        return uint256(keccak256(abi.encode(dice, ++moves)));
    }

    /// @dev The next open request from where the dice point.
    function _pick(uint256 dice) internal view returns (uint256 l, bool found) {
        if (asked.length == 0) return (0, false);
        l = (dice >> 200) % asked.length;
        for (uint256 i; i < asked.length; ++i) {
            if (!asked[l].ended) return (l, true);
            l = (l + 1) % asked.length;
        }
    }

    function _phase(uint256 l) internal view returns (Phase) {
        return requests.phaseOf(asked[l].id);
    }

    function _status(uint256 l, address worker) internal view returns (WorkerStatus) {
        return requests.workerOf(asked[l].id, worker).status;
    }

    // --- What is right -----------------------------------------------------------------------------------------------

    function _isValid(uint256 l, address worker) internal view returns (bool) {
        Mind mind = minds[worker];
        return mind == Mind.Honest || (mind == Mind.Whimsical && uint256(keccak256(abi.encode(l, worker))) % 2 == 0);
    }

    /// @dev What an honest evaluator says: by score, equal ones in the order of revealing.
    function _truth(uint256 l) internal view returns (Ruling memory ruling) {
        if (!asked[l].fetchable) return Ruling(Verdict.Withheld, new address[](0), new uint128[](0));
        uint256 count;
        for (uint256 i; i < revealed[l].length; ++i) {
            if (_isValid(l, revealed[l][i])) ++count;
        }
        ruling = Ruling(Verdict.Ranking, new address[](count), new uint128[](count));
        count = 0;
        for (uint256 i; i < revealed[l].length; ++i) {
            address worker = revealed[l][i];
            if (!_isValid(l, worker)) continue;
            uint128 score = uint128(uint256(keccak256(abi.encode("score", l, worker))) % 5);
            uint256 place = count++;
            for (; place != 0 && ruling.scores[place - 1] < score; --place) {
                ruling.order[place] = ruling.order[place - 1];
                ruling.scores[place] = ruling.scores[place - 1];
            }
            ruling.order[place] = worker;
            ruling.scores[place] = score;
        }
    }

    /// @dev Something else than the truth, mostly.
    function _falsehood(uint256 l, uint256 dice) internal view returns (Ruling memory ruling) {
        uint256 count = dice % 4 < 2 ? revealed[l].length : 0;
        ruling = Ruling(Verdict.Ranking, new address[](count), new uint128[](count));
        if (dice % 4 == 3) ruling.verdict = Verdict.Withheld;
        for (uint256 i; i < count; ++i) {
            ruling.order[i] = revealed[l][dice % 4 == 0 ? count - 1 - i : i];
            ruling.scores[i] = uint128(count - i);
        }
    }

    function _isTrue(uint256 l, uint8 tier) internal view returns (bool) {
        return hashes[l][tier] == keccak256(abi.encode(_truth(l)));
    }

    function _remember(uint256 l, uint8 tier, Ruling memory ruling) internal {
        _ruled[l][tier] = ruling;
        hashes[l][tier] = keccak256(abi.encode(ruling));
        if (tier >= asked[l].tiers) asked[l].tiers = tier + 1;
    }

    // --- How it must end, worked out beside the contract -------------------------------------------------------------

    /// @dev Settles or says why not; fails unless everybody has just what docs/protocol.md says.
    function _settle(uint256 l, address by) internal {
        Asked memory a = asked[l];
        bool due = _phase(l) == Phase.Settleable;
        RequestState memory state = requests.requestState(a.id);
        Ruling memory standing;
        if (state.ruled != 0) standing = _ruled[l][state.ruled - 1];
        (Outcome outcome, uint256 fire) = due ? _expect(l, state, standing) : (Outcome.None, 0);
        uint256[] memory before = _holdings(l);
        vm.prank(by);
        try requests.settle(a.request, a.path, standing, _sharesEvenly(outcome) ? revealed[l] : new address[](0)) {
            require(due, "Q2: settled too early");
        } catch {
            require(!due, "Q7: cannot be settled");
            return;
        }
        asked[l].ended = true;
        burned += fire;
        ++closed;
        ++ended[outcome];
        uint256[] memory then = _holdings(l);
        for (uint256 i; i < everybody.length; ++i) {
            int256 change = int256(then[i]) - int256(before[i]);
            require(change == _due[l][everybody[i]], "Q4: another gain or loss");
            if (!asleep && _isHonestMember(everybody[i])) require(change >= 0, "Q9: who is honest loses");
        }
        require(vault.burned() == burned, "Q4: another amount burned");
        if (!asleep) _requireHonestPaid(l, outcome, state);
    }

    function _isHonestMember(address node) internal view returns (bool) {
        return minds[node] == Mind.Honest && node != requesters[0] && node != requesters[1] && node != STRANGER;
    }

    function _sharesEvenly(Outcome outcome) private pure returns (bool) {
        return outcome == Outcome.Withheld || outcome == Outcome.Unjudged || outcome == Outcome.Unevaluated;
    }

    /// @dev What everybody gains or loses of what is theirs, locks included.
    function _expect(uint256 l, RequestState memory state, Ruling memory standing)
        private
        returns (Outcome outcome, uint256 fire)
    {
        Request memory r = asked[l].request;
        if (state.stage == Stage.Open) {
            if (revealed[l].length == 0) return (Outcome.Unanswered, 0);
            outcome = state.awaitsTestData ? Outcome.Withheld : Outcome.Unevaluated;
            if (outcome == Outcome.Withheld) _pay(l, asked[l].evaluator, r.evaluatorReward);
        } else if (state.ruled == 0) {
            outcome = Outcome.Unjudged;
            fire += _lose(l, asked[l].evaluator, r.deposit);
        } else {
            uint8 last = state.ruled - 1;
            bool silent = hashes[l][0] == 0;
            bool stands = hashes[l][0] == hashes[l][last];
            if (standing.verdict == Verdict.Withheld) outcome = Outcome.Withheld;
            else if (standing.verdict == Verdict.Void) outcome = Outcome.Voided;
            else if (standing.order.length != 0) outcome = Outcome.Ranked;
            else outcome = silent || stands ? Outcome.Unsolved : Outcome.Voided;
            if (stands) _pay(l, asked[l].evaluator, r.evaluatorReward);
            else if (!silent) fire += _lose(l, r.requester, r.evaluatorReward);
            fire += _expectTiers(l, last);
        }
        if (outcome == Outcome.Voided) fire += _lose(l, r.requester, r.workerReward - r.workerReward / 2);
        if (outcome == Outcome.Withheld && r.testData != 0) fire += _lose(l, r.requester, r.workerReward);
        bool ranked = outcome == Outcome.Ranked;
        if (!ranked && !_sharesEvenly(outcome)) return (outcome, fire);
        address[] memory paid = ranked ? standing.order : revealed[l];
        uint96[] memory amounts = ranked
            ? Rewards.split(r.rewardFunction, r.workerReward, r.list, standing.scores)
            : Rewards.split(RewardFunction.Even, r.workerReward, r.list, new uint128[](paid.length));
        for (uint256 i; i < paid.length; ++i) {
            _pay(l, paid[i], amounts[i]);
        }
    }

    /// @dev What deposits and fees come to, where the ruling of tier `last` stands.
    function _expectTiers(uint256 l, uint8 last) private returns (uint256 fire) {
        Request memory r = asked[l].request;
        int256 fee = int256(uint256(r.challengeFee));
        address judge = asked[l].evaluator;
        // Who is waited for, and out of whose money the next judge is paid.
        address payer = hashes[l][0] == 0 ? judge : challengers[l][0];
        if (hashes[l][0] == 0) {
            fire += _lose(l, judge, r.deposit);
            _due[l][judge] += fee;
            fire -= r.challengeFee;
        }
        for (uint8 tier = 1; tier <= last; ++tier) {
            if (hashes[l][tier] == 0) continue;
            address next = asked[l].path[tier - 1];
            _due[l][payer] -= fee;
            _due[l][next] += fee;
            payer = challengers[l][tier];
        }
        for (uint8 tier; tier < last; ++tier) {
            if (hashes[l][tier] == 0 || hashes[l][tier] == hashes[l][last]) continue;
            ++overturned;
            address loser = tier == 0 ? judge : asked[l].path[tier - 1];
            fire += _lose(l, loser, r.deposit) - r.challengeFee;
            _due[l][challengers[l][tier]] += fee;
        }
    }

    function _pay(uint256 l, address to, uint256 amount) private {
        _due[l][asked[l].request.requester] -= int256(amount);
        _due[l][to] += int256(amount);
    }

    function _lose(uint256 l, address who, uint256 amount) private returns (uint256) {
        _due[l][who] -= int256(amount);
        return amount;
    }

    /// @dev Under an honest root, and where anybody honest may challenge, the truth stands.
    function _requireHonestPaid(uint256 l, Outcome outcome, RequestState memory state) private {
        bool watched = asked[l].honest;
        for (uint256 i; i < revealed[l].length; ++i) {
            if (minds[revealed[l][i]] == Mind.Honest) watched = true;
        }
        if (!watched || state.evaluator == address(0) || state.stage == Stage.Open) return;
        ++honestEnds;
        require(outcome != Outcome.Unjudged && state.ruled != 0, "Q9: an honest root was not heard");
        require(_isTrue(l, state.ruled - 1), "Q9: something else than the truth stands");
    }

    // --- Holdings ----------------------------------------------------------------------------------------------------

    /// @dev What each has available and locked for request `l`.
    function _holdings(uint256 l) private view returns (uint256[] memory amounts) {
        amounts = new uint256[](everybody.length);
        for (uint256 i; i < everybody.length; ++i) {
            amounts[i] = vault.available(address(requests), everybody[i]);
        }
        bytes32[] memory ids = _locksOf(l);
        for (uint256 i; i < ids.length; ++i) {
            Lock memory held = vault.lockOf(address(requests), ids[i]);
            for (uint256 j; j < everybody.length && held.amount != 0; ++j) {
                if (everybody[j] == held.holder) amounts[j] += held.amount;
            }
        }
    }

    function _locksOf(uint256 l) internal view returns (bytes32[] memory ids) {
        RequestId id = asked[l].id;
        uint8 top = uint8(asked[l].path.length);
        ids = new bytes32[](3 + 2 * uint256(top));
        ids[0] = RequestId.unwrap(id);
        for (uint8 tier; tier <= top; ++tier) {
            ids[1 + 2 * tier] = requests.depositLock(id, tier);
            ids[2 + 2 * tier] = requests.challengeLock(id, tier);
        }
    }
}
