// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice Available money of one holder in one ledger, in one storage slot.
/// @param available Base units of the token.
/// @param owner Who disposes of it in the holder's place; zero: the holder itself.
struct Account {
    uint96 available;
    address owner;
}

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
/// @dev No owner, no proxy, no pause. Tokens move only in {deposit}, {withdraw}, {withdrawFor} and {sweepBurned}, so
/// that no recipient can block another's payment. Trusts the token to be an ERC-20 without fee on transfer and without
/// rebasing: a deposit that does not arrive whole is refused. Money sent to the vault by a plain transfer is a donation
/// nobody can claim.
///
/// An account can be *entrusted* to an owner, who then disposes of it in the holder's place: the holder's key can lie on a
/// machine that is exposed, and the owner's need not. Who steals the holder's key can pay the owner and nobody else. The
/// holder entrusts a fresh account itself; after that only the owner can hand it on. Look at {ownerOf} before you deposit:
/// a thief may have been first. Each ledger's account is entrusted for itself.
///
/// INVARIANT V1: sum(available) + sum(locks) + burned == total <= token.balanceOf(vault).
/// INVARIANT V2: no call by a ledger's contract changes another ledger.
/// INVARIANT V5: what is in an entrusted account leaves it only to its owner, by a call of its owner, or into a lock that
/// the ledger's contract made because its owner called for it.
interface IVault {
    /// @notice Money arrived in `holder`'s account of `ledger`.
    event Deposited(address indexed ledger, address indexed holder, uint256 amount);
    /// @notice `owner` disposes of `holder`'s account of `ledger` from now on.
    event Entrusted(address indexed ledger, address indexed holder, address indexed owner);
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
    /// @notice The vault holds at most 2^96-1 base units; there is `room` for less than `amount`.
    error BeyondCapacity(uint256 amount, uint256 room);
    /// @notice `owner` disposes of `holder`'s account (zero: the holder itself), not `caller`.
    error NotInHand(address holder, address owner, address caller);
    /// @notice An owner is somebody, and somebody else than the holder.
    error InvalidOwner(address holder, address owner);
    /// @notice The lock `id` is `current`'s, not `expected`'s.
    error LockHeldByAnother(bytes32 id, address current, address expected);
    /// @notice The lock `id` has `locked` and the release needs `required`.
    error InsufficientLocked(bytes32 id, uint256 locked, uint256 required);

    /// @notice The one token this vault holds.
    function token() external view returns (IERC20);

    /// @notice Money `holder` can withdraw or a ledger's contract can lock, base units.
    function available(address ledger, address holder) external view returns (uint256);

    /// @notice Who disposes of `holder`'s account of `ledger` in the holder's place; zero: nobody does.
    function ownerOf(address ledger, address holder) external view returns (address);

    /// @notice What is set aside under `id` in `ledger`.
    function lockOf(address ledger, bytes32 id) external view returns (Lock memory);

    /// @notice What the vault owes: all accounts, locks and what was burned but not swept, base units.
    function total() external view returns (uint256);

    /// @notice What was burned and not swept yet, base units.
    function burned() external view returns (uint256);

    /// @notice Brings `amount` from the caller into `holder`'s account of `ledger`. Needs an allowance.
    function deposit(address ledger, address holder, uint256 amount) external;

    /// @notice Gives `holder`'s account of `ledger` into the hands of `owner`: what is in it, what will come, and what returns
    /// from its locks. By the holder, the first time; by the owner from then on. There is no way back but another owner.
    function entrust(address ledger, address holder, address owner) external;

    /// @notice Sends `amount` of the caller's available money in `ledger` to `to`. Out of an entrusted account only to its
    /// owner.
    function withdraw(address ledger, uint256 amount, address to) external;

    /// @notice As {withdraw}, out of `holder`'s account, by whoever disposes of it.
    function withdrawFor(address ledger, address holder, uint256 amount, address to) external;

    /// @notice Moves `amount` of the caller's available money from ledger `from` to ledger `to`. Not out of an entrusted
    /// account: whoever names `to` could be a thief's accomplice.
    function move(address from, address to, uint256 amount) external;

    /// @notice Sets `amount` of `holder`'s available money in the caller's ledger aside under `id`; adds to what is there.
    /// Not out of an entrusted account.
    function lock(bytes32 id, address holder, uint96 amount) external;

    /// @notice As {lock}, where `hand` called the ledger's contract for it: `hand` must dispose of the account.
    function pledge(bytes32 id, address holder, address hand, uint96 amount) external;

    /// @notice Pays out of the lock `id` of the caller's ledger and burns `burn`; the rest stays locked.
    function release(bytes32 id, Payment[] calldata payments, uint96 burn) external;

    /// @notice Pays out of the lock `id`, burns `burn`, returns the rest to the holder: the lock is gone.
    function close(bytes32 id, Payment[] calldata payments, uint96 burn) external;

    /// @notice Sends what was burned to the dead address. Anybody may call.
    function sweepBurned() external;
}
