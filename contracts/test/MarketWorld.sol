// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {
    Answer,
    Batch,
    BatchId,
    IMarket,
    PanelState,
    Parameters,
    Round,
    Settlement,
    Submission,
    Terms
} from "../interfaces/IMarket.sol";
import {Class, ClassId, FOREVER, IRegistry, Runtime, Slot} from "../interfaces/IRegistry.sol";
import {IVault, Lock} from "../interfaces/IVault.sol";
import {Sampling} from "../libraries/Sampling.sol";
import {Character, Characters, NODES, POOLED} from "./Characters.sol";
import {vm} from "./Vm.sol";

uint32 constant WINDOW = 600;
uint32 constant CLAIM_WINDOW = 1_200;
uint48 constant ACTIVATION = 300;
uint32 constant DRAW_DELAY = 60;
uint96 constant BOND_FIXED = 5_000;
uint96 constant CHALLENGE_BOND = 600;
/// @dev Requesters. The first is honest.
uint256 constant REQUESTERS = 3;

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
    bool honest;
}

uint8 constant CLAIMED = 1;
uint8 constant SUBMITTED = 2;
uint8 constant VOID = 3;
uint8 constant SETTLED = 4;
uint8 constant CONTENDED = 5;

/// @title MarketWorld: a market with its parties, its clock, and what these tests remember of it
abstract contract MarketWorld {
    IVault public immutable vault;
    IRegistry public immutable registry;
    IMarket public immutable market;
    IERC20 public immutable token;
    ClassId public immutable class;

    address[] internal nodes;
    address[REQUESTERS] internal requesters = [address(0xA11CE), address(0xB0B), address(0xCA201)];
    address internal constant STRANGER = address(0x57);
    address internal constant DELEGATE = address(0xDE1E);
    /// @dev Of the accounts of every third node, whose own key is a thief's.
    address internal constant OWNER = address(0x0133E);

    Life[] internal lives;
    mapping(uint256 life => Slice[]) internal slices;
    mapping(uint256 life => mapping(uint16 assignment => Submission)) internal submissions;
    mapping(uint256 life => mapping(uint16 assignment => mapping(uint256 seat => Answer))) internal answers;
    mapping(uint256 life => mapping(uint16 assignment => uint256 count)) internal answered;

    uint256 public closed;
    uint256 public moves;
    uint256 internal now_ = 1_800_000_000;
    uint256 internal block_ = 1_000;
    uint256 private wokeAt;
    /// @dev Nobody does what is due any more.
    bool internal asleep;

    constructor() {
        vm.warp(now_);
        vm.roll(block_);
        token = IERC20(_deploy("SuretyToken", abi.encode(address(this), 1e30)));
        vault = IVault(_deploy("Vault", abi.encode(token)));
        registry = IRegistry(
            _deploy("Registry", abi.encode(vault, 50_000, ACTIVATION, 23 * WINDOW * 2 + 8 * DRAW_DELAY))
        );
        Parameters memory parameters =
            Parameters(60, CLAIM_WINDOW, 4, DRAW_DELAY, BOND_FIXED, 50_000, CHALLENGE_BOND);
        address half = _deploy("MarketVerdicts", abi.encode(vault, registry, parameters));
        half = _deploy("MarketJuries", abi.encode(vault, registry, parameters, half));
        half = _deploy("MarketDisputes", abi.encode(vault, registry, parameters, half));
        half = _deploy("MarketPanels", abi.encode(vault, registry, parameters, half));
        market = IMarket(_deploy("Market", abi.encode(vault, registry, parameters, half)));
        class = registry.createClass(Class(address(market), Runtime.Wasm, true, 40_000, 10, 0));
        token.approve(address(vault), type(uint256).max);
        for (uint256 i; i < REQUESTERS; ++i) {
            vault.deposit(address(market), requesters[i], 3_000_000);
        }
        for (uint24 i; i < NODES; ++i) {
            address node = address(uint160(0xC0DE00 + i));
            nodes.push(node);
            bool honest = Characters.named(i) == Character.Honest;
            if (_isEntrusted(node)) {
                vm.prank(node);
                vault.entrust(address(market), node, OWNER);
                vm.prank(node);
                vault.entrust(address(registry), node, OWNER);
            }
            vault.deposit(address(registry), node, honest ? 2_000_000 : 400_000);
            address hand = _isEntrusted(node) ? OWNER : node;
            vm.prank(hand);
            registry.stakeFor(address(market), node, honest ? 2_000_000 : 300_000);
            if (i >= POOLED) continue;
            vm.prank(hand);
            registry.joinPoolFor(address(market), class, node, i);
        }
        _step(ACTIVATION, 10);
    }

    /// @dev From what was compiled, so that these tests are compiled without it.
    function _deploy(string memory name, bytes memory arguments) private returns (address made) {
        bytes memory code = bytes.concat(vm.getCode(string.concat("contracts/", name, ".sol:", name)), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), name);
    }

    // --- Time --------------------------------------------------------------------------------------------------------

    /// @dev What is due to those that do what is due.
    function _beforeTimePasses() internal virtual;

    /// @dev Passes time in steps that no window fits between, so that whoever watches can act in each.
    function _advance(uint256 seconds_, uint256 blocks) internal {
        uint256 steps = asleep ? 1 : (seconds_ + WINDOW - 1) / WINDOW;
        uint256 each = (seconds_ + steps - 1) / steps;
        for (uint256 i; i < steps; ++i) {
            uint256 next = i + 1 == steps ? seconds_ - each * i : each;
            // Nothing is lost by being late as long as no window passes.
            if (!asleep && now_ + next >= wokeAt + WINDOW / 2) {
                _beforeTimePasses();
                wokeAt = now_;
            }
            _step(next, steps == 1 || blocks / steps > 5 ? blocks / steps : 5);
        }
    }

    function _step(uint256 seconds_, uint256 blocks) private {
        now_ += seconds_;
        block_ += blocks;
        vm.warp(now_);
        vm.roll(block_);
    }

    /// @dev Evenly spread, whatever the runner's favourite numbers are.
    function _thrown(uint256 dice) internal returns (uint256) {
        return uint256(keccak256(abi.encode(dice, ++moves)));
    }

    function _mix(uint256 dice, uint256 salt) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(dice, salt)));
    }

    // --- Choosing ----------------------------------------------------------------------------------------------------

    function _life(uint256 dice) internal view returns (uint256 l, bool found) {
        if (lives.length == 0) return (0, false);
        l = (dice >> 200) % lives.length;
        // The next open one, so that few moves are lost on the closed.
        for (uint256 i; i < lives.length; ++i) {
            if (!lives[l].closed) return (l, true);
            l = (l + 1) % lives.length;
        }
    }

    function _slice(uint256 dice) internal view returns (uint256 l, uint16 a, bool found) {
        (l, found) = _life(dice);
        if (!found || slices[l].length == 0) return (l, 0, false);
        a = uint16((dice >> 180) % slices[l].length);
    }

    /// @dev Who calls where the requester is expected. An honest one does nothing at random.
    function _judgeOf(uint256 l, uint256 dice) internal view returns (address) {
        if (dice % 8 == 0 || lives[l].honest) return STRANGER;
        return dice % 8 == 1 ? DELEGATE : lives[l].terms.requester;
    }

    // --- Members -----------------------------------------------------------------------------------------------------

    function _isEntrusted(address node) internal pure returns (bool) {
        return _indexOf(node) % 3 == 0 && _indexOf(node) < POOLED;
    }

    function _indexOf(address node) internal pure returns (uint256) {
        return uint256(uint160(node)) - 0xC0DE00;
    }

    function _characterOf(address node) internal pure returns (Character) {
        return Characters.named(_indexOf(node));
    }

    function _isHonest(address node) internal pure returns (bool) {
        return _indexOf(node) < NODES && _characterOf(node) == Character.Honest;
    }

    function _answersOf(uint256 l, uint16 a) internal view returns (Answer[] memory given) {
        given = new Answer[](answered[l][a]);
        uint256 count;
        for (uint256 seat; count < given.length; ++seat) {
            // A round has at most 32 seats.
            Answer storage one = answers[l][a][(seat / 32) << 8 | seat % 32];
            if (one.node != address(0)) given[count++] = one;
        }
    }

    function _panelOf(uint256 l, uint16 a) internal view returns (Settlement memory) {
        return Settlement(a, submissions[l][a], _answersOf(l, a));
    }

    function _nodeOf(Settlement memory panel, uint256 member) internal pure returns (address) {
        return member == 0 ? panel.submission.node : panel.answers[member - 1].node;
    }

    /// @dev The tasks that a member committed to: a primary to all of its slice, a verifier to those that are sampled.
    function _tasksOf(uint256 l, uint16 a, uint256 member) internal view returns (uint256[] memory tasks) {
        Slice memory slice = slices[l][a];
        bytes32 entropy = member == 0 ? bytes32(0) : market.entropyOf(lives[l].id);
        uint256 count = member == 0
            ? slice.count
            : Sampling.sampledCount(entropy, slice.first, slice.count, lives[l].terms.rate);
        tasks = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            tasks[i] = member == 0
                ? slice.first + i
                : Sampling.sampledTask(entropy, a, slice.first, slice.count, i);
        }
    }

    function _rootOf(uint256 l, address node, uint256[] memory tasks) internal view returns (bytes32 root) {
        (root,) = Characters.commitment(
            _characterOf(node), address(market), node, BatchId.unwrap(lives[l].id), tasks, 0
        );
    }

    function _sampledOf(uint256 l, uint16 a) internal view returns (uint256) {
        Slice memory slice = slices[l][a];
        if (!lives[l].revealed) return 0;
        return Sampling.sampledCount(
            market.entropyOf(lives[l].id), slice.first, slice.count, lives[l].terms.rate
        );
    }

    /// @dev When the last round's clock ends.
    function _panelDeadline(uint256 l, uint16 a) internal view returns (uint256) {
        PanelState memory state = market.panelState(lives[l].id, a);
        if (state.rounds == 0 || _sampledOf(l, a) == 0) {
            return uint256(market.batchState(lives[l].id).revealedAt) + WINDOW;
        }
        (Round memory round,) = market.roundOf(lives[l].id, a, state.rounds);
        return uint256(round.openedAt) + DRAW_DELAY + WINDOW;
    }

    /// @dev How many verifiers fill a panel, and how many are enough once its clock has run out.
    function _sizeOf(uint256 l, uint16 a) internal view returns (uint256 needed, uint256 enough) {
        uint256 quorum = lives[l].terms.quorum;
        bool single = lives[l].terms.adaptive && !market.panelState(lives[l].id, a).escalated;
        return single ? (1, 1) : (quorum - 1, (quorum - 1) / 2);
    }

    // --- Money -------------------------------------------------------------------------------------------------------

    /// @dev What a member's place on the panel has of its stake.
    function _lockFor(uint256 l, uint256 count) internal view returns (uint256) {
        uint256 worth = count * lives[l].price;
        return worth > lives[l].terms.slashAmount ? worth : lives[l].terms.slashAmount;
    }

    function _payOf(uint256 l, uint16 a, uint256 member) internal view returns (uint256) {
        if (member == 0) return uint256(slices[l][a].count) * lives[l].price;
        return _sampledOf(l, a) * lives[l].terms.verifierPrice;
    }

    function _lockOf(uint256 l) internal view returns (Lock memory) {
        return vault.lockOf(address(market), BatchId.unwrap(lives[l].id));
    }

    function _nodeLock(address node) internal view returns (uint256) {
        return vault.lockOf(address(registry), keccak256(abi.encode(address(market), node))).amount;
    }

    /// @dev All stakes together, what is unbonding with them.
    function _stakes() internal view returns (uint256 sum) {
        for (uint256 i; i < NODES; ++i) {
            sum += _nodeLock(nodes[i]);
        }
    }

    /// @dev What nodes have in the market's ledger: nothing comes there but pay.
    function _earned() internal view returns (uint256 sum) {
        for (uint256 i; i < NODES; ++i) {
            sum += vault.available(address(market), nodes[i]);
        }
    }

    function _noteClosed(uint256 l) internal {
        if (lives[l].closed || market.batchState(lives[l].id).postedAt != 0) return;
        lives[l].closed = true;
        lives[l].locked = 0;
        ++closed;
    }

    // --- Places ------------------------------------------------------------------------------------------------------

    /// @dev The slot that a node serves with, or the last one it had.
    function _slotOf(address node) internal view returns (uint24 slot) {
        // As a rule it is where it was at first.
        uint24 first = uint24(_indexOf(node));
        Slot memory held = registry.slotOf(address(market), class, first);
        if (held.node == node && held.leftAt == FOREVER) return first;
        uint24 slots = registry.classState(address(market), class).slots;
        for (uint24 i; i < slots; ++i) {
            held = registry.slotOf(address(market), class, i);
            if (held.node != node) continue;
            slot = i;
            if (held.leftAt == FOREVER) return i;
        }
    }

    function _freePlace() internal view returns (uint24 slots) {
        slots = registry.classState(address(market), class).slots;
        for (uint24 i; i < slots; ++i) {
            if (registry.slotOf(address(market), class, i).node == address(0)) return i;
        }
    }
}
