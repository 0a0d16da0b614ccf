// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice Money set aside for one matter. It leaves only through the release of that matter's id.
/// @param holder Whose available money it was; a remainder returns there.
/// @param amount Base units of the token still set aside.
struct Lock {
    address holder;
    uint96 amount;
}

/// @notice One credit out of a lock.
/// @param to Whose available money grows.
/// @param amount Base units of the token.
struct Payment {
    address to;
    uint96 amount;
}

/// @title Vault: the one contract that holds the token
/// @notice Accounts are kept in *ledgers*. A ledger belongs to the contract whose address names it (a market, a
/// registry): only that contract can lock and release in it, and only among its own accounts. Whoever deposits into a
/// ledger trusts the contract that names it and no other, so new modes of work need no permission here and put nobody
/// else's money at risk.
/// @dev No owner, no proxy, no pause. Tokens move only in {deposit}, {withdraw} and {sweepBurned}, so that no recipient
/// can block another's payment. Trusts the token to be an ERC-20 without fee on transfer and without rebasing: a deposit
/// that does not arrive whole is refused. Money sent to the vault by a plain transfer is a donation nobody can claim.
///
/// INVARIANT V1: sum(available) + sum(locks) + burned == total <= token.balanceOf(vault).
/// INVARIANT V2: no call by a ledger's contract changes another ledger.
interface IVault {
    /// @notice Money arrived in `holder`'s account of `ledger`.
    event Deposited(address indexed ledger, address indexed holder, uint256 amount);
    /// @notice Money left `holder`'s account of `ledger` to `to`.
    event Withdrawn(address indexed ledger, address indexed holder, address to, uint256 amount);
    /// @notice `holder` moved its own available money between ledgers.
    event Moved(address indexed from, address indexed to, address indexed holder, uint256 amount);
    /// @notice `amount` of `holder`'s available money was set aside under `id`.
    event Locked(address indexed ledger, bytes32 indexed id, address indexed holder, uint96 amount);
    /// @notice Money left the lock `id`: to accounts, to the fire, and, if it ended, the remainder to its holder.
    event Released(address indexed ledger, bytes32 indexed id, Payment[] payments, uint96 burned, uint96 returned);
    /// @notice Burned money was sent out of circulation.
    event Swept(uint256 amount);

    /// @notice An amount of zero moves nothing and is refused.
    error ZeroAmount();
    /// @notice The token delivered `actual` instead of `expected`: it takes fees or rebases.
    error TransferMismatch(uint256 actual, uint256 expected);
    /// @notice `holder` has `available` in this ledger and needs `required`.
    error InsufficientAvailable(address holder, uint256 available, uint256 required);
    /// @notice The lock `id` is `current`'s, not `expected`'s.
    error LockHeldByAnother(bytes32 id, address current, address expected);
    /// @notice The lock `id` has `locked` and the release needs `required`.
    error InsufficientLocked(bytes32 id, uint256 locked, uint256 required);

    /// @notice The one token this vault holds.
    function token() external view returns (IERC20);

    /// @notice Money `holder` can withdraw or a ledger's contract can lock, base units.
    function available(address ledger, address holder) external view returns (uint256);

    /// @notice What is set aside under `id` in `ledger`.
    function lockOf(address ledger, bytes32 id) external view returns (Lock memory);

    /// @notice What the vault owes: all accounts, locks and what was burned but not swept, base units.
    function total() external view returns (uint256);

    /// @notice What was burned and not swept yet, base units.
    function burned() external view returns (uint256);

    /// @notice Brings `amount` from the caller into `holder`'s account of `ledger`. Needs an allowance.
    function deposit(address ledger, address holder, uint256 amount) external;

    /// @notice Sends `amount` of the caller's available money in `ledger` to `to`.
    function withdraw(address ledger, uint256 amount, address to) external;

    /// @notice Moves `amount` of the caller's available money from ledger `from` to ledger `to`.
    function move(address from, address to, uint256 amount) external;

    /// @notice Sets `amount` of `holder`'s available money in the caller's ledger aside under `id`; adds to what is there.
    function lock(bytes32 id, address holder, uint96 amount) external;

    /// @notice Pays out of the lock `id` of the caller's ledger and burns `burn`; the rest stays locked.
    function release(bytes32 id, Payment[] calldata payments, uint96 burn) external;

    /// @notice Pays out of the lock `id`, burns `burn`, returns the rest to the holder: the lock is gone.
    function close(bytes32 id, Payment[] calldata payments, uint96 burn) external;

    /// @notice Sends what was burned to the dead address. Anybody may call.
    function sweepBurned() external;
}
