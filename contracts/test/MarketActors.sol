// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Answer,
    Batch,
    BatchId,
    BatchState,
    Exception,
    IMarket,
    JobId,
    Mode,
    PanelState,
    Parameters,
    SeatId,
    Settlement,
    Submission,
    Terms,
    Verdict,
    Windows
} from "../interfaces/IMarket.sol";
import {Class, ClassId, FOREVER, NodeState, Runtime, Slot} from "../interfaces/IRegistry.sol";
import {Lock} from "../interfaces/IVault.sol";
import {Commitment} from "../libraries/Commitment.sol";
import {PPM, Sampling} from "../libraries/Sampling.sol";
import {Market} from "../Market.sol";
import {MarketDisputes} from "../MarketDisputes.sol";
import {MarketJuries} from "../MarketJuries.sol";
import {MarketPanels} from "../MarketPanels.sol";
import {MarketVerdicts} from "../MarketVerdicts.sol";
import {Registry} from "../Registry.sol";
import {SuretyToken} from "../SuretyToken.sol";
import {Vault} from "../Vault.sol";
import {vm, within} from "./Vm.sol";

uint32 constant WINDOW = 600;
uint32 constant CLAIM_WINDOW = 1_200;
uint48 constant ACTIVATION = 300;
uint96 constant BOND_FIXED = 5_000;
uint256 constant NODES = 12;

/// @notice A slice as these tests remember it.
struct Slice {
    address node;
    uint24 first;
    uint24 count;
    uint8 status;
    uint16 settled;
}

/// @notice A batch as these tests remember it.
struct Life {
    BatchId id;
    Terms terms;
    Batch batch;
    bytes32 seed;
    uint96 price;
    uint256 locked;
    bool revealed;
    bool closed;
}

uint8 constant CLAIMED = 1;
uint8 constant SUBMITTED = 2;
uint8 constant VOID = 3;
uint8 constant SETTLED = 4;

/// @title MarketActors: requesters and nodes, honest and hostile, that do anything in any order
/// @notice Every external function that changes something is a move; none may revert. What must never happen is checked
/// where it would happen, and by the numbered views that {MarketInvariantsTest} asserts after every move.
contract MarketActors {
    Vault public immutable vault;
    Registry public immutable registry;
    IMarket public immutable market;
    SuretyToken public immutable token;
    ClassId public immutable class;

    address[] private nodes;
    address[2] private requesters = [address(0xA11CE), address(0xB0B)];
    address private constant STRANGER = address(0x57);
    address private constant DELEGATE = address(0xDE1E);

    Life[] private lives;
    mapping(uint256 life => Slice[]) private slices;
    mapping(uint256 life => mapping(uint16 assignment => Submission)) private submissions;
    mapping(uint256 life => mapping(uint16 assignment => mapping(uint256 seat => Answer))) private answers;
    mapping(uint256 life => mapping(uint16 assignment => uint256 count)) private answered;

    /// @notice How often each kind of end was reached, to tell a run that works from one in which every move fails.
    mapping(uint256 verdict => uint256 count) public reached;
    uint256 public forced;
    uint256 public redrawn;
    uint256 public closed;
    uint256 public moves;
    uint256 private now_ = 1_800_000_000;
    uint256 private block_ = 1_000;

    constructor() {
        vm.warp(now_);
        vm.roll(block_);
        token = new SuretyToken(address(this), 1e30);
        vault = new Vault(token);
        registry = new Registry(vault, 50_000, ACTIVATION, 23 * WINDOW * 2 + 8 * 60);
        Parameters memory parameters = Parameters(60, CLAIM_WINDOW, 4, 60, BOND_FIXED, 50_000, 600);
        MarketJuries juries =
            new MarketJuries(vault, registry, parameters, new MarketVerdicts(vault, registry, parameters));
        MarketDisputes disputes = new MarketDisputes(vault, registry, parameters, juries);
        MarketPanels panels = new MarketPanels(vault, registry, parameters, disputes);
        market = IMarket(address(new Market(vault, registry, parameters, panels)));
        class = registry.createClass(Class(address(market), Runtime.Wasm, true, 40_000, 10, 0));
        token.approve(address(vault), type(uint256).max);
        for (uint256 i; i < 2; ++i) {
            vault.deposit(address(market), requesters[i], 1_000_000);
        }
        for (uint24 i; i < NODES; ++i) {
            address node = address(uint160(0xC0DE00 + i));
            nodes.push(node);
            vault.deposit(address(registry), node, 400_000);
            vm.prank(node);
            registry.stake(address(market), 300_000);
            vm.prank(node);
            registry.joinPool(address(market), class, i);
        }
        _advance(ACTIVATION, 10);
    }

    // --- Moves -------------------------------------------------------------------------------------------------------

    function post(uint256 dice) public {
        dice = _thrown(dice);
        if (lives.length - closed >= 3) return submit(dice);
        address requester = requesters[dice % 2];
        Terms memory terms = _terms(requester, dice >> 8);
        uint24 count = uint24(1 + (dice >> 40) % 40);
        bytes32 seed = keccak256(abi.encode("seed", lives.length));
        JobId job = market.jobId(terms);
        uint64 sequence = market.batchesOf(job);
        bytes32 commitment = Commitment.seed(address(market), JobId.unwrap(job), sequence, seed);
        uint256 before = vault.available(address(market), requester);
        uint24 slots = registry.classState(address(market), class).slots;
        vm.prank(requester);
        try market.post(terms, count, 0, commitment) returns (BatchId id) {
            Life storage life = lives.push();
            life.id = id;
            life.terms = terms;
            life.batch = Batch(job, sequence, count, slots, 0, commitment);
            life.seed = seed;
            life.price = terms.price;
            life.locked = before - vault.available(address(market), requester);
        } catch {
            return;
        }
        for (uint256 i; i < (dice >> 64) % 4; ++i) {
            claim(uint256(keccak256(abi.encode(dice, i))));
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
            if (state.pending != 0) return _submit(l, dice);
            return finishComputing(dice);
        }
        _advance(1, 5);
        if (!lives[l].revealed && dice % 8 != 0) return _reveal(l, lives[l].terms.requester, lives[l].seed);
        uint256 kind = (dice >> 8) % 8;
        if (kind < 4) return _answer(l, dice);
        if (kind == 4) return _judge(l, dice);
        if (kind == 5) return _advance(WINDOW + 1, 5);
        for (uint16 a; a < slices[l].length; ++a) {
            if (kind == 6) _settle(l, a, (dice >> 16) % 2 == 0 ? lives[l].terms.requester : STRANGER, false);
            else _escalate(l, a, lives[l].terms.requester);
        }
    }

    function claim(uint256 dice) public {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (found) _claim(l, dice);
    }

    function _claim(uint256 l, uint256 dice) private {
        Life storage life = lives[l];
        BatchState memory state = market.batchState(life.id);
        uint24 left = life.batch.count - state.next;
        address node = nodes[(dice >> 16) % NODES];
        uint24 count = dice % 3 == 0 ? left : uint24(within(dice >> 32, 0, uint256(left) + 1));
        uint24 slot = _slotOf(node);
        vm.prank(node);
        try market.claim(life.terms, life.batch, slot, count, 0) returns (uint16 assignment) {
            require(count != 0 && count <= left, "claimed what is not there");
            require(assignment == slices[l].length, "an index twice");
            slices[l].push(Slice(node, state.next, count, CLAIMED, 0));
        } catch {}
    }

    function reclaim(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (!found) return;
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

    function submit(uint256 dice) public {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (found) _submit(l, dice);
    }

    function _submit(uint256 l, uint256 dice) private {
        for (uint16 a; a < slices[l].length; ++a) {
            uint256 throw_ = uint256(keccak256(abi.encode(dice, a)));
            Slice storage slice = slices[l][a];
            // Sometimes another, sometimes twice.
            address node = throw_ % 8 == 0 ? nodes[(throw_ >> 8) % NODES] : slice.node;
            if (throw_ % 4 == 1) continue;
            vm.prank(node);
            try market.submit(lives[l].id, a, bytes32(throw_), 0, "") {
                require(slice.status == CLAIMED && node == slice.node, "submitted for another, or twice");
                slice.status = SUBMITTED;
                submissions[l][a] = Submission(
                    node, slice.first, slice.count, bytes32(throw_), keccak256(abi.encode(bytes32(0), keccak256("")))
                );
            } catch {}
        }
    }

    function expire(uint256 dice) public {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (!found) return;
        vm.prank(STRANGER);
        try market.expire(lives[l].terms, lives[l].batch, a) {
            require(slices[l][a].status == CLAIMED, "voided what was done");
            slices[l][a].status = VOID;
        } catch {}
    }

    function seal(uint256 dice) public {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (found) _seal(l);
    }

    function reveal(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found) return;
        if (dice % 4 != 0) _advance(1, 5);
        address by = dice % 2 == 0 ? STRANGER : lives[l].terms.requester;
        _reveal(l, by, dice % 16 == 1 ? bytes32(0) : lives[l].seed);
    }

    function _reveal(uint256 l, address by, bytes32 seed) private {
        Life storage life = lives[l];
        vm.prank(by);
        try market.reveal(life.terms, life.batch, seed) {
            require(!life.revealed && seed == life.seed, "revealed twice, or another seed");
            life.revealed = true;
        } catch {}
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
        if (!found) return;
        if (dice % 2 == 0) _advance(1, 5);
        _answer(l, dice);
    }

    function _answer(uint256 l, uint256 dice) private {
        for (uint16 a; a < slices[l].length; ++a) {
            uint8 last = market.panelState(lives[l].id, a).rounds;
            for (uint8 round = dice % 3 == 0 ? 0 : last; round <= last; ++round) {
                _answerRound(l, a, round, uint256(keccak256(abi.encode(dice, a, round))));
            }
        }
        if (dice % 5 < 2) _judge(l, dice);
    }

    function escalate(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (found) _escalate(l, a, _judgeOf(l, dice));
    }

    function _escalate(uint256 l, uint16 a, address by) private {
        vm.prank(by);
        try market.escalate(lives[l].terms, lives[l].batch, a, submissions[l][a]) {} catch {}
    }

    function redraw(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (!found) return;
        if (dice % 2 == 0) _advance(WINDOW + 61, 5);
        vm.prank(_judgeOf(l, dice >> 8));
        try market.redraw(lives[l].terms, lives[l].batch, a, submissions[l][a]) {} catch {}
    }

    function judge(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found) return;
        if (dice % 4 == 0) _advance(WINDOW, 5);
        _judge(l, dice);
    }

    function settle(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, uint16 a, bool found) = _slice(dice);
        if (!found) return;
        _settle(l, a, dice % 3 == 0 ? lives[l].terms.requester : STRANGER, dice % 8 == 1);
    }

    function settleAll(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found) return;
        for (uint16 a; a < slices[l].length; ++a) {
            _settle(l, a, dice % 2 == 0 ? lives[l].terms.requester : STRANGER, false);
        }
    }

    /// @notice Tries to be paid for what was paid, in a batch open or closed.
    function settleAgain(uint256 dice) external {
        dice = _thrown(dice);
        if (lives.length == 0) return;
        uint256 l = dice % lives.length;
        for (uint16 a; a < slices[l].length; ++a) {
            if (slices[l][a].status == SETTLED) _settle(l, a, lives[l].terms.requester, false);
        }
    }

    function rebid(uint256 dice) external {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found) return;
        Life storage life = lives[l];
        uint96 price = uint96(within(dice >> 16, 1, 1_300));
        uint256 before = vault.available(address(market), life.terms.requester);
        vm.prank(dice % 8 == 0 ? STRANGER : life.terms.requester);
        try market.rebid(life.terms, life.batch, price) {
            require(slices[l].length == 0 && life.price == life.terms.price, "rebid late, or twice");
            life.price = price;
            life.locked = life.locked + before - vault.available(address(market), life.terms.requester);
        } catch {}
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
    function finishComputing(uint256 dice) public {
        dice = _thrown(dice);
        (uint256 l, bool found) = _life(dice);
        if (!found || market.batchState(lives[l].id).sealedAt != 0) return;
        _advance(CLAIM_WINDOW + 1, 10);
        _expireAll(l);
        _seal(l);
    }

    function liveAsNode(uint256 dice) external {
        dice = _thrown(dice);
        address node = nodes[(dice >> 16) % NODES];
        uint256 kind = dice % 8;
        uint24 slot = kind == 0 ? _freePlace() : _slotOf(node);
        vm.prank(node);
        if (kind == 0) try registry.joinPool(address(market), class, slot) {} catch {}
        else if (kind == 1) try registry.leavePool(address(market), class, slot) {} catch {}
        else if (kind == 2) try registry.unstake(address(market), uint88((dice >> 32) % 300_000)) {} catch {}
        else if (kind == 3) try registry.withdrawStake(address(market)) {} catch {}
        else if (kind == 4) try registry.stake(address(market), uint88((dice >> 32) % 50_000)) {} catch {}
        else if (kind == 5) try registry.evict(address(market), class, slot) {} catch {}
        else if (kind == 6) try registry.freeSlot(address(market), class, uint24((dice >> 32) % 16)) {} catch {}
        else try vault.withdraw(address(registry), (dice >> 32) % 50_000, node) {} catch {}
    }

    // --- Views that must always hold ---------------------------------------------------------------------------------

    /// @notice V1: every account, every lock and what was burned add up to what the vault owes and has.
    function requireConserved() external view {
        uint256 sum = vault.burned();
        for (uint256 i; i < NODES; ++i) {
            sum += vault.available(address(market), nodes[i]) + vault.available(address(registry), nodes[i]);
            sum += _nodeLock(nodes[i]);
        }
        for (uint256 i; i < 2; ++i) {
            sum += vault.available(address(market), requesters[i]);
        }
        for (uint256 l; l < lives.length; ++l) {
            sum += _lockOf(l).amount;
        }
        require(sum == vault.total(), "V1: accounts, locks and burned are not the total");
        require(token.balanceOf(address(vault)) == vault.total(), "V1: the vault does not have what it owes");
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

    /// @notice M1: what a node has committed is exactly what stands behind its open assignments and seats.
    function requireCommitmentsMatch() external view {
        uint256[] memory owed = new uint256[](NODES);
        for (uint256 l; l < lives.length; ++l) {
            if (lives[l].closed) continue;
            for (uint16 a; a < slices[l].length; ++a) {
                Slice memory slice = slices[l][a];
                if (slice.status != CLAIMED && slice.status != SUBMITTED) continue;
                owed[_indexOf(slice.node)] += _lockFor(l, slice.count);
                Answer[] memory given = _answersOf(l, a);
                for (uint256 i; i < given.length; ++i) {
                    owed[_indexOf(given[i].node)] += lives[l].terms.slashAmount;
                }
            }
        }
        for (uint256 i; i < NODES; ++i) {
            uint256 committed = registry.nodeState(address(market), nodes[i]).committed;
            require(committed == owed[i], "M1: committed is not what is open");
        }
    }

    /// @notice M2: an open batch's lock covers all that may still be paid and burned; a closed one has none.
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

    /// @notice M4: from here everything can be closed by strangers, by nothing but waiting. Changes the state.
    function closeAll() external {
        for (uint256 l; l < lives.length; ++l) {
            if (lives[l].closed) continue;
            _advance(2 * CLAIM_WINDOW, 10);
            _expireAll(l);
            if (market.batchState(lives[l].id).sealedAt == 0) _seal(l);
            // Past the reveal, the last round's check, the judging and the challenge.
            _advance(6 * CLAIM_WINDOW, 10);
            for (uint16 a; a < slices[l].length; ++a) {
                if (slices[l][a].status == SUBMITTED) _settle(l, a, STRANGER, false);
            }
            require(lives[l].closed, "M4: a batch has no way out");
        }
    }

    // --- Inside ------------------------------------------------------------------------------------------------------

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
        terms.slashAmount = 16_000;
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

    function _answerRound(uint256 l, uint16 a, uint8 round, uint256 dice) private {
        Life storage life = lives[l];
        address[] memory drawn;
        try market.drawnFor(life.terms, life.batch, SeatId(a, round, 0), slices[l][a].node) returns (
            address[] memory found
        ) {
            drawn = found;
        } catch {
            return;
        }
        for (uint8 seat; seat < drawn.length; ++seat) {
            uint256 throw_ = uint256(keccak256(abi.encode(dice, seat)));
            if (throw_ % 3 == 0) continue;
            address node = throw_ % 9 == 1 ? nodes[(throw_ >> 8) % NODES] : drawn[seat];
            require(drawn[seat] != slices[l][a].node, "the primary was drawn");
            vm.prank(node);
            try market.answer(
                life.terms, life.batch, SeatId(a, round, seat), submissions[l][a], bytes32(throw_), 0, ""
            ) {
                Answer storage given = answers[l][a][uint256(round) << 8 | seat];
                require(node == drawn[seat], "answered for another");
                require(given.node == address(0), "answered twice");
                ++answered[l][a];
                given.node = node;
                given.root = bytes32(throw_);
                given.content = keccak256(abi.encode(bytes32(0), keccak256("")));
            } catch {}
        }
    }

    function _judge(uint256 l, uint256 dice) private {
        for (uint16 a; a < slices[l].length; ++a) {
            _except(l, a, uint256(keccak256(abi.encode(dice, a))));
        }
        if (dice % 3 != 0) return;
        vm.prank(_judgeOf(l, dice));
        try market.judge(lives[l].terms, lives[l].batch, new Exception[](0), true) {} catch {}
    }

    function _except(uint256 l, uint16 a, uint256 dice) private {
        Life storage life = lives[l];
        Slice memory slice = slices[l][a];
        uint24 witness = slice.first + uint24((dice >> 128) % slice.count);
        if (life.revealed && dice % 16 != 0) {
            // As a rule one that is sampled, if any is.
            bytes32 entropy = market.entropyOf(life.id);
            witness = uint24(Sampling.sampledTask(entropy, a, slice.first, slice.count, 0));
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
        vm.prank(_judgeOf(l, dice >> 40));
        try market.judge(life.terms, life.batch, exceptions, false) {
            require(life.revealed && slice.status == SUBMITTED, "excepted what was not revealed");
        } catch {}
    }

    function _seal(uint256 l) private {
        Life storage life = lives[l];
        vm.prank(STRANGER);
        try market.seal(life.terms, life.batch) {
            _noteClosed(l);
        } catch {}
    }

    function _expireAll(uint256 l) private {
        for (uint16 a; a < slices[l].length; ++a) {
            if (slices[l][a].status != CLAIMED) continue;
            try market.expire(lives[l].terms, lives[l].batch, a) {
                slices[l][a].status = VOID;
            } catch {}
        }
    }

    /// @dev Settles one assignment and checks what may come of it.
    function _settle(uint256 l, uint16 a, address by, bool forged) private {
        Life storage life = lives[l];
        Slice storage slice = slices[l][a];
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = Settlement(a, submissions[l][a], _answersOf(l, a));
        if (forged) settlements[0].submission.node = STRANGER;
        PanelState memory panel = market.panelState(life.id, a);
        BatchState memory state = market.batchState(life.id);
        uint256 most = uint256(slice.count) * life.price;
        if (life.revealed) {
            most += Sampling.sampledCount(
                market.entropyOf(life.id), slice.first, slice.count, life.terms.rate
            ) * life.terms.verifierPrice * settlements[0].answers.length;
        }
        uint256 earned = _earned();
        uint256 refund = vault.available(address(market), life.terms.requester);
        uint256 stake = registry.nodeState(address(market), slice.node).stake;
        uint256 lock = _lockOf(l).amount;

        vm.prank(by);
        try market.settle(life.terms, life.batch, settlements) {
            require(!forged && slice.status == SUBMITTED, "M3: settled what was not submitted");
        } catch {
            return;
        }
        slice.status = SETTLED;
        ++slice.settled;
        _noteClosed(l);
        life.locked = _lockOf(l).amount;

        uint256 lost = stake - registry.nodeState(address(market), slice.node).stake;
        uint256 whole = _lockFor(l, slice.count);
        if (panel.verdict != Verdict.None) {
            require(now_ > uint256(panel.raisedAt) + life.terms.windows.challenge, "M5: before the challenge ended");
        }
        if (panel.accused & 1 == 0) require(lost == 0, "M5: slashed without an accusation");
        else require(lost == (life.terms.fullSlash ? whole : whole / 10), "M5: not the slash of the terms");

        earned = _earned() - earned;
        refund = vault.available(address(market), life.terms.requester) - refund;
        require(earned <= most, "M6: paid beyond the price");
        require(life.closed || refund == 0, "M6: refunded while open");
        uint256 burned = lock - life.locked - earned - refund;
        if (burned != 0) {
            bool silent = !life.revealed || (by != life.terms.requester && !state.judged);
            require(burned == BOND_FIXED && !state.bondBurned, "M6: burned twice, or something else");
            require(silent && life.terms.mode != Mode.Trusted && panel.verdict == Verdict.None, "M6: burned for nothing");
        }
        ++reached[uint256(panel.verdict)];
        if (burned != 0) ++forced;
        if (panel.rounds != 0) ++redrawn;
    }

    /// @dev Evenly spread, whatever the runner's favourite numbers are.
    function _thrown(uint256 dice) private returns (uint256) {
        return uint256(keccak256(abi.encode(dice, ++moves)));
    }

    function _noteClosed(uint256 l) private {
        if (lives[l].closed || market.batchState(lives[l].id).postedAt != 0) return;
        lives[l].closed = true;
        lives[l].locked = 0;
        ++closed;
    }

    function _advance(uint256 seconds_, uint256 blocks) private {
        now_ += seconds_;
        block_ += blocks;
        vm.warp(now_);
        vm.roll(block_);
    }

    function _life(uint256 dice) private view returns (uint256 l, bool found) {
        if (lives.length == 0) return (0, false);
        l = (dice >> 200) % lives.length;
        // The next open one, so that few moves are lost on the closed.
        for (uint256 i; i < lives.length; ++i) {
            if (!lives[l].closed) return (l, true);
            l = (l + 1) % lives.length;
        }
    }

    function _slice(uint256 dice) private view returns (uint256 l, uint16 a, bool found) {
        (l, found) = _life(dice);
        if (!found || slices[l].length == 0) return (l, 0, false);
        a = uint16((dice >> 180) % slices[l].length);
    }

    function _judgeOf(uint256 l, uint256 dice) private view returns (address) {
        if (dice % 8 == 0) return STRANGER;
        return dice % 8 == 1 ? DELEGATE : lives[l].terms.requester;
    }

    function _answersOf(uint256 l, uint16 a) private view returns (Answer[] memory given) {
        given = new Answer[](answered[l][a]);
        uint256 count;
        for (uint256 seat; count < given.length; ++seat) {
            // A round has at most 32 seats.
            Answer storage one = answers[l][a][(seat / 32) << 8 | seat % 32];
            if (one.node != address(0)) given[count++] = one;
        }
    }

    function _lockFor(uint256 l, uint24 count) private view returns (uint256) {
        uint256 worth = uint256(count) * lives[l].price;
        return worth > lives[l].terms.slashAmount ? worth : lives[l].terms.slashAmount;
    }

    function _lockOf(uint256 l) private view returns (Lock memory) {
        return vault.lockOf(address(market), BatchId.unwrap(lives[l].id));
    }

    function _nodeLock(address node) private view returns (uint256) {
        return vault.lockOf(address(registry), keccak256(abi.encode(address(market), node))).amount;
    }

    /// @dev What nodes have in the market's ledger: nothing comes there but pay.
    function _earned() private view returns (uint256 sum) {
        for (uint256 i; i < NODES; ++i) {
            sum += vault.available(address(market), nodes[i]);
        }
    }

    function _indexOf(address node) private pure returns (uint256) {
        return uint256(uint160(node)) - 0xC0DE00;
    }

    /// @dev The slot that a node serves with, or the last one it had.
    function _slotOf(address node) private view returns (uint24 slot) {
        uint24 slots = registry.classState(address(market), class).slots;
        for (uint24 i; i < slots; ++i) {
            Slot memory held = registry.slotOf(address(market), class, i);
            if (held.node != node) continue;
            slot = i;
            if (held.leftAt == FOREVER) return i;
        }
    }

    function _freePlace() private view returns (uint24 slots) {
        slots = registry.classState(address(market), class).slots;
        for (uint24 i; i < slots; ++i) {
            if (registry.slotOf(address(market), class, i).node == address(0)) return i;
        }
    }
}
