// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IVault, Payment} from "./IVault.sol";

/// @notice The id of a class of hosts: keccak256(abi.encode(Class)).
type ClassId is bytes32;

/// @notice What runs a task.
/// - None: no class.
/// - Wasm: metered WebAssembly, bit for bit deterministic.
/// - Container: a container without GPU.
/// - ContainerGpu: a container with GPU.
enum Runtime {
    None,
    Wasm,
    Container,
    ContainerGpu
}

/// @notice A kind of host a node offers, and the risks it accepts by offering it.
/// @param market The market whose work it is for.
/// @param runtime What runs a task.
/// @param fullSlash Whether nodes of this class accept that a lone difference costs the whole lock. Metered WASM can,
/// since nondeterminism is impossible there; elsewhere it is a choice.
/// @param slotStake Base units that back each slot; the most a job of this class may ask as `slashAmount`.
/// @param priceFloor Least price of a task, base units; at least 1.
/// @param resources sha2-256 of the description of CPU, memory, disk and GPU, in the form of a content id.
struct Class {
    address market;
    Runtime runtime;
    bool fullSlash;
    uint80 slotStake;
    uint96 priceFloor;
    bytes32 resources;
}

/// @notice What the registry keeps of a class, in one storage slot.
/// @param slots How many places the pool has, holes included. Places never move.
/// @param nodes How many different nodes hold at least one slot.
struct ClassState {
    Runtime runtime;
    bool fullSlash;
    uint80 slotStake;
    uint96 priceFloor;
    uint24 slots;
    uint24 nodes;
}

/// @notice One place in the pool that verifiers and jurors are drawn from.
/// @param node Who holds it; zero for a hole.
/// @param activeFrom From when on it can be drawn, seconds.
/// @param leftAt Since when it cannot be drawn for what is sealed from then on, seconds; `FOREVER` while it serves.
struct Slot {
    address node;
    uint48 activeFrom;
    uint48 leftAt;
}

/// @dev `leftAt` of a slot that serves.
uint48 constant FOREVER = type(uint48).max;

/// @notice A node's stake in one market, in one storage slot.
/// @param stake Base units at stake, all below included.
/// @param committed Behind open assignments and seats.
/// @param backing Behind pool slots. Seats may use it, assignments may not: a node that is drawn can always answer.
struct NodeState {
    uint88 stake;
    uint88 committed;
    uint80 backing;
}

/// @notice Stake on its way out. It can still be fined.
struct Unbonding {
    uint88 amount;
    uint48 availableAt;
}

/// @notice A node and an amount of its stake.
struct StakeShare {
    address node;
    uint96 amount;
}

/// @title Registry: stakes, classes and the pool of verifiers
/// @notice State is kept per market. The functions under "For a market" act on the state of the calling contract only:
/// a node that stakes for a market trusts that contract with that stake, and no other.
/// @dev The stake itself lies in the vault, in the registry's ledger, one lock per node and market.
///
/// A node whose account in the registry's ledger is entrusted (see {IVault}) works, and its owner manages it: only the owner
/// stakes, unstakes and joins pools, so that who steals the node's key can send the stake to no market and no class of his
/// own making, nor keep it from its owner by joining or unstaking again and again. Leaving a pool and taking home what is
/// unbonded is open to both. The key still signs work, so its thief can have the stake slashed and fined: what a slash
/// pays goes to members, jurors and informers, and the thief may be one of them.
///
/// INVARIANT R1: committed <= stake.
/// INVARIANT R2: the vault's lock of a node == stake + unbonding.amount.
/// INVARIANT R3: a slot never changes its holder before `unbondingPeriod` has passed since it was left.
/// INVARIANT R7: an entrusted node's stake is in no market and no class that its owner did not choose, unless it was there
/// before it was entrusted.
interface IRegistry {
    /// @notice A new kind of host can be offered.
    event ClassCreated(ClassId indexed classId, address indexed market, Class terms);
    /// @notice `node` added to its stake, which is now `stake`.
    event Staked(address indexed market, address indexed node, uint88 amount, uint88 stake);
    /// @notice `node` took `amount` out of its stake; it can be withdrawn from `availableAt` on.
    event Unstaked(address indexed market, address indexed node, uint88 amount, uint48 availableAt);
    /// @notice `amount` of unbonded stake went back to the node's available money in the registry's ledger.
    event StakeWithdrawn(address indexed market, address indexed node, uint88 amount);
    /// @notice `node` holds `slot` of the class's pool.
    event Joined(ClassId indexed classId, address indexed node, uint24 slot, uint48 activeFrom);
    /// @notice `node` serves nothing that is sealed from `leftAt` on.
    event Left(ClassId indexed classId, address indexed node, uint24 slot, uint48 leftAt);
    /// @notice The slot is a hole again and its backing free.
    event SlotFreed(ClassId indexed classId, address indexed node, uint24 slot);
    /// @notice `node` lost `amount` of stake; `rewarded` of it went to members that were right, the rest was burned.
    event Slashed(address indexed market, address indexed node, uint96 amount, uint96 rewarded);
    /// @notice `node` was fined; `taken` is what it had left of `amount`. Burned.
    event Fined(address indexed market, address indexed node, uint96 amount, uint96 taken);

    /// @notice An amount of zero changes nothing and is refused.
    error ZeroStake();
    /// @notice The class does not exist in this market.
    error UnknownClass(ClassId classId);
    /// @notice The class exists already.
    error ClassExists(ClassId classId);
    /// @notice A class needs a runtime, a market, a slot stake and a price floor above zero.
    error InvalidClass(Class terms);
    /// @notice `node` has `free` stake that backs nothing else, and needs `required`.
    error InsufficientStake(address node, uint256 free, uint256 required);
    /// @notice Stake must be at least `minimum` to take on anything new.
    error StakeBelowMinimum(address node, uint256 stake, uint256 minimum);
    /// @notice Place `slot` is `holder`'s (zero: a hole); `caller` cannot use it so.
    error NotSlotHolder(uint24 slot, address holder, address caller);
    /// @notice Of the pool's `slots` places, `slot` is taken.
    error SlotTaken(uint24 slot, uint24 slots);
    /// @notice The slot was left already, at `leftAt`.
    error SlotLeft(uint24 slot, uint48 leftAt);
    /// @notice The slot still serves: leave it first.
    error SlotServing(uint24 slot);
    /// @notice It is `actual`; this is possible from `from` on, seconds.
    error TooEarly(uint256 actual, uint256 from);
    /// @notice Nothing of `node` is unbonding.
    error NothingUnbonding(address node);
    /// @notice `owner` disposes of `node`'s account in the registry's ledger (zero: the node itself), not `caller`.
    error NotInHand(address node, address owner, address caller);
    /// @notice `node` backs its slots: `stake` is not below `backing`.
    error SlotBacked(address node, uint256 stake, uint256 backing);
    /// @notice A slash of `penalty` out of `committed` that pays `paid` of it: each must cover the next.
    error InvalidSlash(address node, uint256 committed, uint256 penalty, uint256 paid);

    /// @notice The vault whose token is staked.
    function vault() external view returns (IVault);
    /// @notice Least stake to take on anything new, base units.
    function minStake() external view returns (uint88);
    /// @notice Seconds between joining a pool and being drawn.
    function activationDelay() external view returns (uint48);
    /// @notice Seconds that unstaked money and a left slot's backing stay liable.
    function unbondingPeriod() external view returns (uint48);
    /// @notice What is kept of a class; zeros if it does not exist.
    function classState(address market, ClassId classId) external view returns (ClassState memory);
    /// @notice The holder of a place in the pool.
    function slotOf(address market, ClassId classId, uint24 slot) external view returns (Slot memory);
    /// @notice How many slots of a class `node` holds.
    function slotsHeld(address market, ClassId classId, address node) external view returns (uint24);
    /// @notice A node's stake in a market.
    function nodeState(address market, address node) external view returns (NodeState memory);
    /// @notice A node's stake on its way out of a market.
    function unbondingOf(address market, address node) external view returns (Unbonding memory);

    // --- For nodes and their owners --------------------------------------------------------------------------------------

    /// @notice Makes a class. Anybody may; the id commits to its terms.
    function createClass(Class calldata terms) external returns (ClassId classId);
    /// @notice Moves `amount` of the caller's available money in the registry's ledger into its stake.
    function stake(address market, uint88 amount) external;
    /// @notice As {stake}, for `node`, by whoever disposes of its account.
    function stakeFor(address market, address node, uint88 amount) external;
    /// @notice Starts taking `amount` out; restarts the clock of what is unbonding already.
    function unstake(address market, uint88 amount) external;
    /// @notice As {unstake}, for `node`, by whoever disposes of its account.
    function unstakeFor(address market, address node, uint88 amount) external;
    /// @notice Takes what is unbonded to the caller's available money in the registry's ledger.
    function withdrawStake(address market) external;
    /// @notice As {withdrawStake}, for `node`, by whoever disposes of its account.
    function withdrawStakeFor(address market, address node) external;
    /// @notice Takes place `slot` of a pool: a hole, or a new one after the last for any number beyond it.
    /// @return The place taken.
    function joinPool(address market, ClassId classId, uint24 slot) external returns (uint24);
    /// @notice As {joinPool}, for `node`, by whoever disposes of its account.
    function joinPoolFor(address market, ClassId classId, address node, uint24 slot) external returns (uint24);
    /// @notice Stops serving with `slot` for whatever is sealed from now on. By its holder, or its holder's owner.
    function leavePool(address market, ClassId classId, uint24 slot) external;
    /// @notice Frees a slot left `unbondingPeriod` ago. Anybody may.
    function freeSlot(address market, ClassId classId, uint24 slot) external;
    /// @notice Makes a node whose losses ate its backing leave `slot`. Anybody may.
    function evict(address market, ClassId classId, uint24 slot) external;

    // --- For a market: state of the calling contract ----------------------------------------------------------------

    /// @notice Commits stake to an assignment. The node must serve in the class, by `slot`, and have the minimum stake.
    function commitAssignment(ClassId classId, uint24 slot, address node, uint96 amount) external;
    /// @notice Commits stake to a seat of a node that was drawn.
    function commitSeat(address node, uint96 amount) external;
    /// @notice Commits stake to a bond in a dispute that the node is no party of. A node that is entrusted must serve in the
    /// class: elsewhere its thief could lose the bond to jurors of his own.
    function commitBond(ClassId classId, address node, uint96 amount) external;
    /// @notice Frees committed stake.
    function release(StakeShare[] calldata commitments) external;
    /// @notice Frees `committed` of the node's stake and takes `penalty` of that: `payments` come out of it, what remains is
    /// burned.
    function slash(address node, uint96 committed, uint96 penalty, Payment[] calldata payments) external;
    /// @notice Takes up to `amount` from what the node has not committed, else from what it is unbonding, and burns it.
    /// @return taken What there was.
    function fine(address node, uint96 amount) external returns (uint96 taken);

    /// @notice Draws nodes uniformly per slot.
    /// @param key Decides the order of the places.
    /// @param sealedAt A slot counts if it was active then and had not left, seconds.
    /// @param slots The places that count: 0 … slots-1.
    /// @param skip Nodes that cannot be drawn: the panel so far.
    /// @param excluded More of them.
    /// @param count How many to draw.
    /// @return drawn In the order drawn; fewer than `count` if the pool, or the bound on places looked at, ends first.
    function draw(
        address market,
        ClassId classId,
        bytes32 key,
        uint48 sealedAt,
        uint24 slots,
        address[] calldata skip,
        address[] calldata excluded,
        uint256 count
    ) external view returns (address[] memory drawn);
}
