// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {
    IRegistry,
    Class,
    ClassId,
    ClassState,
    FOREVER,
    NodeState,
    Runtime,
    Slot,
    StakeShare,
    Unbonding
} from "./interfaces/IRegistry.sol";
import {IVault, Payment} from "./interfaces/IVault.sol";
import {Permutation} from "./libraries/Permutation.sol";

/// @dev Places looked at in one draw. With a share h of holes the draw fails by chance with probability h^256; the bound
/// keeps a pool that somebody filled with holes from making a draw cost more than a block.
uint256 constant MAX_PLACES = 256;

/// @title See {IRegistry}
contract Registry is IRegistry {
    using SafeCast for uint256;

    /// @inheritdoc IRegistry
    IVault public immutable vault;
    /// @inheritdoc IRegistry
    uint88 public immutable minStake;
    /// @inheritdoc IRegistry
    uint48 public immutable activationDelay;
    /// @inheritdoc IRegistry
    uint48 public immutable unbondingPeriod;

    mapping(address market => mapping(ClassId classId => ClassState state)) private _classes;
    mapping(address market => mapping(ClassId classId => mapping(uint24 slot => Slot holder))) private _slots;
    mapping(address market => mapping(ClassId classId => mapping(address node => uint24 count))) private _slotsHeld;
    mapping(address market => mapping(address node => NodeState state)) private _nodes;
    mapping(address market => mapping(address node => Unbonding unbonding)) private _unbonding;

    constructor(IVault vault_, uint88 minStake_, uint48 activationDelay_, uint48 unbondingPeriod_) {
        require(minStake_ != 0, ZeroStake());
        vault = vault_;
        minStake = minStake_;
        activationDelay = activationDelay_;
        unbondingPeriod = unbondingPeriod_;
    }

    /// @inheritdoc IRegistry
    function classState(address market, ClassId classId) external view returns (ClassState memory) {
        return _classes[market][classId];
    }

    /// @inheritdoc IRegistry
    function slotOf(address market, ClassId classId, uint24 slot) external view returns (Slot memory) {
        return _slots[market][classId][slot];
    }

    /// @inheritdoc IRegistry
    function slotsHeld(address market, ClassId classId, address node) external view returns (uint24) {
        return _slotsHeld[market][classId][node];
    }

    /// @inheritdoc IRegistry
    function nodeState(address market, address node) external view returns (NodeState memory) {
        return _nodes[market][node];
    }

    /// @inheritdoc IRegistry
    function unbondingOf(address market, address node) external view returns (Unbonding memory) {
        return _unbonding[market][node];
    }

    /// @inheritdoc IRegistry
    function createClass(Class calldata terms) external returns (ClassId classId) {
        require(
            terms.market != address(0) && terms.runtime != Runtime.None && terms.slotStake != 0
                && terms.priceFloor != 0,
            InvalidClass(terms)
        );
        classId = ClassId.wrap(keccak256(abi.encode(terms)));
        ClassState storage state = _classes[terms.market][classId];
        require(state.runtime == Runtime.None, ClassExists(classId));
        state.runtime = terms.runtime;
        state.fullSlash = terms.fullSlash;
        state.slotStake = terms.slotStake;
        state.priceFloor = terms.priceFloor;
        emit ClassCreated(classId, terms.market, terms);
    }

    /// @inheritdoc IRegistry
    function stake(address market, uint88 amount) external {
        _stake(market, msg.sender, amount);
    }

    /// @inheritdoc IRegistry
    function stakeFor(address market, address node, uint88 amount) external {
        _stake(market, node, amount);
    }

    /// @inheritdoc IRegistry
    function unstake(address market, uint88 amount) external {
        _unstake(market, msg.sender, amount);
    }

    /// @inheritdoc IRegistry
    function unstakeFor(address market, address node, uint88 amount) external {
        _unstake(market, node, amount);
    }

    /// @inheritdoc IRegistry
    function withdrawStake(address market) external {
        _withdrawStake(market, msg.sender);
    }

    /// @inheritdoc IRegistry
    function withdrawStakeFor(address market, address node) external {
        _requireHand(node);
        _withdrawStake(market, node);
    }

    /// @inheritdoc IRegistry
    function joinPool(address market, ClassId classId, uint24 slot) external returns (uint24) {
        return _join(market, classId, msg.sender, slot);
    }

    /// @inheritdoc IRegistry
    function joinPoolFor(address market, ClassId classId, address node, uint24 slot) external returns (uint24) {
        return _join(market, classId, node, slot);
    }

    /// @inheritdoc IRegistry
    function leavePool(address market, ClassId classId, uint24 slot) external {
        address holder = _slots[market][classId][slot].node;
        require(
            holder == msg.sender || (holder != address(0) && vault.ownerOf(address(this), holder) == msg.sender),
            NotSlotHolder(slot, holder, msg.sender)
        );
        _leave(market, classId, slot);
    }

    /// @inheritdoc IRegistry
    function evict(address market, ClassId classId, uint24 slot) external {
        address holder = _slots[market][classId][slot].node;
        require(holder != address(0), NotSlotHolder(slot, holder, msg.sender));
        NodeState memory node = _nodes[market][holder];
        require(node.stake < node.backing, SlotBacked(holder, node.stake, node.backing));
        _leave(market, classId, slot);
    }

    /// @inheritdoc IRegistry
    function freeSlot(address market, ClassId classId, uint24 slot) external {
        Slot memory left = _slots[market][classId][slot];
        require(left.node != address(0), NotSlotHolder(slot, left.node, msg.sender));
        require(left.leftAt != FOREVER, SlotServing(slot));
        uint256 from = uint256(left.leftAt) + unbondingPeriod;
        require(block.timestamp >= from, TooEarly(block.timestamp, from));
        delete _slots[market][classId][slot];
        _nodes[market][left.node].backing -= _classes[market][classId].slotStake;
        emit SlotFreed(classId, left.node, slot);
    }

    /// @inheritdoc IRegistry
    function commitAssignment(ClassId classId, uint24 slot, address node, uint96 amount) external {
        Slot memory held = _slots[msg.sender][classId][slot];
        require(held.node == node, NotSlotHolder(slot, held.node, node));
        require(held.leftAt == FOREVER, SlotLeft(slot, held.leftAt));
        NodeState storage state = _nodes[msg.sender][node];
        require(state.stake >= minStake, StakeBelowMinimum(node, state.stake, minStake));
        uint256 freeStake = _freeStake(state);
        require(freeStake >= amount, InsufficientStake(node, freeStake, amount));
        unchecked {
            // `amount <= freeStake <= stake`, which fits 88 bits.
            state.committed += uint88(amount);
        }
    }

    /// @inheritdoc IRegistry
    function commitSeat(address node, uint96 amount) external {
        _commit(node, amount);
    }

    /// @inheritdoc IRegistry
    function commitBond(ClassId classId, address node, uint96 amount) external {
        // Among strangers' nodes the bond would be theirs who take it: the owner chose the classes.
        if (_slotsHeld[msg.sender][classId][node] == 0) {
            address owner = vault.ownerOf(address(this), node);
            require(owner == address(0), NotInHand(node, owner, node));
        }
        _commit(node, amount);
    }

    /// @inheritdoc IRegistry
    function release(StakeShare[] calldata shares) external {
        for (uint256 i; i < shares.length; ++i) {
            _nodes[msg.sender][shares[i].node].committed -= uint256(shares[i].amount).toUint88();
        }
    }

    /// @inheritdoc IRegistry
    function slash(address node, uint96 committed, uint96 penalty, Payment[] calldata payments) external {
        NodeState storage state = _nodes[msg.sender][node];
        state.committed -= uint256(committed).toUint88();
        // The penalty is part of what was committed, and committed never exceeds stake: it is always there whole.
        state.stake -= uint256(penalty).toUint88();

        uint256 paid;
        for (uint256 i; i < payments.length; ++i) {
            paid += payments[i].amount;
        }
        require(penalty <= committed && paid <= penalty, InvalidSlash(node, committed, penalty, paid));
        emit Slashed(msg.sender, node, penalty, uint96(paid));

        vault.release(_lockId(msg.sender, node), payments, penalty - uint96(paid));
    }

    /// @inheritdoc IRegistry
    function fine(address node, uint96 amount) external returns (uint96 taken) {
        NodeState storage state = _nodes[msg.sender][node];
        uint256 fromStake = state.stake - state.committed;
        if (fromStake > amount) fromStake = amount;
        state.stake -= fromStake.toUint88();
        taken = fromStake.toUint96();
        if (taken < amount) {
            Unbonding storage unbonding = _unbonding[msg.sender][node];
            uint256 fromUnbonding = unbonding.amount;
            if (fromUnbonding > amount - taken) fromUnbonding = amount - taken;
            unbonding.amount -= fromUnbonding.toUint88();
            taken += fromUnbonding.toUint96();
        }
        emit Fined(msg.sender, node, amount, taken);

        if (taken != 0) vault.release(_lockId(msg.sender, node), new Payment[](0), taken);
    }

    /// @inheritdoc IRegistry
    function draw(
        address market,
        ClassId classId,
        bytes32 key,
        uint48 sealedAt,
        uint24 slots,
        address[] calldata skip,
        address[] calldata excluded,
        uint256 count
    ) external view returns (address[] memory drawn) {
        drawn = new address[](count);
        uint256 found;
        mapping(uint24 slot => Slot holder) storage pool = _slots[market][classId];
        uint256 places = slots < MAX_PLACES ? slots : MAX_PLACES;
        for (uint256 place; place < places && found < count; ++place) {
            Slot memory slot = pool[uint24(Permutation.elementAt(key, place, slots))];
            if (slot.node == address(0) || slot.activeFrom > sealedAt || slot.leftAt <= sealedAt) continue;
            if (_contains(skip, slot.node) || _contains(excluded, slot.node)) continue;
            bool again;
            for (uint256 i; i < found && !again; ++i) {
                again = drawn[i] == slot.node;
            }
            if (!again) drawn[found++] = slot.node;
        }
        assembly ("memory-safe") {
            // Shorten to what was found.
            mstore(drawn, found)
        }
    }

    function _stake(address market, address node, uint88 amount) private {
        require(amount != 0, ZeroStake());
        NodeState storage state = _nodes[market][node];
        uint88 total = state.stake + amount;
        state.stake = total;
        emit Staked(market, node, amount, total);

        vault.pledge(_lockId(market, node), node, msg.sender, amount);
    }

    function _unstake(address market, address node, uint88 amount) private {
        require(amount != 0, ZeroStake());
        _requireHand(node);
        NodeState storage state = _nodes[market][node];
        uint256 freeStake = _freeStake(state);
        require(freeStake >= amount, InsufficientStake(node, freeStake, amount));
        Unbonding storage unbonding = _unbonding[market][node];
        uint48 availableAt = (block.timestamp + unbondingPeriod).toUint48();
        state.stake -= amount;
        unbonding.amount += amount;
        unbonding.availableAt = availableAt;
        emit Unstaked(market, node, amount, availableAt);
    }

    function _withdrawStake(address market, address node) private {
        Unbonding memory unbonding = _unbonding[market][node];
        require(unbonding.amount != 0, NothingUnbonding(node));
        require(block.timestamp >= unbonding.availableAt, TooEarly(block.timestamp, unbonding.availableAt));
        delete _unbonding[market][node];
        emit StakeWithdrawn(market, node, unbonding.amount);

        Payment[] memory payments = new Payment[](1);
        payments[0] = Payment(node, unbonding.amount);
        vault.release(_lockId(market, node), payments, 0);
    }

    function _join(address market, ClassId classId, address node, uint24 slot) private returns (uint24) {
        ClassState storage state = _classes[market][classId];
        require(state.runtime != Runtime.None, UnknownClass(classId));
        uint24 slots = state.slots;
        // Whoever wants just any place must not lose a race for the next one.
        if (slot > slots) slot = slots;
        require(_slots[market][classId][slot].node == address(0), SlotTaken(slot, slots));
        _requireHand(node);
        NodeState storage held = _nodes[market][node];
        require(held.stake >= minStake, StakeBelowMinimum(node, held.stake, minStake));
        uint256 freeStake = _freeStake(held);
        require(freeStake >= state.slotStake, InsufficientStake(node, freeStake, state.slotStake));

        uint48 activeFrom = (block.timestamp + activationDelay).toUint48();
        held.backing += state.slotStake;
        _slots[market][classId][slot] = Slot(node, activeFrom, FOREVER);
        if (slot == slots) state.slots = slots + 1;
        if (++_slotsHeld[market][classId][node] == 1) ++state.nodes;
        emit Joined(classId, node, slot, activeFrom);
        return slot;
    }

    function _leave(address market, ClassId classId, uint24 slot) private {
        Slot storage held = _slots[market][classId][slot];
        require(held.leftAt == FOREVER, SlotLeft(slot, held.leftAt));
        uint48 leftAt = block.timestamp.toUint48();
        held.leftAt = leftAt;
        if (--_slotsHeld[market][classId][held.node] == 0) --_classes[market][classId].nodes;
        emit Left(classId, held.node, slot, leftAt);
    }

    /// @dev Commits stake of the calling market, slot backing included.
    function _commit(address node, uint96 amount) private {
        NodeState storage state = _nodes[msg.sender][node];
        uint256 freeStake = state.stake - state.committed;
        require(freeStake >= amount, InsufficientStake(node, freeStake, amount));
        unchecked {
            // `amount <= freeStake <= stake`, which fits 88 bits.
            state.committed += uint88(amount);
        }
    }

    /// @dev Reverts unless the caller disposes of the node's account: its owner, or the node where it is not entrusted.
    function _requireHand(address node) private view {
        address owner = vault.ownerOf(address(this), node);
        require(msg.sender == (owner == address(0) ? node : owner), NotInHand(node, owner, msg.sender));
    }

    /// @dev Stake that backs nothing; zero after losses that ate into the backing.
    function _freeStake(NodeState storage node) private view returns (uint256) {
        uint256 bound = uint256(node.committed) + node.backing;
        uint256 total = node.stake;
        return total > bound ? total - bound : 0;
    }

    function _lockId(address market, address node) private pure returns (bytes32) {
        return keccak256(abi.encode(market, node));
    }

    function _contains(address[] calldata list, address node) private pure returns (bool) {
        for (uint256 i; i < list.length; ++i) {
            if (list[i] == node) return true;
        }
        return false;
    }
}
