// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
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
    WorkerState,
    WorkerStatus
} from "./interfaces/IRequests.sol";
import {EVALUATOR, ISchemas, Member, WORKER} from "./interfaces/ISchemas.sol";
import {IVault, Payment} from "./interfaces/IVault.sol";
import {RequestRules} from "./libraries/RequestRules.sol";
import {RewardFunction, Rewards} from "./libraries/Rewards.sol";

/// @title See {IRequests}
contract Requests is IRequests {
    using SafeCast for uint256;

    /// @dev What settling collects.
    struct Settlement {
        Outcome outcome;
        bytes32 standing;
        bool paysEvaluator;
        address[] workers;
        uint96[] amounts;
        uint256 burn;
    }

    /// @inheritdoc IRequests
    IVault public immutable vault;
    /// @inheritdoc IRequests
    ISchemas public immutable schemas;
    /// @inheritdoc IRequests
    uint32 public immutable minWindow;
    /// @inheritdoc IRequests
    uint32 public immutable maxWindow;

    mapping(RequestId id => RequestState state) private _requests;
    mapping(RequestId id => mapping(address worker => WorkerState state)) private _workers;
    mapping(RequestId id => mapping(uint8 tier => bytes32 ruling)) private _rulings;
    mapping(RequestId id => mapping(uint8 tier => address challenger)) private _challengers;

    constructor(IVault vault_, ISchemas schemas_, uint32 minWindow_, uint32 maxWindow_) {
        RequestRules.range("minWindow", minWindow_, 1, maxWindow_);
        vault = vault_;
        schemas = schemas_;
        minWindow = minWindow_;
        maxWindow = maxWindow_;
    }

    // --- Views -------------------------------------------------------------------------------------------------------

    /// @inheritdoc IRequests
    function requestId(Request calldata request) public view returns (RequestId) {
        return RequestId.wrap(keccak256(abi.encode(block.chainid, address(this), request)));
    }

    /// @inheritdoc IRequests
    function requestState(RequestId id) external view returns (RequestState memory) {
        return _requests[id];
    }

    /// @inheritdoc IRequests
    function phaseOf(RequestId id) external view returns (Phase) {
        return _phase(_requests[id]);
    }

    /// @inheritdoc IRequests
    function workerOf(RequestId id, address worker) external view returns (WorkerState memory) {
        return _workers[id][worker];
    }

    /// @inheritdoc IRequests
    function rulingOf(RequestId id, uint8 tier) external view returns (bytes32) {
        return _rulings[id][tier];
    }

    /// @inheritdoc IRequests
    function challengerOf(RequestId id, uint8 tier) external view returns (address) {
        return _challengers[id][tier];
    }

    /// @inheritdoc IRequests
    function depositLock(RequestId id, uint8 tier) public pure returns (bytes32) {
        return keccak256(abi.encode(id, "deposit", tier));
    }

    /// @inheritdoc IRequests
    function challengeLock(RequestId id, uint8 tier) public pure returns (bytes32) {
        return keccak256(abi.encode(id, "challenge", tier));
    }

    /// @inheritdoc IRequests
    function resultCommitment(RequestId id, address worker, bytes32 digest, bytes32 salt)
        public
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(this), id, worker, digest, salt));
    }

    /// @inheritdoc IRequests
    function testDataCommitment(address requester, bytes32 digest, bytes32 salt) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), requester, digest, salt));
    }

    // --- Posting and accepting ---------------------------------------------------------------------------------------

    /// @inheritdoc IRequests
    function requestJob(Request calldata request) external returns (RequestId id) {
        require(msg.sender == request.requester, NotPermitted(msg.sender, request.requester));
        RequestRules.check(request, schemas.schemaOf(request.schema), minWindow, maxWindow);
        Member memory root = schemas.memberOf(request.schema, request.root);
        require(root.roles != 0 && root.parent == address(0), NotRoot(request.root));
        id = requestId(request);
        RequestState storage state = _requests[id];
        require(state.stage == Stage.None, RequestExists(id));
        bool hasTestData = request.testData != 0;
        uint256 startAt = block.timestamp + request.acceptWindow;
        state.startAt = uint32(startAt);
        state.submitUntil = uint32(startAt + request.timeLimit);
        state.deadline = uint32(startAt + request.timeLimit + request.stepWindow);
        state.stepWindow = request.stepWindow;
        state.stage = Stage.Open;
        state.minWorkers = request.minWorkers;
        state.awaitsTestData = hasTestData;
        state.hasTestData = hasTestData;
        state.skipsEvaluation = request.skipEvaluation;
        uint96 locked = (uint256(request.evaluatorReward) + uint256(request.workerReward) * (hasTestData ? 2 : 1))
            .toUint96();
        emit RequestPosted(id, request.schema, request.requester, request, locked);

        vault.lock(RequestId.unwrap(id), msg.sender, locked);
    }

    /// @inheritdoc IRequests
    function acceptJob(Request calldata request, uint8 role, bytes calldata encryptionKey) external {
        (RequestId id, RequestState storage state) = _in(request, Phase.Accepting);
        RequestRules.checkKey(encryptionKey);
        require(
            msg.sender != request.requester && msg.sender != request.delegate && msg.sender != state.evaluator,
            OwnMatter(msg.sender)
        );
        address[] memory path = schemas.pathOf(request.schema, msg.sender, role);
        address root = path.length == 0 ? msg.sender : path[path.length - 1];
        require(root == request.root, ForeignTree(msg.sender, root, request.root));
        WorkerState storage worker = _workers[id][msg.sender];
        if (role == WORKER) {
            require(_isListed(request.workers, msg.sender), NotListed(msg.sender));
            _requireStatus(msg.sender, worker.status, WorkerStatus.None);
            require(state.workers < request.maxWorkers, NoPlaceLeft(state.workers));
            ++state.workers;
            worker.status = WorkerStatus.Accepted;
            emit WorkerAccepted(id, msg.sender, encryptionKey);
            return;
        }
        RequestRules.range("role", role, EVALUATOR, EVALUATOR);
        require(!request.skipEvaluation && _isListed(request.evaluators, msg.sender), NotListed(msg.sender));
        require(state.evaluator == address(0), EvaluatorTaken(state.evaluator));
        require(worker.status != WorkerStatus.Accepted, OwnMatter(msg.sender));
        state.evaluator = msg.sender;
        state.top = uint8(path.length);
        state.path = keccak256(abi.encode(path));
        emit EvaluatorAccepted(id, msg.sender, path, encryptionKey);

        vault.lock(depositLock(id, 0), msg.sender, request.deposit);
    }

    /// @inheritdoc IRequests
    function resign(RequestId id) external {
        _leave(id, _inPhase(id, Phase.Accepting), msg.sender, WorkerStatus.Resigned);
        emit WorkerResigned(id, msg.sender);
    }

    /// @inheritdoc IRequests
    function rejectWorker(Request calldata request, address worker) external {
        (RequestId id, RequestState storage state) = _in(request, Phase.Accepting);
        _requireRequester(request);
        _leave(id, state, worker, WorkerStatus.Rejected);
        emit WorkerRejected(id, worker);
    }

    /// @inheritdoc IRequests
    function start(Request calldata request) external {
        (RequestId id, RequestState storage state) = _in(request, Phase.Accepting);
        _requireRequester(request);
        require(_isMet(state), WrongPhase(id, Phase.Unmet, Phase.Accepting));
        uint32 submitUntil = uint32(block.timestamp + request.timeLimit);
        state.started = true;
        state.startAt = uint32(block.timestamp);
        state.submitUntil = submitUntil;
        state.deadline = submitUntil + request.stepWindow;
        emit Started(id, submitUntil);
    }

    /// @inheritdoc IRequests
    function cancel(Request calldata request) external {
        (RequestId id, RequestState storage state) = _in(request, Phase.Unmet);
        bool hasDeposit = state.evaluator != address(0);
        _end(id, 0, Outcome.Cancelled);
        if (hasDeposit) vault.close(depositLock(id, 0), new Payment[](0), 0);
        vault.close(RequestId.unwrap(id), new Payment[](0), 0);
    }

    /// @inheritdoc IRequests
    function grant(Request calldata request, bytes32 content) external {
        RequestId id = requestId(request);
        RequestState storage state = _requests[id];
        require(
            state.stage != Stage.None
                && (_isRequester(request) || msg.sender == state.evaluator || _works(_workers[id][msg.sender].status)),
            NotPermitted(msg.sender, request.requester)
        );
        emit Granted(id, msg.sender, content);
    }

    // --- Computing and revealing -------------------------------------------------------------------------------------

    /// @inheritdoc IRequests
    function submitCheckpoint(RequestId id, uint32 number, bytes32 commitment) external {
        _inPhase(id, Phase.Computing);
        _requireStatus(msg.sender, _workers[id][msg.sender].status, WorkerStatus.Accepted);
        require(commitment != 0, EmptyCommitment());
        emit CheckpointSubmitted(id, msg.sender, number, commitment);
    }

    /// @inheritdoc IRequests
    function submitResult(RequestId id, bytes32 commitment) external {
        RequestState storage state = _inPhase(id, Phase.Computing);
        WorkerState storage worker = _workers[id][msg.sender];
        _requireStatus(msg.sender, worker.status, WorkerStatus.Accepted);
        require(commitment != 0, EmptyCommitment());
        worker.status = WorkerStatus.Submitted;
        worker.commitment = bytes30(commitment);
        uint8 submitted = ++state.submitted;
        emit ResultSubmitted(id, msg.sender, commitment);
        if (submitted != state.workers) return;
        uint32 deadline = uint32(block.timestamp) + state.stepWindow;
        state.submitUntil = uint32(block.timestamp);
        state.deadline = deadline;
        emit AllSubmitted(id, deadline);
    }

    /// @inheritdoc IRequests
    function revealResult(RequestId id, bytes32 digest, bytes32 salt) external {
        RequestState storage state = _inPhase(id, Phase.Revealing);
        WorkerState storage worker = _workers[id][msg.sender];
        _requireStatus(msg.sender, worker.status, WorkerStatus.Submitted);
        bytes32 opened = bytes30(resultCommitment(id, msg.sender, digest, salt));
        require(opened == worker.commitment, WrongOpening(opened, worker.commitment));
        worker.status = WorkerStatus.Revealed;
        worker.index = state.revealed;
        ++state.revealed;
        emit ResultRevealed(id, msg.sender, digest, salt);
        _endRevealing(id, state);
    }

    /// @inheritdoc IRequests
    function revealTestData(Request calldata request, bytes32 digest, bytes32 salt) external {
        (RequestId id, RequestState storage state) = _in(request, Phase.Revealing);
        _requireRequester(request);
        require(state.awaitsTestData, NoTestData(id));
        bytes32 opened = testDataCommitment(request.requester, digest, salt);
        require(opened == request.testData, WrongOpening(opened, request.testData));
        state.awaitsTestData = false;
        emit TestDataRevealed(id, digest, salt);
        _endRevealing(id, state);
    }

    // --- Ranking and challenging -------------------------------------------------------------------------------------

    /// @inheritdoc IRequests
    function rank(RequestId id, Ruling calldata ruling, bytes32 report) external {
        RequestState storage state = _inPhase(id, Phase.Ranking);
        require(msg.sender == state.evaluator, NotPermitted(msg.sender, state.evaluator));
        require(ruling.verdict != Verdict.Void, InvalidVerdict(ruling.verdict));
        _rule(id, state, 0, ruling, report);
    }

    /// @inheritdoc IRequests
    function acceptResult(Request calldata request) external {
        (RequestId id, RequestState storage state) = _in(request, Phase.Contestable);
        // Whom a judge overturned may challenge, too: above the evaluator nobody can cut the window short.
        RequestRules.range("tier", state.tier, 0, 0);
        if (_isRequester(request)) {
            require(!state.requesterSatisfied, AlreadyAccepted(msg.sender));
            state.requesterSatisfied = true;
        } else {
            WorkerState storage worker = _workers[id][msg.sender];
            require(worker.status != WorkerStatus.Satisfied, AlreadyAccepted(msg.sender));
            _requireStatus(msg.sender, worker.status, WorkerStatus.Revealed);
            worker.status = WorkerStatus.Satisfied;
            ++state.satisfied;
        }
        emit ResultAccepted(id, msg.sender);
        if (state.requesterSatisfied && state.satisfied == state.revealed) _finalize(id, state);
    }

    /// @inheritdoc IRequests
    function challenge(Request calldata request, address[] calldata path) external {
        (RequestId id, RequestState storage state) = _in(request, Phase.Contestable);
        uint8 tier = state.tier;
        _requireParty(request, path, id, state);
        _challengers[id][tier] = msg.sender;
        emit Challenged(id, msg.sender, tier, _call(state, tier + 1));

        vault.lock(challengeLock(id, tier), msg.sender, request.challengeFee);
    }

    /// @inheritdoc IRequests
    function reevaluate(
        Request calldata request,
        address[] calldata path,
        Ruling calldata ruling,
        bytes32 report
    ) external {
        (RequestId id, RequestState storage state) = _in(request, Phase.Judging);
        _requirePath(state, path);
        uint8 tier = state.tier;
        address judge = path[tier - 1];
        require(msg.sender == judge, NotPermitted(msg.sender, judge));
        require(!_isRequester(request) && !_works(_workers[id][judge].status), OwnMatter(judge));
        _rule(id, state, tier, ruling, report);

        vault.lock(depositLock(id, tier), judge, request.deposit);
    }

    /// @inheritdoc IRequests
    function climb(RequestId id) external {
        RequestState storage state = _requests[id];
        Phase phase = _phase(state);
        require(phase == Phase.Overdue || phase == Phase.Unanswered, WrongPhase(id, phase, Phase.Unanswered));
        uint8 tier = state.tier;
        if (tier == state.top) return _finalize(id, state);
        emit Climbed(id, tier + 1, _call(state, tier + 1));
    }

    // --- Settling ----------------------------------------------------------------------------------------------------

    /// @inheritdoc IRequests
    function settle(
        Request calldata request,
        address[] calldata path,
        Ruling calldata ruling,
        address[] calldata revealed
    ) external {
        (RequestId id, RequestState storage stored) = _in(request, Phase.Settleable);
        RequestState memory state = stored;
        if (state.evaluator != address(0)) _requirePath(stored, path);
        Settlement memory s;
        _decide(id, request, state, ruling, s);
        _share(id, request, state, ruling, revealed, s);
        Payment[] memory payments = _payments(request, state, s);
        bytes32[] memory rulings = new bytes32[](state.tier + 1);
        address[] memory challengers = new address[](state.tier + 1);
        for (uint8 tier; tier <= state.tier; ++tier) {
            rulings[tier] = _rulings[id][tier];
            challengers[tier] = _challengers[id][tier];
        }
        _end(id, state.tier, s.outcome);

        if (state.evaluator != address(0)) _closeTiers(id, request, path, state, s, rulings, challengers);
        vault.close(RequestId.unwrap(id), payments, s.burn.toUint96());
    }

    /// @dev How it ends, which ruling stands, whether the evaluator is paid, and what burns of the request's lock.
    function _decide(
        RequestId id,
        Request calldata request,
        RequestState memory state,
        Ruling calldata ruling,
        Settlement memory s
    ) private view {
        if (state.stage == Stage.Open) {
            // Only the clock has spoken.
            s.paysEvaluator = state.revealed != 0 && state.awaitsTestData;
            s.outcome = state.revealed == 0
                ? Outcome.Unanswered
                : state.awaitsTestData ? Outcome.Withheld : Outcome.Unevaluated;
        } else if (state.ruled == 0) {
            s.outcome = Outcome.Unjudged;
        } else {
            bytes32 first = _rulings[id][0];
            s.standing = _rulings[id][state.ruled - 1];
            bytes32 actual = keccak256(abi.encode(ruling));
            require(actual == s.standing, WrongRuling(actual, s.standing));
            s.paysEvaluator = first == s.standing;
            // If it went back, requester and root together would gain by overturning.
            if (first != 0 && !s.paysEvaluator) s.burn = request.evaluatorReward;
            if (ruling.verdict == Verdict.Withheld) s.outcome = Outcome.Withheld;
            else if (ruling.verdict == Verdict.Void) s.outcome = Outcome.Voided;
            else if (ruling.order.length != 0) s.outcome = Outcome.Ranked;
            else s.outcome = first != 0 && !s.paysEvaluator ? Outcome.Voided : Outcome.Unsolved;
        }
        if (s.outcome == Outcome.Voided) s.burn += (uint256(request.workerReward) + 1) / 2;
        // More than a requester's own workers could bring back to it of the pot.
        if (s.outcome == Outcome.Withheld && state.hasTestData) s.burn += request.workerReward;
    }

    /// @dev Who is paid how much of the pot.
    function _share(
        RequestId id,
        Request calldata request,
        RequestState memory state,
        Ruling calldata ruling,
        address[] calldata revealed,
        Settlement memory s
    ) private view {
        if (s.outcome == Outcome.Ranked) {
            s.workers = ruling.order;
            s.amounts = Rewards.split(request.rewardFunction, request.workerReward, request.list, ruling.scores);
            return;
        }
        bool evenly = s.outcome == Outcome.Withheld || s.outcome == Outcome.Unjudged
            || s.outcome == Outcome.Unevaluated;
        if (!evenly) return;
        require(revealed.length == state.revealed, WrongWorkers(revealed.length, state.revealed));
        for (uint256 i; i < revealed.length; ++i) {
            WorkerState memory worker = _workers[id][revealed[i]];
            require(
                (worker.status == WorkerStatus.Revealed || worker.status == WorkerStatus.Satisfied)
                    && worker.index == i,
                WrongWorkers(i, worker.index)
            );
        }
        s.workers = revealed;
        s.amounts = Rewards.split(
            RewardFunction.Even, request.workerReward, new uint96[](0), new uint128[](revealed.length)
        );
    }

    function _payments(Request calldata request, RequestState memory state, Settlement memory s)
        private
        pure
        returns (Payment[] memory payments)
    {
        payments = new Payment[](s.workers.length + 1);
        uint256 count;
        if (s.paysEvaluator) payments[count++] = Payment(state.evaluator, request.evaluatorReward);
        for (uint256 i; i < s.workers.length; ++i) {
            if (s.amounts[i] != 0) payments[count++] = Payment(s.workers[i], s.amounts[i]);
        }
        assembly ("memory-safe") {
            // Shorten to what was used.
            mstore(payments, count)
        }
    }

    /// @dev Ends every deposit and every fee, each by itself. A fee goes to the first judge that ruled on the challenge, a
    /// deposit back if its ruling stands; otherwise the fee back to whom that ruling was challenged by.
    function _closeTiers(
        RequestId id,
        Request calldata request,
        address[] calldata path,
        RequestState memory state,
        Settlement memory s,
        bytes32[] memory rulings,
        address[] memory challengers
    ) private {
        address next;
        // From above, so that `next` is the first judge that ruled after a tier.
        for (uint256 t = rulings.length; t != 0; --t) {
            uint8 tier = uint8(t - 1);
            if (challengers[tier] != address(0)) {
                vault.close(challengeLock(id, tier), _fee(next, request.challengeFee), 0);
            }
            if (rulings[tier] != 0) {
                if (rulings[tier] == s.standing) {
                    vault.close(depositLock(id, tier), new Payment[](0), 0);
                } else {
                    _forfeit(depositLock(id, tier), challengers[tier], request);
                }
                next = tier == 0 ? state.evaluator : path[tier - 1];
            } else if (tier == 0) {
                if (state.stage == Stage.Open) vault.close(depositLock(id, 0), new Payment[](0), 0);
                else _forfeit(depositLock(id, 0), next, request);
            }
        }
    }

    /// @dev Pays a fee out of a deposit, if there is somebody to pay, and burns the rest.
    function _forfeit(bytes32 lockId, address to, Request calldata request) private {
        uint96 fee = to == address(0) ? 0 : request.challengeFee;
        vault.close(lockId, _fee(to, fee), request.deposit - fee);
    }

    function _fee(address to, uint96 amount) private pure returns (Payment[] memory payments) {
        payments = new Payment[](to == address(0) ? 0 : 1);
        if (to != address(0)) payments[0] = Payment(to, amount);
    }

    // --- Steps -------------------------------------------------------------------------------------------------------

    /// @dev The only judge of time.
    function _phase(RequestState storage state) private view returns (Phase) {
        Stage stage = state.stage;
        if (stage == Stage.None) return Phase.Unknown;
        if (stage == Stage.Ended) return Phase.Ended;
        if (stage == Stage.Final) return Phase.Settleable;
        uint256 deadline = state.deadline;
        bool passed = block.timestamp > deadline;
        if (stage == Stage.Ruled) return passed ? Phase.Settleable : Phase.Contestable;
        if (stage == Stage.Called) return passed ? Phase.Unanswered : Phase.Judging;
        if (!state.started) {
            if (block.timestamp <= state.startAt) return Phase.Accepting;
            if (!_isMet(state)) return Phase.Unmet;
        }
        if (block.timestamp <= state.submitUntil) return Phase.Computing;
        if (!passed) return Phase.Revealing;
        if (state.revealed == 0 || state.awaitsTestData || state.skipsEvaluation) return Phase.Settleable;
        return block.timestamp <= deadline + state.stepWindow ? Phase.Ranking : Phase.Overdue;
    }

    function _isMet(RequestState storage state) private view returns (bool) {
        return state.workers >= state.minWorkers && (state.evaluator != address(0) || state.skipsEvaluation);
    }

    function _in(Request calldata request, Phase expected)
        private
        view
        returns (RequestId id, RequestState storage state)
    {
        id = requestId(request);
        state = _inPhase(id, expected);
    }

    function _inPhase(RequestId id, Phase expected) private view returns (RequestState storage state) {
        state = _requests[id];
        Phase actual = _phase(state);
        require(actual == expected, WrongPhase(id, actual, expected));
    }

    function _leave(RequestId id, RequestState storage state, address worker, WorkerStatus status) private {
        WorkerState storage stored = _workers[id][worker];
        _requireStatus(worker, stored.status, WorkerStatus.Accepted);
        stored.status = status;
        --state.workers;
    }

    function _endRevealing(RequestId id, RequestState storage state) private {
        if (state.revealed != state.submitted || state.awaitsTestData) return;
        state.deadline = uint32(block.timestamp);
        emit AllRevealed(id, uint32(block.timestamp) + state.stepWindow);
    }

    /// @dev Stores a ruling's hash if it makes sense.
    function _rule(RequestId id, RequestState storage state, uint8 tier, Ruling calldata ruling, bytes32 report)
        private
    {
        _requireSense(id, ruling);
        _rulings[id][tier] = keccak256(abi.encode(ruling));
        state.ruled = tier + 1;
        uint32 deadline = uint32(block.timestamp) + state.stepWindow;
        state.deadline = deadline;
        state.stage = Stage.Ruled;
        emit Ruled(id, msg.sender, tier, ruling, report, deadline);
        if (tier == state.top) _finalize(id, state);
    }

    /// @dev Nobody is ranked twice, or without a result; nothing is said that its verdict does not say.
    function _requireSense(RequestId id, Ruling calldata ruling) private view {
        uint256 count = ruling.order.length;
        require(count == ruling.scores.length, LengthMismatch(count, ruling.scores.length));
        require(
            ruling.verdict == Verdict.Ranking || (ruling.verdict != Verdict.None && count == 0),
            InvalidVerdict(ruling.verdict)
        );
        uint256 seen;
        for (uint256 i; i < count; ++i) {
            address worker = ruling.order[i];
            WorkerState memory stored = _workers[id][worker];
            if (stored.status != WorkerStatus.Satisfied) {
                _requireStatus(worker, stored.status, WorkerStatus.Revealed);
            }
            uint256 bit = 1 << stored.index;
            require(seen & bit == 0, Duplicate(worker));
            seen |= bit;
            require(i == 0 || ruling.scores[i] <= ruling.scores[i - 1], NotDescending(i));
        }
    }

    function _call(RequestState storage state, uint8 tier) private returns (uint32 deadline) {
        deadline = uint32(block.timestamp) + state.stepWindow;
        state.stage = Stage.Called;
        state.tier = tier;
        state.deadline = deadline;
    }

    function _finalize(RequestId id, RequestState storage state) private {
        state.stage = Stage.Final;
        emit Finalized(id, state.ruled);
    }

    /// @dev Erases what is stored, but that it was there.
    function _end(RequestId id, uint8 tier, Outcome outcome) private {
        for (uint8 t; t <= tier; ++t) {
            delete _rulings[id][t];
            delete _challengers[id][t];
        }
        delete _requests[id];
        _requests[id].stage = Stage.Ended;
        emit Settled(id, outcome);
    }

    // --- Who may -----------------------------------------------------------------------------------------------------

    /// @dev Reverts unless the caller may challenge the ruling that stands.
    function _requireParty(
        Request calldata request,
        address[] calldata path,
        RequestId id,
        RequestState storage state
    ) private view {
        bool first = state.tier == 0;
        if (_isRequester(request)) {
            require(!first || !state.requesterSatisfied, AlreadyAccepted(msg.sender));
            return;
        }
        WorkerStatus status = _workers[id][msg.sender].status;
        if (status == WorkerStatus.Revealed || status == WorkerStatus.Satisfied) {
            require(!first || status == WorkerStatus.Revealed, AlreadyAccepted(msg.sender));
            return;
        }
        if (msg.sender == state.evaluator) return;
        _requirePath(state, path);
        for (uint8 i; i < path.length; ++i) {
            if (path[i] == msg.sender && _rulings[id][i + 1] != 0) return;
        }
        revert NotPermitted(msg.sender, address(0));
    }

    function _requirePath(RequestState storage state, address[] calldata path) private view {
        bytes32 actual = keccak256(abi.encode(path));
        require(actual == state.path, WrongPath(actual, state.path));
    }

    function _requireRequester(Request calldata request) private view {
        require(_isRequester(request), NotPermitted(msg.sender, request.requester));
    }

    function _isRequester(Request calldata request) private view returns (bool) {
        return msg.sender == request.requester || (msg.sender == request.delegate && request.delegate != address(0));
    }

    function _requireStatus(address worker, WorkerStatus actual, WorkerStatus expected) private pure {
        require(actual == expected, WrongWorkerStatus(worker, actual, expected));
    }

    /// @dev Whether who has this status is still a worker of the request.
    function _works(WorkerStatus status) private pure returns (bool) {
        return status != WorkerStatus.None && status != WorkerStatus.Resigned && status != WorkerStatus.Rejected;
    }

    function _isListed(address[] calldata list, address node) private pure returns (bool) {
        for (uint256 i; i < list.length; ++i) {
            if (list[i] == node) return true;
        }
        return list.length == 0;
    }
}
