// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Account, IVault, Lock, Payment} from "./interfaces/IVault.sol";

/// @dev Where burned tokens go: nobody has its key, and every ERC-20 accepts it.
address constant DEAD = 0x000000000000000000000000000000000000dEaD;

/// @title See {IVault}
contract Vault is IVault, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @inheritdoc IVault
    IERC20 public immutable token;
    /// @inheritdoc IVault
    uint256 public total;
    /// @inheritdoc IVault
    uint256 public burned;

    mapping(address ledger => mapping(address holder => Account account)) private _accounts;
    mapping(address ledger => mapping(bytes32 id => Lock lock)) private _locks;

    constructor(IERC20 token_) {
        token = token_;
    }

    /// @inheritdoc IVault
    function available(address ledger, address holder) external view returns (uint256) {
        return _accounts[ledger][holder].available;
    }

    /// @inheritdoc IVault
    function ownerOf(address ledger, address holder) external view returns (address) {
        return _accounts[ledger][holder].owner;
    }

    /// @inheritdoc IVault
    function lockOf(address ledger, bytes32 id) external view returns (Lock memory) {
        return _locks[ledger][id];
    }

    /// @inheritdoc IVault
    function entrust(address ledger, address holder, address owner) external {
        Account storage account = _accounts[ledger][holder];
        _requireHand(account, holder, msg.sender);
        require(owner != address(0) && owner != holder, InvalidOwner(holder, owner));
        account.owner = owner;
        emit Entrusted(ledger, holder, owner);
    }

    /// @inheritdoc IVault
    function deposit(address ledger, address holder, uint256 amount) external nonReentrant {
        require(amount != 0, ZeroAmount());
        uint256 room = type(uint96).max - total;
        require(amount <= room, BeyondCapacity(amount, room));
        uint256 before = token.balanceOf(address(this));
        total += amount;
        _accounts[ledger][holder].available += uint96(amount);
        emit Deposited(ledger, holder, amount);

        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = token.balanceOf(address(this)) - before;
        require(arrived == amount, TransferMismatch(arrived, amount));
    }

    /// @inheritdoc IVault
    function withdraw(address ledger, uint256 amount, address to) external nonReentrant {
        Account storage account = _accounts[ledger][msg.sender];
        // Whoever has the holder's key can do no more with an entrusted account than pay its owner.
        if (to != account.owner) _requireHand(account, msg.sender, msg.sender);
        _withdraw(account, ledger, msg.sender, amount, to);
    }

    /// @inheritdoc IVault
    function withdrawFor(address ledger, address holder, uint256 amount, address to) external nonReentrant {
        Account storage account = _accounts[ledger][holder];
        _requireHand(account, holder, msg.sender);
        _withdraw(account, ledger, holder, amount, to);
    }

    /// @inheritdoc IVault
    function move(address from, address to, uint256 amount) external {
        Account storage account = _accounts[from][msg.sender];
        _requireHand(account, msg.sender, msg.sender);
        _take(account, msg.sender, amount);
        _accounts[to][msg.sender].available += uint96(amount);
        emit Moved(from, to, msg.sender, amount);
    }

    /// @inheritdoc IVault
    function lock(bytes32 id, address holder, uint96 amount) external {
        _lock(id, holder, holder, amount);
    }

    /// @inheritdoc IVault
    function pledge(bytes32 id, address holder, address hand, uint96 amount) external {
        _lock(id, holder, hand, amount);
    }

    /// @inheritdoc IVault
    function release(bytes32 id, Payment[] calldata payments, uint96 burn) external {
        Lock storage stored = _locks[msg.sender][id];
        uint96 left = _pay(id, stored.amount, payments, burn);
        if (left == 0) delete _locks[msg.sender][id];
        else stored.amount = left;
        emit Released(msg.sender, id, payments, burn, 0);
    }

    /// @inheritdoc IVault
    function close(bytes32 id, Payment[] calldata payments, uint96 burn) external {
        Lock memory stored = _locks[msg.sender][id];
        uint96 left = _pay(id, stored.amount, payments, burn);
        delete _locks[msg.sender][id];
        if (left != 0) _accounts[msg.sender][stored.holder].available += left;
        emit Released(msg.sender, id, payments, burn, left);
    }

    /// @inheritdoc IVault
    function sweepBurned() external nonReentrant {
        uint256 amount = burned;
        require(amount != 0, ZeroAmount());
        burned = 0;
        total -= amount;
        emit Swept(amount);

        _send(DEAD, amount);
    }

    /// @dev Reverts unless `hand` disposes of the account: its owner, or its holder where it is not entrusted.
    function _requireHand(Account storage account, address holder, address hand) private view {
        address owner = account.owner;
        require(hand == (owner == address(0) ? holder : owner), NotInHand(holder, owner, hand));
    }

    /// @dev Takes `amount` out of an account or says what is missing.
    function _take(Account storage account, address holder, uint256 amount) private {
        require(amount != 0, ZeroAmount());
        uint96 has = account.available;
        require(has >= amount, InsufficientAvailable(holder, has, amount));
        unchecked {
            // `amount <= has`, which fits 96 bits.
            account.available = has - uint96(amount);
        }
    }

    /// @dev Takes and sends.
    function _withdraw(Account storage account, address ledger, address holder, uint256 amount, address to) private {
        _take(account, holder, amount);
        total -= amount;
        emit Withdrawn(ledger, holder, to, amount);

        _send(to, amount);
    }

    /// @dev Sets aside in the caller's ledger what `hand` disposes of.
    function _lock(bytes32 id, address holder, address hand, uint96 amount) private {
        Lock storage stored = _locks[msg.sender][id];
        address current = stored.holder;
        require(current == address(0) || current == holder, LockHeldByAnother(id, current, holder));
        Account storage account = _accounts[msg.sender][holder];
        _requireHand(account, holder, hand);
        _take(account, holder, amount);
        stored.holder = holder;
        stored.amount += amount;
        emit Locked(msg.sender, id, holder, amount);
    }

    /// @dev Credits `payments` in the caller's ledger and burns; returns what is left of `locked`.
    function _pay(bytes32 id, uint96 locked, Payment[] calldata payments, uint96 burn) private returns (uint96 left) {
        uint256 spent = burn;
        for (uint256 i; i < payments.length; ++i) {
            spent += payments[i].amount;
            _accounts[msg.sender][payments[i].to].available += payments[i].amount;
        }
        require(spent <= locked, InsufficientLocked(id, locked, spent));
        if (burn != 0) burned += burn;
        unchecked {
            // `spent <= locked` and `locked` fits 96 bits.
            left = uint96(locked - spent);
        }
    }

    /// @dev Sends tokens out and checks that exactly that much left.
    function _send(address to, uint256 amount) private {
        uint256 before = token.balanceOf(address(this));
        token.safeTransfer(to, amount);
        uint256 left = before - token.balanceOf(address(this));
        require(left == amount, TransferMismatch(left, amount));
    }
}
