// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISchemas, SchemaId} from "./ISchemas.sol";
import {IVault} from "./IVault.sol";
import {RewardFunction} from "../libraries/Rewards.sol";

/// @notice keccak256(abi.encode(chainId, requests, Request)): a request is what was asked.
type RequestId is bytes32;

/// @notice What is asked of a schema's workers, and what is paid for it. Passed in calldata; only its hash is kept.
/// @param requester Who pays, and the only one who may post.
/// @param delegate A key that may do for the requester what costs nothing; zero for none.
/// @param schema Whose programs run.
/// @param root Whose tree of the schema is trusted: evaluator, judges and workers are members of it.
/// @param release The schema's newest release when it was posted: what everybody runs.
/// @param nonce Tells requests apart that are the same otherwise.
/// @param input Content id of the input.
/// @param testData What the test data's content id and a salt hash to, see {IRequests.testDataCommitment}; zero: there are
/// none.
/// @param rewardFunction How the pot is shared among the ranked.
/// @param evaluatorReward For the evaluator whose ranking stands, base units; 0 without evaluation.
/// @param workerReward The pot, base units.
/// @param list `List` only: what each rank gets.
/// @param evaluators Who may evaluate; empty: any evaluator of the tree.
/// @param workers Who may work; empty: any worker of the tree.
/// @param minWorkers Fewest that it starts with.
/// @param maxWorkers Most that may accept.
/// @param skipEvaluation The requester trusts the listed workers: all that reveal a result share the pot evenly.
/// @param acceptWindow From posting: it can be accepted, seconds.
/// @param timeLimit From the start: results must be committed to, seconds.
/// @param stepWindow Each step after that: revealing, ranking, challenging, judging; seconds.
/// @param deposit What whoever ranks puts at stake, base units: the schema's minimum to {MAX_FACTOR} times that, and more
/// than the fee; 0 without evaluation.
/// @param challengeFee What a challenge costs, base units: it pays the judge. The schema's to {MAX_FACTOR} times that; 0
/// without evaluation.
/// @param encryptionKey Compressed secp256k1 point that results are sealed for.
struct Request {
    address requester;
    address delegate;
    SchemaId schema;
    address root;
    bytes32 release;
    uint64 nonce;
    bytes32 input;
    bytes32 testData;
    RewardFunction rewardFunction;
    uint96 evaluatorReward;
    uint96 workerReward;
    uint96[] list;
    address[] evaluators;
    address[] workers;
    uint8 minWorkers;
    uint8 maxWorkers;
    bool skipEvaluation;
    uint32 acceptWindow;
    uint32 timeLimit;
    uint32 stepWindow;
    uint96 deposit;
    uint96 challengeFee;
    bytes encryptionKey;
}

/// @notice Which transactions have been there. What the clock decides is not stored; see {Phase}.
/// - None: never posted.
/// - Open: nobody has ranked.
/// - Ruled: a ruling stands unless somebody challenges it until `deadline`.
/// - Called: the judge of `tier` must rule until `deadline`.
/// - Final: nobody can challenge any more.
/// - Ended: settled or cancelled. It stays so for ever: the same request cannot be posted again.
enum Stage {
    None,
    Open,
    Ruled,
    Called,
    Final,
    Ended
}

/// @notice What can be done now, derived from stage and clock.
/// - Unknown: never posted.
/// - Accepting: evaluator and workers accept.
/// - Unmet: too few accepted: anybody may cancel.
/// - Computing: workers commit to results.
/// - Revealing: workers reveal what they committed to, the requester its test data.
/// - Ranking: the evaluator ranks.
/// - Overdue: the evaluator did not rank: anybody may call its parent.
/// - Contestable: a ruling can be challenged or accepted.
/// - Judging: a judge rules on a challenge.
/// - Unanswered: that judge was silent: anybody may call the next.
/// - Settleable: anybody may settle.
/// - Ended: settled or cancelled.
enum Phase {
    Unknown,
    Accepting,
    Unmet,
    Computing,
    Revealing,
    Ranking,
    Overdue,
    Contestable,
    Judging,
    Unanswered,
    Settleable,
    Ended
}

/// @notice What an evaluator or a judge says.
/// - None: nothing.
/// - Ranking: these results, best first; what is not in it is invalid. Empty: nobody solved it.
/// - Withheld: the requester did not make available what the evaluation needs.
/// - Void: nothing can be said about these results. Judges only.
enum Verdict {
    None,
    Ranking,
    Withheld,
    Void
}

/// @notice A verdict in full. Only its hash is kept: a judge that upholds a ruling says just the same.
/// @param verdict What it is.
/// @param order Ranking only: workers, best first.
/// @param scores Ranking only: one for each of them, none greater than the one before.
struct Ruling {
    Verdict verdict;
    address[] order;
    uint128[] scores;
}

/// @notice How a worker stands to a request.
/// - None: it did not accept.
/// - Accepted: it computes.
/// - Resigned: it gave up before the start.
/// - Rejected: the requester did not want it, before the start.
/// - Submitted: it committed to a result.
/// - Revealed: it revealed that result, and can be ranked.
/// - Satisfied: Revealed, and it accepted the evaluator's ranking.
enum WorkerStatus {
    None,
    Accepted,
    Resigned,
    Rejected,
    Submitted,
    Revealed,
    Satisfied
}

/// @notice What is stored of a request, in two slots and a hash.
/// @param evaluator Who evaluates; zero: nobody accepted.
/// @param startAt Last second of accepting; computing begins after it, seconds.
/// @param submitUntil Last second of committing.
/// @param deadline Open: last second of revealing; later: of the stage. Ranking is possible for a step window after that.
/// @param stepWindow As in {Request}.
/// @param stage Which transactions have been there.
/// @param tier Whose ruling stands or is awaited: 0 the evaluator, t the t-th admin above it.
/// @param ruled One more than the tier whose ruling stands; 0: none.
/// @param top The root's tier.
/// @param minWorkers As in {Request}.
/// @param workers That accepted and did not leave.
/// @param submitted Of these, how many committed.
/// @param revealed Of these, how many revealed.
/// @param satisfied Of these, how many accepted the evaluator's ranking.
/// @param started The requester began before the acceptance window ended.
/// @param awaitsTestData The requester committed to test data and did not reveal them.
/// @param hasTestData The requester committed to test data.
/// @param skipsEvaluation As in {Request}.
/// @param requesterSatisfied The requester accepted the evaluator's ranking.
/// @param path keccak256(abi.encode(path)): the admins above the evaluator as they were when it accepted.
struct RequestState {
    address evaluator;
    uint32 startAt;
    uint32 submitUntil;
    uint32 deadline;
    uint32 stepWindow;
    Stage stage;
    uint8 tier;
    uint8 ruled;
    uint8 top;
    uint8 minWorkers;
    uint8 workers;
    uint8 submitted;
    uint8 revealed;
    uint8 satisfied;
    bool started;
    bool awaitsTestData;
    bool hasTestData;
    bool skipsEvaluation;
    bool requesterSatisfied;
    bytes32 path;
}

/// @notice A worker's part in a request, in one slot.
/// @param status How it stands.
/// @param index Place in the order of revealing.
/// @param commitment What it committed to, without the last two bytes.
struct WorkerState {
    WorkerStatus status;
    uint8 index;
    bytes30 commitment;
}

/// @notice How a request ended.
/// - None: it has not.
/// - Ranked: the pot was shared as the final ranking says.
/// - Unsolved: the evaluator found no valid result, and that stood: it is paid, the pot returned.
/// - Voided: a judge voided it, or found nothing valid where the evaluator did: half of the pot is burned.
/// - Withheld: the requester held back what the evaluation needs: all that revealed share evenly.
/// - Unjudged: neither evaluator nor judges said anything: all that revealed share evenly.
/// - Unevaluated: no evaluation was asked for: all that revealed share evenly.
/// - Unanswered: nobody revealed a result: everything is returned.
/// - Cancelled: too few accepted: everything is returned.
enum Outcome {
    None,
    Ranked,
    Unsolved,
    Voided,
    Withheld,
    Unjudged,
    Unevaluated,
    Unanswered,
    Cancelled
}

/// @dev Most workers of a request.
uint256 constant MAX_WORKERS = 255;
/// @dev Most evaluators that a request may list.
uint256 constant MAX_EVALUATORS = 64;
/// @dev Times the schema's deposit and fee that a request may ask: more, and neither judges nor the wronged could pay.
uint256 constant MAX_FACTOR = 10;
/// @dev Longest time limit, seconds.
uint32 constant MAX_TIME_LIMIT = 30 days;

/// @title Requests: work whose results differ but can be judged
/// @notice A requester locks rewards for an evaluator and workers of a {ISchemas} tree. Workers commit to sealed results, all
/// reveal once nobody can commit any more, the evaluator ranks, and the ranking decides who is paid. Whom it wrongs
/// challenges it: the evaluator's parent rules instead, then that one's parent, up to the root.
///
/// Trust assumptions: the root named in the request. It has the last word, and whoever works for a request where the
/// requester *is* the root, or knows it, works on trust. Nobody else needs to be trusted: a wrong ruling below the root is
/// overturned at the expense of who made it. How many of a request's workers are one and the same nobody can tell: `Even`,
/// and every ending in which all that revealed share evenly, can pay one machine many times.
///
/// Everybody's money lies in this contract's ledger of the vault: rewards under the request's id, deposits under
/// {depositLock}, fees under {challengeLock}. Accounts that are entrusted cannot request, evaluate, judge or challenge; they
/// can work.
/// @dev No owner, no pause. A deadline's own second still belongs to the step: {phaseOf} is the only judge of time.
///
/// INVARIANT Q1: a request's lock holds both rewards, and the pot once more where there are test data, until it ends; then
/// nothing is locked under any of its ids.
/// INVARIANT Q2: nobody's deposit is burned, and no fee or reward paid, before no challenge is possible any more.
/// INVARIANT Q3: whose ruling is the final one has its deposit back; whose is not pays back the challenger.
/// INVARIANT Q4: the ranked and the evaluator get no more than the rewards, and every unit goes to them, back, or is burned.
/// INVARIANT Q5: a result is revealed by who committed to it, once, and after nobody can commit any more.
/// INVARIANT Q6: test data are revealed after nobody can commit any more, and only those that were committed to.
/// INVARIANT Q7: whatever anybody does or omits, calls that anybody can make end every request.
/// INVARIANT Q8: judges are those above the evaluator when it accepted, each tier rules once, and none in its own matter.
/// INVARIANT Q9: who evaluates or judges honestly under an honest root loses nothing and is paid; who challenges a wrong
/// ruling has the fee back.
interface IRequests {
    /// @notice A request can be accepted until `acceptWindow` from now. `locked` is what its requester locked.
    event RequestPosted(
        RequestId indexed id, SchemaId indexed schema, address indexed requester, Request request, uint96 locked
    );
    /// @notice `evaluator` evaluates; `path` are its judges, its parent first and the root last.
    event EvaluatorAccepted(RequestId indexed id, address indexed evaluator, address[] path, bytes encryptionKey);
    /// @notice `worker` computes, unless it resigns or is rejected before the start.
    event WorkerAccepted(RequestId indexed id, address indexed worker, bytes encryptionKey);
    /// @notice `worker` gave up.
    event WorkerResigned(RequestId indexed id, address indexed worker);
    /// @notice The requester does not want `worker`.
    event WorkerRejected(RequestId indexed id, address indexed worker);
    /// @notice The requester began early: results must be committed to by `submitUntil`.
    event Started(RequestId indexed id, uint32 submitUntil);
    /// @notice `by` made `content` available: keys for participants, sealed for them.
    event Granted(RequestId indexed id, address indexed by, bytes32 content);
    /// @notice `worker` committed to an intermediate state.
    event CheckpointSubmitted(RequestId indexed id, address indexed worker, uint32 number, bytes32 commitment);
    /// @notice `worker` committed to its result.
    event ResultSubmitted(RequestId indexed id, address indexed worker, bytes32 commitment);
    /// @notice All have committed: they reveal from now on until `revealUntil`.
    event AllSubmitted(RequestId indexed id, uint32 revealUntil);
    /// @notice `worker`'s result has the content id `digest`.
    event ResultRevealed(RequestId indexed id, address indexed worker, bytes32 digest, bytes32 salt);
    /// @notice The test data have the content id `digest`.
    event TestDataRevealed(RequestId indexed id, bytes32 digest, bytes32 salt);
    /// @notice All is revealed: the evaluator ranks until `rankUntil`.
    event AllRevealed(RequestId indexed id, uint32 rankUntil);
    /// @notice `judge` ruled, at tier 0 the evaluator; `report` is the content id of its reasons. It can be challenged until
    /// `deadline`, unless it is the root's.
    event Ruled(
        RequestId indexed id, address indexed judge, uint8 indexed tier, Ruling ruling, bytes32 report, uint32 deadline
    );
    /// @notice `by` is content with the evaluator's ranking.
    event ResultAccepted(RequestId indexed id, address indexed by);
    /// @notice `by` disputes the ruling of `tier`; the judge of the next tier must rule until `deadline`.
    event Challenged(RequestId indexed id, address indexed by, uint8 indexed tier, uint32 deadline);
    /// @notice A tier was silent: the judge of `tier` must rule until `deadline`.
    event Climbed(RequestId indexed id, uint8 indexed tier, uint32 deadline);
    /// @notice Nobody can challenge any more; `ruled` is one more than the tier whose ruling stands, 0: none.
    event Finalized(RequestId indexed id, uint8 ruled);
    /// @notice It ended. What was paid, burned and returned says the vault's {IVault.Released} with the same id.
    event Settled(RequestId indexed id, Outcome indexed outcome);

    /// @notice `field` is `actual`; least and most are what it may be.
    error TermOutOfRange(bytes32 field, uint256 actual, uint256 least, uint256 most);
    /// @notice Not a compressed secp256k1 point.
    error InvalidKey(bytes key);
    /// @notice The schema's release is `newest`, not `named`.
    error WrongRelease(bytes32 named, bytes32 newest);
    /// @notice `node` is not the root of a tree of this schema.
    error NotRoot(address node);
    /// @notice The schema does not allow it, or has none such.
    error FunctionNotAllowed(RewardFunction rewardFunction, uint8 allowed);
    /// @notice Posted before.
    error RequestExists(RequestId id);
    /// @notice It is in another phase.
    error WrongPhase(RequestId id, Phase actual, Phase expected);
    /// @notice `caller` may not do this; `expected` may (zero: several others).
    error NotPermitted(address caller, address expected);
    /// @notice The request lists others.
    error NotListed(address node);
    /// @notice `node` is in the tree of `actual`.
    error ForeignTree(address node, address actual, address expected);
    /// @notice `node` would work, evaluate, judge or ask in one and the same matter.
    error OwnMatter(address node);
    /// @notice `evaluator` was first.
    error EvaluatorTaken(address evaluator);
    /// @notice As many accepted as the request takes.
    error NoPlaceLeft(uint256 workers);
    /// @notice `worker` stands otherwise to this request.
    error WrongWorkerStatus(address worker, WorkerStatus actual, WorkerStatus expected);
    /// @notice An empty commitment binds nobody.
    error EmptyCommitment();
    /// @notice This opens another commitment.
    error WrongOpening(bytes32 actual, bytes32 expected);
    /// @notice There are no test data, or they were revealed before.
    error NoTestData(RequestId id);
    /// @notice The path is another.
    error WrongPath(bytes32 actual, bytes32 expected);
    /// @notice The verdict has no order or scores, or the evaluator may not give it.
    error InvalidVerdict(Verdict verdict);
    /// @notice The order has `order` workers and `scores` scores.
    error LengthMismatch(uint256 order, uint256 scores);
    /// @notice The score at `place` is greater than the one before.
    error NotDescending(uint256 place);
    /// @notice `worker` is in it twice.
    error Duplicate(address worker);
    /// @notice The ruling that stands is another.
    error WrongRuling(bytes32 actual, bytes32 expected);
    /// @notice Not those that revealed, in the order in which they did.
    error WrongWorkers(uint256 actual, uint256 expected);
    /// @notice It accepted this ranking.
    error AlreadyAccepted(address by);

    /// @notice Where the money is.
    function vault() external view returns (IVault);

    /// @notice Who may evaluate, judge and work.
    function schemas() external view returns (ISchemas);

    /// @notice Least length of the windows for accepting and for steps, seconds.
    function minWindow() external view returns (uint32);

    /// @notice Greatest length of these windows, seconds.
    function maxWindow() external view returns (uint32);

    /// @notice The id of a request.
    function requestId(Request calldata request) external view returns (RequestId);

    /// @notice What is stored of a request.
    function requestState(RequestId id) external view returns (RequestState memory);

    /// @notice What can be done with a request now.
    function phaseOf(RequestId id) external view returns (Phase);

    /// @notice A worker's part in a request.
    function workerOf(RequestId id, address worker) external view returns (WorkerState memory);

    /// @notice The hash of what the judge of `tier` ruled; zero: nothing.
    function rulingOf(RequestId id, uint8 tier) external view returns (bytes32);

    /// @notice Who challenged the ruling of `tier`; zero: nobody.
    function challengerOf(RequestId id, uint8 tier) external view returns (address);

    /// @notice Under which id the vault keeps the deposit of who ruled in `tier`.
    function depositLock(RequestId id, uint8 tier) external pure returns (bytes32);

    /// @notice Under which id the vault keeps the fee of the challenge to the ruling of `tier`.
    function challengeLock(RequestId id, uint8 tier) external pure returns (bytes32);

    /// @notice What `worker` commits to before results are revealed.
    /// @param digest Content id of its result.
    /// @param salt 32 random bytes; without them a result of few possible values could be guessed.
    function resultCommitment(RequestId id, address worker, bytes32 digest, bytes32 salt)
        external
        view
        returns (bytes32);

    /// @notice What a requester commits to when it posts a request with test data.
    function testDataCommitment(address requester, bytes32 digest, bytes32 salt) external view returns (bytes32);

    /// @notice Posts a request and locks its rewards, the pot twice where there are test data.
    function requestJob(Request calldata request) external returns (RequestId id);

    /// @notice Accepts as a worker, or as the evaluator, which locks the deposit and fixes its judges. Who works in a request
    /// neither evaluates nor judges it.
    /// @param role {WORKER} or {EVALUATOR}.
    /// @param encryptionKey Compressed secp256k1 point that input and results are sealed for.
    function acceptJob(Request calldata request, uint8 role, bytes calldata encryptionKey) external;

    /// @notice Gives up before the start: by a worker that accepted. There is no way back.
    function resign(RequestId id) external;

    /// @notice Refuses a worker before the start, for good. By requester or delegate.
    function rejectWorker(Request calldata request, address worker) external;

    /// @notice Begins before the acceptance window has ended. By requester or delegate, once there are evaluator and workers.
    function start(Request calldata request) external;

    /// @notice Ends a request that too few accepted; everything returns. By anybody.
    function cancel(Request calldata request) external;

    /// @notice Tells where keys for participants are. By requester, delegate, evaluator or a worker.
    function grant(Request calldata request, bytes32 content) external;

    /// @notice Commits to an intermediate state: told, not stored. By a worker that computes.
    function submitCheckpoint(RequestId id, uint32 number, bytes32 commitment) external;

    /// @notice Commits to a result, once. By a worker that computes.
    /// @param commitment {resultCommitment}
    function submitResult(RequestId id, bytes32 commitment) external;

    /// @notice Reveals a result, once nobody can commit any more. By who committed to it.
    function revealResult(RequestId id, bytes32 digest, bytes32 salt) external;

    /// @notice Reveals the test data, once nobody can commit any more. By requester or delegate.
    function revealTestData(Request calldata request, bytes32 digest, bytes32 salt) external;

    /// @notice Ranks what was revealed. By the evaluator.
    /// @dev The evaluator may say `Withheld` instead: it must not lose its deposit for what it could not fetch.
    /// @param report Content id of its reasons.
    function rank(RequestId id, Ruling calldata ruling, bytes32 report) external;

    /// @notice Is content with the evaluator's ranking. By requester, delegate, or a worker that revealed. Once all of them
    /// are, it is final; until then the others keep the whole window.
    function acceptResult(Request calldata request) external;

    /// @notice Disputes the ruling that stands and locks the fee. By requester, delegate, a worker that revealed, the
    /// evaluator, or a judge that ruled before.
    function challenge(Request calldata request, address[] calldata path) external;

    /// @notice Rules on a challenge, or in place of a silent evaluator, and locks the deposit. By the judge of the tier. The
    /// same ruling again rejects the challenge. The root's ruling is final.
    function reevaluate(
        Request calldata request,
        address[] calldata path,
        Ruling calldata ruling,
        bytes32 report
    ) external;

    /// @notice Calls the next judge where one, or the evaluator, was silent; above the root the last ruling stands. By anybody.
    function climb(RequestId id) external;

    /// @notice Pays, returns and burns as the final ruling says. By anybody.
    /// @param path The admins above the evaluator; empty without one.
    /// @param ruling The one that stands; an empty one where there is none.
    /// @param revealed Where all that revealed share evenly: these, in the order in which they did; otherwise empty.
    function settle(
        Request calldata request,
        address[] calldata path,
        Ruling calldata ruling,
        address[] calldata revealed
    ) external;
}
