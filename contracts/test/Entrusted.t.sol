// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IVault, Lock, Payment} from "../interfaces/IVault.sol";
import {vm} from "./Vm.sol";

address constant HOT = address(0x407);
address constant OWNER = address(0x0133E);
address constant THIEF = address(0x7413F);
/// @dev A ledger whose contract is the thief's.
address constant DEN = address(0xDE3);
bytes32 constant STAKE = "stake";

/// @title A ledger's contract that keeps to the rules, an owner, and a thief that has the holder's key
contract EntrustedActors {
    IVault public immutable vault;
    IERC20 public immutable token;
    uint256 public put;
    uint256 public burned;

    constructor() {
        token = IERC20(_deploy("SuretyToken", abi.encode(address(this), 1e30)));
        vault = IVault(_deploy("Vault", abi.encode(token)));
        token.approve(address(vault), type(uint256).max);
        vm.prank(HOT);
        vault.entrust(address(this), HOT, OWNER);
        earn(1_000_000);
    }

    function _deploy(string memory name, bytes memory arguments) private returns (address made) {
        bytes memory code = bytes.concat(vm.getCode(string.concat("contracts/", name, ".sol:", name)), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), name);
    }

    // --- What is honest ----------------------------------------------------------------------------------------------

    function earn(uint256 dice) public {
        uint256 amount = 1 + dice % 1_000_000;
        vault.deposit(address(this), HOT, amount);
        put += amount;
    }

    /// @notice The owner stakes, part of it is lost, and the rest comes back.
    function stake(uint96 dice) external {
        uint96 amount = _some(dice);
        if (amount == 0) return;
        vault.pledge(STAKE, HOT, OWNER, amount);
        if (dice % 3 == 0) return;
        uint96 lost = vault.lockOf(address(this), STAKE).amount / 3;
        burned += lost;
        vault.close(STAKE, new Payment[](0), lost);
    }

    function withdrawAsOwner(uint96 dice) external {
        uint96 amount = _some(dice);
        if (amount == 0) return;
        vm.prank(OWNER);
        vault.withdrawFor(address(this), HOT, amount, OWNER);
    }

    /// @notice A sweep of what was earned, by whoever has the key.
    function withdrawToOwner(uint96 dice) external {
        uint96 amount = _some(dice);
        if (amount == 0) return;
        vm.prank(HOT);
        vault.withdraw(address(this), amount, OWNER);
    }

    // --- What the thief tries ----------------------------------------------------------------------------------------

    function steal(uint256 dice) external {
        uint96 amount = uint96(1 + (dice >> 32) % 1_000_000);
        address by = dice % 2 == 0 ? HOT : THIEF;
        address to = (dice >> 8) % 2 == 0 ? by : THIEF;
        uint256 kind = (dice >> 16) % 9;
        address ledger = (dice >> 24) % 2 == 0 ? address(this) : DEN;
        if (kind < 5) vm.prank(by);
        else if (kind < 7) vm.prank(DEN);
        if (kind == 0) try vault.withdraw(ledger, amount, to) {} catch {}
        else if (kind == 1) try vault.withdrawFor(ledger, HOT, amount, to) {} catch {}
        else if (kind == 2) try vault.move(address(this), DEN, amount) {} catch {}
        else if (kind == 3) try vault.entrust(ledger, HOT, THIEF) {} catch {}
        else if (kind == 4) try vault.entrust(DEN, HOT, OWNER) {} catch {}
        else if (kind == 5) try vault.pledge(STAKE, HOT, dice % 2 == 0 ? HOT : OWNER, amount) {} catch {}
        else if (kind == 6) try vault.release(STAKE, _payment(THIEF, amount), 0) {} catch {}
        // The rules of a ledger's contract ask who called; the vault refuses those that forget to.
        else if (kind == 7) try vault.lock("escrow", HOT, amount) { require(false, "V5: a lock"); } catch {}
        else try vault.pledge("escrow", HOT, by, amount) { require(false, "V5: a pledge"); } catch {}
    }

    // --- What must hold ----------------------------------------------------------------------------------------------

    function requireKept() external view {
        require(vault.ownerOf(address(this), HOT) == OWNER, "V5: another owner");
        require(token.balanceOf(HOT) == 0 && token.balanceOf(THIEF) == 0, "V5: tokens left to a thief");
        require(
            vault.available(DEN, HOT) == 0 && vault.available(DEN, THIEF) == 0
                && vault.available(address(this), THIEF) == 0,
            "V5: money moved to a thief"
        );
        uint256 has = vault.available(address(this), HOT) + vault.lockOf(address(this), STAKE).amount;
        require(has + token.balanceOf(OWNER) + burned == put, "V5: something is missing");
        require(vault.total() == has + vault.burned(), "V1: accounts, locks and burned are not the total");
    }

    function _some(uint96 dice) private view returns (uint96) {
        uint256 has = vault.available(address(this), HOT);
        return has == 0 ? 0 : uint96(1 + dice % has);
    }

    function _payment(address to, uint96 amount) private pure returns (Payment[] memory payments) {
        payments = new Payment[](1);
        payments[0] = Payment(to, amount);
    }
}

/// @title V5: what is in an entrusted account leaves it to its owner or at its owner's word
contract EntrustedInvariantsTest {
    EntrustedActors private actors;

    function setUp() external {
        actors = new EntrustedActors();
    }

    /// @dev Asked by the runner.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_aThiefOfTheHoldersKeyGetsNothing() external view {
        actors.requireKept();
    }
}

/// @title What a deposit into one slot must not do: overflow, or touch the owner beside it
contract AccountTest {
    IVault private vault;

    function setUp() external {
        EntrustedActors actors = new EntrustedActors();
        vault = actors.vault();
        IERC20 token = actors.token();
        vm.prank(address(actors));
        token.transfer(address(this), 1e29);
        token.approve(address(vault), type(uint256).max);
    }

    function testFuzz_keepsOwnerAndAmountApart(address holder, address owner, uint256 amount, uint96 taken) external {
        vm.assume(owner != address(0) && owner != holder && holder != address(0) && owner != address(vault));
        uint256 room = type(uint96).max - vault.total();
        vm.prank(holder);
        vault.entrust(address(this), holder, owner);
        try vault.deposit(address(this), holder, amount) {
            require(amount != 0 && amount <= room, "took more than there is room for");
        } catch {
            require(amount == 0 || amount > room, "refused what there is room for");
            amount = room;
            vault.deposit(address(this), holder, amount);
        }
        require(vault.ownerOf(address(this), holder) == owner, "the owner is another");
        require(vault.available(address(this), holder) == amount, "the amount is another");
        if (taken == 0 || taken > amount) return;
        vault.pledge("id", holder, owner, taken);
        Lock memory held = vault.lockOf(address(this), "id");
        require(held.holder == holder && held.amount == taken, "another lock");
        require(vault.available(address(this), holder) == amount - taken, "another rest");
        vault.close("id", new Payment[](0), 0);
        require(vault.available(address(this), holder) == amount, "not all came back");
        require(vault.ownerOf(address(this), holder) == owner, "the owner is another");
    }
}
