// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IVault, Lock, Payment} from "./interfaces/IVault.sol";

/// @dev Where burned tokens go: nobody has its key, and every ERC-20 accepts it.
address constant DEAD = 0x000000000000000000000000000000000000dEaD;

/// @title See {IVault}
contract Vault is IVault, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @inheritdoc IVault
    IERC20 public immutable token;
    /// @inheritdoc IVault
    mapping(address ledger => mapping(address holder => uint256 amount)) public available;
    /// @inheritdoc IVault
    uint256 public total;
    /// @inheritdoc IVault
    uint256 public burned;

    mapping(address ledger => mapping(bytes32 id => Lock lock)) private _locks;

    constructor(IERC20 token_) {
        token = token_;
    }

    /// @inheritdoc IVault
    function lockOf(address ledger, bytes32 id) external view returns (Lock memory) {
        return _locks[ledger][id];
    }

    /// @inheritdoc IVault
    function deposit(address ledger, address holder, uint256 amount) external nonReentrant {
        require(amount != 0, ZeroAmount());
        uint256 before = token.balanceOf(address(this));
        available[ledger][holder] += amount;
        total += amount;
        emit Deposited(ledger, holder, amount);

        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = token.balanceOf(address(this)) - before;
        require(arrived == amount, TransferMismatch(arrived, amount));
    }

    /// @inheritdoc IVault
    function withdraw(address ledger, uint256 amount, address to) external nonReentrant {
        _take(ledger, msg.sender, amount);
        total -= amount;
        emit Withdrawn(ledger, msg.sender, to, amount);

        _send(to, amount);
    }

    /// @inheritdoc IVault
    function move(address from, address to, uint256 amount) external {
        _take(from, msg.sender, amount);
        available[to][msg.sender] += amount;
        emit Moved(from, to, msg.sender, amount);
    }

    /// @inheritdoc IVault
    function lock(bytes32 id, address holder, uint96 amount) external {
        Lock storage stored = _locks[msg.sender][id];
        address current = stored.holder;
        require(current == address(0) || current == holder, LockHeldByAnother(id, current, holder));
        _take(msg.sender, holder, amount);
        stored.holder = holder;
        stored.amount += amount;
        emit Locked(msg.sender, id, holder, amount);
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
        if (left != 0) available[msg.sender][stored.holder] += left;
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

    /// @dev Takes `amount` out of an account or says what is missing.
    function _take(address ledger, address holder, uint256 amount) private {
        require(amount != 0, ZeroAmount());
        uint256 has = available[ledger][holder];
        require(has >= amount, InsufficientAvailable(holder, has, amount));
        unchecked {
            available[ledger][holder] = has - amount;
        }
    }

    /// @dev Credits `payments` in the caller's ledger and burns; returns what is left of `locked`.
    function _pay(bytes32 id, uint96 locked, Payment[] calldata payments, uint96 burn) private returns (uint96 left) {
        uint256 spent = burn;
        for (uint256 i; i < payments.length; ++i) {
            spent += payments[i].amount;
            available[msg.sender][payments[i].to] += payments[i].amount;
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
