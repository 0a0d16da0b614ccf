// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Batch, BatchId, CONTEST_FINE, IMarketEvents, Mode, Parameters, Terms} from "../interfaces/IMarket.sol";
import {IVault, Payment} from "../interfaces/IVault.sol";
import {Book, Context} from "./Book.sol";
import {Clock} from "./Clock.sol";
import {PPM, Sampling} from "./Sampling.sol";
import {TermsRules} from "./TermsRules.sol";

/// @title Pricing: what a batch locks, and the one change of its price
library Pricing {
    using SafeCast for uint256;

    /// @notice Pay and verification budget, and bond, of `count` tasks at `price`.
    /// @dev escrow = count*price + maxSampled*(quorum-1)*verifierPrice; bond = bondFixed + escrow*bondShare.
    function quote(Terms calldata terms, uint96 price, uint24 count, uint96 bondFixed, uint256 bondShare)
        internal
        pure
        returns (uint96 escrow, uint96 bond)
    {
        uint256 budget = uint256(count) * price;
        if (terms.mode != Mode.Trusted) {
            budget += Sampling.maxSampled(count, terms.rate) * (terms.quorum - 1) * terms.verifierPrice;
        }
        escrow = budget.toUint96();
        bond = (bondFixed + budget * bondShare / PPM).toUint96();
    }

    /// @notice Seats of a jury: 2q+1, and twice as many in the second.
    function jurySeats(Terms calldata terms, uint256 tier) internal pure returns (uint256) {
        return tier * (2 * uint256(terms.quorum) + 1);
    }

    /// @notice See {IDisputes.reserve}.
    /// @dev amount = max(bondFixed, count*price) + what both juries cost + challengeBond: a requester that accused falsely
    /// loses the first and pays the rest. The batch's bond holds count*price*bondShare of it for every assignment.
    function reserve(Terms calldata terms, uint96 price, uint256 count, Parameters memory parameters)
        internal
        pure
        returns (uint96 amount, uint96 beyondBond)
    {
        uint256 worth = count * price;
        uint256 penalty = worth > parameters.bondFixed ? worth : parameters.bondFixed;
        uint256 juries = (jurySeats(terms, 1) + jurySeats(terms, 2)) * terms.verifierPrice;
        amount = (penalty + juries + parameters.challengeBond).toUint96();
        // Never negative: bondShare is at most the whole.
        beyondBond = (amount - worth * parameters.bondShare / PPM).toUint96();
    }

    /// @notice What a contest locks: the first jury, the accused's allowance, and the fine for losing it.
    /// @param pay Of the accused.
    function contestBond(Terms calldata terms, uint256 pay, uint96 challengeBond) internal pure returns (uint96) {
        return (jurySeats(terms, 1) * terms.verifierPrice + challengeBond + pay * CONTEST_FINE / PPM).toUint96();
    }

    /// @notice See {IPanels.rebid}.
    function rebid(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Context memory context,
        IVault vault,
        Parameters memory parameters,
        uint96 price
    ) internal {
        require(msg.sender == terms.requester, IMarketEvents.NotPermitted(msg.sender, terms.requester));
        require(!context.state.rebid && context.state.slices == 0, IMarketEvents.CannotRebid(context.id));
        Clock.requireBefore(uint256(context.state.postedAt) + terms.windows.claim);
        if (terms.mode != Mode.Trusted) {
            require(
                price <= terms.verifierPrice, IMarketEvents.TermOutOfRange("price", price, 1, terms.verifierPrice)
            );
        }
        TermsRules.checkPrice(
            terms, price, context.registry.classState(address(this), terms.class), parameters
        );
        uint96 old = _locked(terms, terms.price, batch.count, parameters);
        uint96 wanted = _locked(terms, price, batch.count, parameters);
        book.batches[context.id].rebid = true;
        book.rebids[context.id] = price;
        emit IMarketEvents.BatchRebid(context.id, price);

        bytes32 lockId = BatchId.unwrap(context.id);
        if (wanted > old) {
            vault.lock(lockId, msg.sender, wanted - old);
        } else if (wanted < old) {
            Payment[] memory payments = new Payment[](1);
            payments[0] = Payment(msg.sender, old - wanted);
            vault.release(lockId, payments, 0);
        }
    }

    function _locked(Terms calldata terms, uint96 price, uint24 count, Parameters memory parameters)
        private
        pure
        returns (uint96)
    {
        (uint96 escrow, uint96 bond) = quote(terms, price, count, parameters.bondFixed, parameters.bondShare);
        return escrow + bond;
    }
}
