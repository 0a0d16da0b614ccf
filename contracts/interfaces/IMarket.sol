// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ClassId, IRegistry} from "./IRegistry.sol";
import {IVault} from "./IVault.sol";
import {Opening} from "../libraries/Commitment.sol";

/// @notice keccak256(abi.encode(chainId, market, Terms)): a job is its terms.
type JobId is bytes32;

/// @notice keccak256(abi.encode(chainId, market, Batch)): a batch is what was posted.
type BatchId is bytes32;

/// @notice What backs a job's results.
/// - None: no mode.
/// - Trusted: the node's name. The requester lists the nodes; they are paid on submission.
/// - Sampled: a random share of the tasks is run again by others and compared.
/// - Replicated: every task is.
enum Mode {
    None,
    Trusted,
    Sampled,
    Replicated
}

/// @notice How long each step may take, seconds.
/// @param claim From posting: slices can be claimed.
/// @param submit From a claim: its node must submit.
/// @param reveal From the seal: the seed must be shown.
/// @param check From the reveal, and from each later round: verifiers must answer.
/// @param judge After that: exceptions must be listed.
/// @param challenge From an exception: whom it concerns can challenge it before anybody is slashed. Also each step of a
/// dispute that takes no computing: answering, opening, appealing.
struct Windows {
    uint32 claim;
    uint32 submit;
    uint32 reveal;
    uint32 check;
    uint32 judge;
    uint32 challenge;
}

/// @notice What a requester offers, fixed for all batches of the job. Passed in calldata; only its hash is kept.
/// @param requester Who pays, and the only one who may post.
/// @param delegate A key that may judge and escalate for the requester; zero for none.
/// @param mode What backs the results.
/// @param adaptive One verifier first; the other seats are drawn only where it differs.
/// @param fullSlash A lone difference costs the whole lock, if the class agrees; else pay and a fine.
/// @param quorum Members of a full panel, the primary included: odd, 3 … 15.
/// @param rate Share of the tasks that is run again, parts per million.
/// @param guess Chance of guessing a task's result, parts per million: 500_000 for yes or no.
/// @param maxShare Most of a batch that one claim may take, parts per million.
/// @param minSlice Fewest tasks that one claim may take, unless fewer are left.
/// @param price For one task, base units. Pays for the job's resource cap, so the dearest task is covered.
/// @param verifierPrice For one task run again; at least `price`.
/// @param slashAmount What a member that differs loses at least.
/// @param class The kind of host that runs it.
/// @param spec Content id of the job specification: program, arguments, limits.
/// @param encryptionKey Compressed secp256k1 point that envelopes are sealed for.
/// @param windows How long each step may take.
/// @param allowed Mode Trusted: who may claim. Empty otherwise.
/// @param excluded Nodes that neither claim nor verify: at most a third of the class's.
struct Terms {
    address requester;
    address delegate;
    Mode mode;
    bool adaptive;
    bool fullSlash;
    uint8 quorum;
    uint32 rate;
    uint32 guess;
    uint32 maxShare;
    uint24 minSlice;
    uint96 price;
    uint96 verifierPrice;
    uint96 slashAmount;
    ClassId class;
    bytes32 spec;
    bytes encryptionKey;
    Windows windows;
    address[] allowed;
    address[] excluded;
}

/// @notice What was posted. Passed in calldata; only its hash is kept.
/// @param job The terms.
/// @param sequence How many batches of the job came before.
/// @param count Tasks, 1 … 2^24-1.
/// @param slots Places in the class's pool when it was posted: what verifiers are drawn from.
/// @param manifest Content id of the list of inputs.
/// @param seedCommitment What the requester's secret for this batch must hash to; see {Commitment.seed}.
struct Batch {
    JobId job;
    uint64 sequence;
    uint24 count;
    uint24 slots;
    bytes32 manifest;
    bytes32 seedCommitment;
}

/// @notice What a node submitted for its assignment. Only its hash is kept.
/// @param node The primary.
/// @param first Index of the assignment's first task in the batch.
/// @param count Tasks.
/// @param root Merkle root of the commitments, one leaf a task.
/// @param content keccak256(abi.encode(manifest, keccak256(envelope))): what was published with it.
struct Submission {
    address node;
    uint24 first;
    uint24 count;
    bytes32 root;
    bytes32 content;
}

/// @notice What a verifier answered from its seat. Only its hash is kept.
struct Answer {
    address node;
    bytes32 root;
    bytes32 content;
}

/// @notice Which seat of which panel.
/// @param assignment Index in the batch.
/// @param round 0 for the first draw; later ones by escalation or redraw.
/// @param seat Place in the round's draw.
struct SeatId {
    uint16 assignment;
    uint8 round;
    uint8 seat;
}

/// @notice What a requester says is wrong with an assignment.
/// - None: nothing.
/// - PrimaryDiffers: the primary's digest is not the others'.
/// - SeatDiffers: the verifier's at `round`, `seat` is not.
/// - NoMajority: no digest has a majority of the quorum.
enum Verdict {
    None,
    PrimaryDiffers,
    SeatDiffers,
    NoMajority
}

/// @notice An accusation. It stands if nobody challenges it in time. One for each member that differs.
/// @param assignment Index in the batch.
/// @param verdict What is wrong.
/// @param witness The sampled task that shows it: the same in all exceptions of an assignment.
/// @param round Of the seat that differs; 0 otherwise.
/// @param seat That differs; 0 otherwise.
/// @param submission What the primary submitted.
struct Exception {
    uint16 assignment;
    Verdict verdict;
    uint24 witness;
    uint8 round;
    uint8 seat;
    Submission submission;
}

/// @notice The whole panel of an assignment: what settles it, and what every step of a dispute is about. Member 0 is the
/// primary, member i+1 gave the i-th answer.
/// @param assignment Index in the batch.
/// @param submission What the primary submitted.
/// @param answers What the verifiers answered, by round and seat, silent seats left out.
struct Settlement {
    uint16 assignment;
    Submission submission;
    Answer[] answers;
}

/// @notice How an assignment ended.
/// - None: it has not.
/// - Paid: the primary and whoever verified are paid.
/// - PrimarySlashed: the primary differed, maybe a verifier too: slashed, unpaid; the others are paid.
/// - SeatSlashed: one or more verifiers differed: slashed, unpaid; the others are paid.
/// - NoMajority: returned to the requester, nobody slashed.
/// - Exhausted: not enough verifiers answered and no more can be drawn: the primary's pay is returned.
/// - Forced: as Paid, because the requester was silent or accused falsely.
/// - Forfeited: the primary did not answer or open when called, or delivered nothing: unpaid, not slashed.
enum Outcome {
    None,
    Paid,
    PrimarySlashed,
    SeatSlashed,
    NoMajority,
    Exhausted,
    Forced,
    Forfeited
}

/// @notice What a dispute is about.
/// - None: there is none.
/// - Exception: the requester's exception, challenged by a member.
/// - Silence: the requester did not judge; the members are compared on one sampled task.
/// - Work: the requester contests the primary's result of any task, sampled or not.
/// - Delivery: the requester contests that a member's content can be fetched and read.
enum Matter {
    None,
    Exception,
    Silence,
    Work,
    Delivery
}

/// @notice Which step of a dispute is due.
/// - None: there is no dispute.
/// - Answering: the accused of a contest says that it stands by what it did.
/// - Opening: members open their commitments to the task.
/// - Ruled: whoever disagrees may appeal; then it can be concluded.
/// - Casting: jurors run the task and cast sealed ballots.
/// - Showing: jurors open their ballots; in matter Work members open too.
enum Stage {
    None,
    Answering,
    Opening,
    Ruled,
    Casting,
    Showing
}

/// @notice What is stored of a dispute, in one slot. An assignment has one at most.
/// @param matter What it is about.
/// @param stage Which step is due.
/// @param tier Juries called so far: 0 … 2.
/// @param member The accused of a Delivery contest; 0, the primary, otherwise.
/// @param task That everything is about; index in the batch. 0 for Delivery.
/// @param deadline End of the step, seconds.
/// @param opened Members that opened: bit i for member i.
/// @param pot Whether the fixed part of the requester's bond pays the members that opened.
struct Dispute {
    Matter matter;
    Stage stage;
    uint8 tier;
    uint8 member;
    uint24 task;
    uint32 deadline;
    uint64 opened;
    bool pot;
}

/// @notice What is stored of one jury.
/// @param appellant Who called for it, and pays it if that changes nothing.
/// @param bond What the appellant put up for it, base units; 0 if its lock in the assignment stands for it.
/// @param seats Found when it was drawn; before that, how many were called.
/// @param entropyBlock Whose hash decides the draw.
/// @param call 0 the first draw, 1 that of the seats that stayed empty.
/// @param convened Whether this call was drawn.
struct Jury {
    address appellant;
    uint96 bond;
    uint8 seats;
    uint32 entropyBlock;
    uint8 call;
    bool convened;
}

/// @notice Who sits in a seat of a jury.
/// @param node The juror.
/// @param cast Whether it has cast its ballot.
/// @param shown Whether it has opened it.
struct Juror {
    address node;
    bool cast;
    bool shown;
}

/// @dev Delivery ballots: what was owed arrived.
bytes32 constant DELIVERED = bytes32(uint256(1));
/// @dev Delivery ballots: it did not.
bytes32 constant UNDELIVERED = bytes32(uint256(2));
/// @dev Juries that a dispute can have; the second is twice the first and final.
uint8 constant MAX_TIER = 2;

/// @notice What is stored of a batch, in one slot. Status is derived from it and the clock.
/// @param postedAt Seconds.
/// @param sealedAt Seconds; 0 before the seal.
/// @param revealedAt Seconds; 0 before the reveal.
/// @param sealBlock Number of the block of the seal.
/// @param next Index of the first task never claimed.
/// @param unsubmitted Tasks not submitted.
/// @param slices Assignments made.
/// @param pending Assignments claimed and neither submitted nor void.
/// @param open Assignments neither settled nor void.
/// @param judged The requester has listed all its exceptions.
/// @param bondBurned The fixed part of the bond is gone: the requester was silent.
/// @param rebid The price was changed, which can happen once.
/// @param captured The entropy block's hash is stored.
struct BatchState {
    uint32 postedAt;
    uint32 sealedAt;
    uint32 revealedAt;
    uint32 sealBlock;
    uint24 next;
    uint24 unsubmitted;
    uint16 slices;
    uint16 pending;
    uint16 open;
    bool judged;
    bool bondBurned;
    bool rebid;
    bool captured;
}

/// @notice What is stored of a panel, in one slot: zeros unless something went beyond the first draw.
/// @param rounds Rounds after round 0.
/// @param escalated The requester called for the full quorum.
/// @param verdict An exception that stands for now: the latest listed.
/// @param accused Which members differ: bit 0 the primary, bit i+1 the i-th answer by round and seat.
/// @param witness Sampled task that shows the latest.
/// @param raisedAt When the latest exception was listed, seconds.
struct PanelState {
    uint8 rounds;
    bool escalated;
    Verdict verdict;
    uint64 accused;
    uint24 witness;
    uint32 raisedAt;
}

/// @notice A later round of a panel.
/// @param seats Drawn in it.
/// @param openedAt Seconds.
/// @param entropyBlock Whose hash decides the draw.
struct Round {
    uint8 seats;
    uint32 openedAt;
    uint32 entropyBlock;
}

/// @notice Fixed at deployment.
/// @param minWindow Least length of any window, seconds.
/// @param maxWindow Greatest length of any window, seconds.
/// @param finalDepth Blocks after which the chain does not change its mind: d.
/// @param drawDelay Seconds that `finalDepth` blocks take at most, added to the windows of later rounds.
/// @param bondFixed Part of the requester's bond for each open batch, base units; burned for silence.
/// @param bondShare Further part, in proportion to the escrow, parts per million.
/// @param challengeBond What a challenge puts at stake, base units; bounds `slashAmount` from below.
struct Parameters {
    uint32 minWindow;
    uint32 maxWindow;
    uint32 finalDepth;
    uint32 drawDelay;
    uint96 bondFixed;
    uint32 bondShare;
    uint96 challengeBond;
}

/// @dev Parts per million of a slash that go to the members that were right.
uint256 constant HONEST_SHARE = 100_000;
/// @dev Times the gain of one cheat that the expected slash must reach: lambda.
uint256 constant SLASH_FACTOR = 2;
/// @dev Parts per million of an assignment's price that abandoning it costs.
uint256 constant ABANDON_FINE = 100_000;
/// @dev Parts per million of a seat's pay that not answering in time costs.
uint256 constant ABSENT_FINE = 500_000;
/// @dev Parts per million of the accused's pay that a contest costs which the requester loses, so that contesting those
/// that sleep does not pay while fewer than one in eleven do.
uint256 constant CONTEST_FINE = 100_000;
/// @dev Parts per million of a member's lock that a difference costs where it is not proof of a lie.
uint256 constant DIFFERENCE_FINE = 100_000;
/// @dev Rounds after round 0 that a panel can have.
uint8 constant MAX_ROUNDS = 4;
/// @dev Most seats in one round.
uint256 constant MAX_SEATS = 32;
/// @dev Greatest quorum.
uint8 constant MAX_QUORUM = 15;
/// @dev Most addresses in a list of nodes.
uint256 constant MAX_LISTED = 64;

/// @title What a market tells and refuses
interface IMarketEvents {
    /// @notice Terms used for the first time.
    event JobOpened(JobId indexed job, address indexed requester, Terms terms);
    /// @notice A batch can be claimed until `batch posting time + windows.claim`.
    event BatchPosted(BatchId indexed id, JobId indexed job, Batch batch, uint96 escrow, uint96 bond);
    /// @notice The price of a still unclaimed batch changed.
    event BatchRebid(BatchId indexed id, uint96 price);
    /// @notice `node` must submit tasks `first` … `first+count-1` by `deadline`.
    event Claimed(
        BatchId indexed id, uint16 indexed assignment, address indexed node, uint24 first, uint24 count, uint32 deadline
    );
    /// @notice `node` did not submit in time and was fined.
    event Voided(BatchId indexed id, uint16 indexed assignment, address indexed node, uint96 fined);
    /// @notice A node committed to its results.
    event Submitted(
        BatchId indexed id,
        uint16 indexed assignment,
        address indexed node,
        bytes32 root,
        bytes32 manifest,
        bytes envelope
    );
    /// @notice Nothing more can be submitted; the hash of block `entropyBlock` decides what is sampled.
    event Sealed(BatchId indexed id, uint32 entropyBlock);
    /// @notice The entropy block's hash was stored.
    event EntropyCaptured(BatchId indexed id, bytes32 blockHash);
    /// @notice The seed is public; `entropy` decides what is sampled and who verifies.
    event Revealed(BatchId indexed id, bytes32 seed, bytes32 entropy);
    /// @notice A verifier committed to its results.
    event Answered(
        BatchId indexed id,
        uint16 indexed assignment,
        address indexed node,
        uint8 round,
        uint8 seat,
        bytes32 root,
        bytes32 manifest,
        bytes envelope
    );
    /// @notice A later round of a panel begins; the hash of block `entropyBlock` decides its draw.
    event RoundOpened(
        BatchId indexed id, uint16 indexed assignment, uint8 round, uint8 seats, uint32 entropyBlock, bool escalation
    );
    /// @notice The hash that decides a later round's draw was stored.
    event RoundCaptured(BatchId indexed id, uint16 indexed assignment, uint8 round, bytes32 blockHash);
    /// @notice A drawn verifier did not answer in time.
    event Absent(
        BatchId indexed id, uint16 indexed assignment, address indexed node, uint8 round, uint8 seat, uint96 fined
    );
    /// @notice The requester accuses; it stands unless challenged within the job's challenge window.
    event Excepted(
        BatchId indexed id, uint16 indexed assignment, Verdict verdict, uint24 witness, address accused
    );
    /// @notice The requester has listed all its exceptions.
    event Judged(BatchId indexed id);
    /// @notice The requester was silent: the fixed part of its bond is burned.
    event BondBurned(BatchId indexed id, uint96 amount);
    /// @notice A dispute began. `by` is the challenger, whoever called the panel, or the requester.
    event Disputed(
        BatchId indexed id,
        uint16 indexed assignment,
        Matter matter,
        address by,
        uint24 task,
        uint8 member,
        uint32 deadline
    );
    /// @notice The accused of a contest stands by its work. For a Delivery `evidence` is the envelope's plaintext and the
    /// ephemeral seed it was sealed with.
    event ContestAnswered(BatchId indexed id, uint16 indexed assignment, address node, bytes evidence);
    /// @notice Member `member` committed to `digest` for the dispute's task.
    event Opened(BatchId indexed id, uint16 indexed assignment, uint8 member, bytes32 digest);
    /// @notice `digest` is right until appealed; 0 if there was no majority. `deadline` 0: it is final.
    event Ruled(BatchId indexed id, uint16 indexed assignment, uint8 tier, bytes32 digest, uint32 deadline);
    /// @notice A jury is called; the hash of block `entropyBlock` decides its draw. `call` 1: for seats that stayed empty.
    event JuryCalled(
        BatchId indexed id,
        uint16 indexed assignment,
        uint8 tier,
        uint8 call,
        address appellant,
        uint8 seats,
        uint32 entropyBlock,
        uint32 deadline
    );
    /// @notice A call's draw is done: the jury has `seats` in all, fewer than were called if the pool had no more.
    event JuryConvened(BatchId indexed id, uint16 indexed assignment, uint8 tier, uint8 call, uint8 seats);
    /// @notice `node` sits in `seat` of a jury.
    event JurorSeated(BatchId indexed id, uint16 indexed assignment, address indexed node, uint8 tier, uint8 seat);
    /// @notice A juror committed to its result.
    event BallotCast(BatchId indexed id, uint16 indexed assignment, address indexed node, uint8 tier, uint8 seat);
    /// @notice Ballots can be opened until `deadline`.
    event BallotsClosed(BatchId indexed id, uint16 indexed assignment, uint8 tier, uint32 deadline);
    /// @notice A juror's result is `digest`, which follows from `value`.
    event BallotOpened(
        BatchId indexed id,
        uint16 indexed assignment,
        address indexed node,
        uint8 tier,
        uint8 seat,
        bytes32 value,
        bytes32 digest
    );
    /// @notice Somebody knew a juror's ballot while it was secret: it counts no more, and `reward` of its stake is gone.
    event BallotExposed(
        BatchId indexed id, uint16 indexed assignment, address indexed node, uint8 tier, uint8 seat, address by, uint96 reward
    );
    /// @notice A member did not open, or a juror did not cast or open, in time.
    event Missed(BatchId indexed id, uint16 indexed assignment, address indexed node, uint96 fined);
    /// @notice The requester accused falsely: `amount` of its bond is gone.
    event FalselyAccused(BatchId indexed id, uint16 indexed assignment, uint96 amount);
    /// @notice An assignment ended. `paid` went to its members, `penalty` was taken from those in `accused`, whose bits
    /// are those of {PanelState}.
    event Settled(
        BatchId indexed id, uint16 indexed assignment, Outcome outcome, uint96 paid, uint64 accused, uint96 penalty
    );
    /// @notice Nothing of the batch is open; what was left went back to the requester.
    event BatchClosed(BatchId indexed id);

    /// @notice Only `expected` may do this.
    error NotPermitted(address caller, address expected);
    /// @notice The terms hash to `actual`, the batch names `expected`.
    error WrongTerms(JobId actual, JobId expected);
    /// @notice No open batch has this id.
    error UnknownBatch(BatchId id);
    /// @notice Nothing open has this index.
    error UnknownAssignment(BatchId id, uint16 assignment);
    /// @notice A field of the terms is `actual`; it must be within `least` … `most`.
    error TermOutOfRange(bytes32 field, uint256 actual, uint256 least, uint256 most);
    /// @notice The encryption key must be a compressed point of 33 bytes.
    error InvalidKey(bytes key);
    /// @notice `class` has `nodes` nodes that can be drawn; the job needs `required`.
    error ClassTooSmall(ClassId class, uint256 nodes, uint256 required);
    /// @notice The clock of this step ended at `deadline`; it is `actual`, seconds.
    error TooLate(uint256 actual, uint256 deadline);
    /// @notice This step begins after `from`; it is `actual`, seconds (or blocks, for entropy).
    error TooEarly(uint256 actual, uint256 from);
    /// @notice The batch's price is `actual`, not at least `expected`.
    error PriceTooLow(uint96 actual, uint96 expected);
    /// @notice The price was changed already, or slices were claimed.
    error CannotRebid(BatchId id);
    /// @notice A slice of `actual` tasks; it must be within `least` … `most`.
    error SliceOutOfRange(uint256 actual, uint256 least, uint256 most);
    /// @notice Every task is claimed.
    error NothingLeft(BatchId id);
    /// @notice The assignment is in status `actual`, not `expected`.
    error WrongStatus(BatchId id, uint16 assignment, uint8 actual, uint8 expected);
    /// @notice The record hashes to something else than what is stored.
    error WrongRecord(BatchId id, uint16 assignment);
    /// @notice The batch is sealed already.
    error AlreadySealed(BatchId id);
    /// @notice `pending` assignments can still be submitted.
    error StillPending(BatchId id, uint16 pending);
    /// @notice The batch is not sealed.
    error NotSealed(BatchId id);
    /// @notice The seed was revealed already.
    error AlreadyRevealed(BatchId id);
    /// @notice The seed was not revealed.
    error NotRevealed(BatchId id);
    /// @notice The seed hashes to `actual`, not `expected`.
    error WrongSeed(bytes32 actual, bytes32 expected);
    /// @notice The chain no longer tells the hash of `blockNumber`.
    error EntropyLost(uint256 blockNumber);
    /// @notice The entropy was captured already.
    error AlreadyCaptured(BatchId id);
    /// @notice Nothing of this assignment is sampled.
    error NotSampled(BatchId id, uint16 assignment);
    /// @notice `task` is not among the sampled tasks.
    error NotASampledTask(BatchId id, uint16 assignment, uint24 task);
    /// @notice The panel has no such round or seat.
    error NoSuchSeat(uint16 assignment, uint8 round, uint8 seat);
    /// @notice `drawn` holds the seat, not `caller`.
    error SeatOfAnother(address drawn, address caller);
    /// @notice The seat has answered.
    error AlreadyAnswered(uint16 assignment, uint8 round, uint8 seat);
    /// @notice The seat has not answered.
    error NotAnswered(uint16 assignment, uint8 round, uint8 seat);
    /// @notice As many as the panel needs have answered, or it was judged.
    error PanelClosed(uint16 assignment);
    /// @notice `answered` verifiers have answered, `needed` must have.
    error PanelOpen(uint16 assignment, uint256 answered, uint256 needed);
    /// @notice The panel was escalated already, or its quorum is fixed.
    error CannotEscalate(uint16 assignment);
    /// @notice The panel had all its rounds.
    error NoMoreRounds(uint16 assignment, uint8 rounds);
    /// @notice No further node can be drawn: settle it as it is.
    error PoolExhausted(uint16 assignment);
    /// @notice An exception against this member, or that there is no majority, was listed already.
    error AlreadyExcepted(uint16 assignment);
    /// @notice The requester said it had listed all its exceptions.
    error AlreadyJudged(BatchId id);
    /// @notice An exception names a verdict that is not one.
    error InvalidVerdict(uint16 assignment);
    /// @notice The exception names another task than the first one of this assignment, `witness`.
    error WitnessDiffers(uint16 assignment, uint24 witness);
    /// @notice The assignment was disputed already.
    error AlreadyDisputed(uint16 assignment);
    /// @notice There is no exception or dispute of this assignment.
    error NotDisputed(uint16 assignment);
    /// @notice The dispute is at `actual`; this belongs to `expected`.
    error WrongStage(uint16 assignment, Stage actual, Stage expected);
    /// @notice No such matter can be contested.
    error InvalidMatter(Matter matter);
    /// @notice The panel has no member of this number.
    error NoSuchMember(uint16 assignment, uint8 member);
    /// @notice The member has opened.
    error AlreadyOpened(uint16 assignment, uint8 member);
    /// @notice The opening is not of task `task`, or not under what the member committed to.
    error WrongOpening(uint16 assignment, uint8 member, uint24 task);
    /// @notice Nobody can appeal further.
    error Final(uint16 assignment);
    /// @notice The jury's seats are drawn already.
    error AlreadyConvened(uint16 assignment);
    /// @notice The ballot is empty, cast already, or not what was cast.
    error WrongBallot(uint16 assignment, uint8 seat);
    /// @notice A second half of this market was deployed for another vault or registry, or with other parameters.
    error ForeignHalf(address half);
    /// @notice The answers passed are not those given.
    error WrongAnswers(uint16 assignment);
}

/// @title What both halves of a market answer
interface IMarketBase is IMarketEvents {
    /// @notice Where the money is.
    function vault() external view returns (IVault);

    /// @notice Where stakes and pools are.
    function registry() external view returns (IRegistry);

    /// @notice What was fixed at deployment.
    function parameters() external view returns (Parameters memory);

    /// @notice How many batches of a job were posted.
    function batchesOf(JobId job) external view returns (uint64);

    /// @notice The id of a job.
    function jobId(Terms calldata terms) external view returns (JobId);

    /// @notice The id of a batch.
    function batchId(Batch calldata batch) external view returns (BatchId);
}

/// @title Batches: from posting to settlement
interface IBatches is IMarketBase {
    /// @notice What a post of `count` tasks locks: the pay and verification budget, and the bond.
    function quote(Terms calldata terms, uint24 count) external view returns (uint96 escrow, uint96 bond);

    /// @notice Posts a batch. The requester's available money in the market's ledger must cover {quote}.
    /// @param seedCommitment {Commitment.seed} of a secret used for this sequence number only.
    function post(Terms calldata terms, uint24 count, bytes32 manifest, bytes32 seedCommitment)
        external
        returns (BatchId id);

    /// @notice Claims the next `count` tasks.
    /// @param slot The caller's slot in the job's class.
    /// @param minPrice The least price the caller works for: a price lowered in between is refused.
    function claim(Terms calldata terms, Batch calldata batch, uint24 slot, uint24 count, uint96 minPrice)
        external
        returns (uint16 assignment);

    /// @notice Claims the slice of an assignment that is void, or whose deadline has passed.
    function reclaim(Terms calldata terms, Batch calldata batch, uint24 slot, uint16 assignment, uint96 minPrice)
        external;

    /// @notice Commits to the results of an assignment. Seals the batch if it was the last.
    /// @param root Merkle root of the commitments, one leaf a task.
    /// @param manifest Content id of the encrypted manifest.
    /// @param envelope Sealed for the requester: what opens the manifest.
    function submit(BatchId id, uint16 assignment, bytes32 root, bytes32 manifest, bytes calldata envelope) external;

    /// @notice Voids an assignment whose deadline has passed and fines its node. Anybody may.
    function expire(Terms calldata terms, Batch calldata batch, uint16 assignment) external;

    /// @notice Seals a batch whose claim window has passed and that has nothing pending; closes it if nothing is open.
    /// Anybody may.
    function seal(Terms calldata terms, Batch calldata batch) external;

    /// @notice Stores the hash of the entropy block while the chain still tells it. Anybody may.
    function capture(BatchId id) external;

    /// @notice Shows the seed. Anybody who has it may.
    function reveal(Terms calldata terms, Batch calldata batch, bytes32 seed) external;

    /// @notice Settles assignments. Requester or delegate as soon as their panels are complete; anybody once the batch is
    /// judged or the judging is overdue; an excepted one once its challenge window has passed.
    function settle(Terms calldata terms, Batch calldata batch, Settlement[] calldata settlements) external;

    /// @notice {reveal} and {settle} in one, for the requester only: it gives up excepting what it settles.
    function revealAndSettle(
        Terms calldata terms,
        Batch calldata batch,
        bytes32 seed,
        Settlement[] calldata settlements
    ) external;
}

/// @title Panels: running again, and judging; and what is stored
interface IPanels is IMarketBase {
    /// @notice What is stored of a batch; zeros if it is not open.
    function batchState(BatchId id) external view returns (BatchState memory);

    /// @notice E of a revealed batch; the captured block hash before that.
    function entropyOf(BatchId id) external view returns (bytes32);

    /// @notice What is stored of a panel.
    function panelState(BatchId id, uint16 assignment) external view returns (PanelState memory);

    /// @notice A later round of a panel, and the hash that decides its draw if it was stored.
    function roundOf(BatchId id, uint16 assignment, uint8 round) external view returns (Round memory, bytes32 blockHash);

    /// @notice The nodes drawn for a round, in seat order.
    function drawnFor(Terms calldata terms, Batch calldata batch, SeatId calldata seat, address primary)
        external
        view
        returns (address[] memory);

    /// @notice Changes the price of a batch nobody claimed of, once.
    function rebid(Terms calldata terms, Batch calldata batch, uint96 price) external;

    /// @notice Answers from a seat: commits to the results of the sampled tasks, without knowing the others'.
    function answer(
        Terms calldata terms,
        Batch calldata batch,
        SeatId calldata seat,
        Submission calldata submission,
        bytes32 root,
        bytes32 manifest,
        bytes calldata envelope
    ) external;

    /// @notice Calls for the full quorum where the first verifier differs. Requester or delegate, before judging ends.
    function escalate(Terms calldata terms, Batch calldata batch, uint16 assignment, Submission calldata submission)
        external;

    /// @notice Opens another round of twice as many seats where too few answered in time, and fines who did not.
    /// Anybody may while the panel has no quorum; requester or delegate may until it is full.
    function redraw(Terms calldata terms, Batch calldata batch, uint16 assignment, Submission calldata submission)
        external;

    /// @notice Lists exceptions, in as many calls as it takes; `last` ends the judging. Requester or delegate.
    function judge(Terms calldata terms, Batch calldata batch, Exception[] calldata exceptions, bool last) external;
}

/// @title Disputes: whoever disagrees with an exception, a silence or a result; see docs/protocol.md
/// @notice A dispute is about one task of one assignment, and its ruling is a digest: who committed to another one
/// differs. An assignment has one dispute at most. Every call takes the whole panel and checks it against what is stored.
/// Nobody is slashed before {IVerdicts.conclude}, and that comes only when nobody can appeal any more.
interface IDisputes is IMarketBase {
    /// @notice What is stored of a dispute; zeros if there is none.
    function disputeOf(BatchId id, uint16 assignment) external view returns (Dispute memory);

    /// @notice The digest that members (tier 0) or a jury (1, 2) agreed on; 0 for no majority, or not yet.
    function rulingOf(BatchId id, uint16 assignment, uint8 tier) external view returns (bytes32);

    /// @notice The digest that a member opened; 0 before.
    function openedBy(BatchId id, uint16 assignment, uint8 member) external view returns (bytes32);

    /// @notice A jury and who sits on it, in seat order; empty before it is drawn.
    function juryOf(BatchId id, uint16 assignment, uint8 tier) external view returns (Jury memory, Juror[] memory);

    /// @notice What backs an exception against an assignment of `count` tasks at `price`: in all, and how much of it is
    /// locked when the first is listed, beyond the batch's bond.
    function reserve(Terms calldata terms, uint96 price, uint24 count)
        external
        view
        returns (uint96 amount, uint96 beyondBond);

    /// @notice A member calls on the panel to open the witness task. Until the exception's challenge window ends. Who is
    /// accused needs no bond; anybody else on the panel puts up the challenge bond out of its stake.
    function challenge(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external;

    /// @notice Calls on the panel to open where the requester did not judge. Anybody may, during one challenge window after
    /// the judging is overdue; nobody is forced to be paid before that has passed.
    function callPanel(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external;

    /// @notice The requester contests the primary's result of `task` (Work), or that `member` delivered (Delivery), before
    /// the judging ends. Locks a jury, the challenge bond and {CONTEST_FINE} of the accused's pay out of its available money.
    function contest(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        Matter matter,
        uint24 task,
        uint8 member
    ) external;

    /// @notice The accused of a contest stands by its work, which calls the jury. Its silence costs it its pay.
    /// @param evidence Delivery: plaintext of the envelope and the seed of its ephemeral key. Empty for Work.
    function answerContest(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        bytes calldata evidence
    ) external;

    /// @notice Shows what a member committed to for the dispute's task. Anybody who knows it may.
    function open(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        uint8 member,
        Opening calldata opening,
        bytes32[] calldata proof
    ) external;

    /// @notice Calls for a jury: of 2q+1, and once more of twice as many. Anybody with stake may, and the requester; the
    /// bond is what the jury costs. A member that would be slashed needs none for the first.
    function appeal(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external;
}

/// @title Juries: fresh nodes that decide what a panel could not, or what somebody does not believe; see {IDisputes}
interface IJuries is IMarketBase {
    /// @notice Ends a step whose deadline has passed or in which everybody has done its part. Anybody may.
    function rule(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external;

    /// @notice Draws the jury once its entropy is known. Anybody may.
    function convene(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external;

    /// @notice A juror commits to its result: {Commitment.ballot} of it.
    function castBallot(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        uint8 seat,
        bytes32 ballot
    ) external;

    /// @notice Opens a ballot. Anybody who knows it may.
    /// @param value The task's output root; for a Delivery {DELIVERED} or {UNDELIVERED}.
    function openBallot(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        uint8 seat,
        bytes32 value,
        bytes32 salt
    ) external;

    /// @notice Shows another's ballot while it should be secret, and takes {HONEST_SHARE} of its lock for that.
    function exposeBallot(
        Terms calldata terms,
        Batch calldata batch,
        Settlement calldata panel,
        uint8 seat,
        bytes32 value,
        bytes32 salt
    ) external;
}

/// @title Verdicts: the end of an excepted or disputed assignment; see {IDisputes}
interface IVerdicts is IMarketBase {
    /// @notice Settles an excepted or disputed assignment once nobody can challenge or appeal any more. Anybody may.
    function conclude(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external;
}

/// @title Market: batches of tasks, from posting to settlement, in the modes Trusted, Sampled and Replicated
/// @notice A batch is posted with its escrow, claimed in slices, submitted as commitments, sealed, and only then does
/// the requester's secret together with a later block's hash decide what is run again and by whom. The requester
/// compares and lists exceptions; who is silent loses.
/// @dev Terms, batch, submissions and answers come in calldata and are checked against stored hashes. No owner, no
/// proxy. Trusts {IVault} and {IRegistry} of its deployment, and block hashes: who produces the entropy block and is
/// also the requester can withhold that block to draw again.
interface IMarket is IBatches, IPanels, IDisputes, IJuries, IVerdicts {}
