// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IMarketEvents} from "../interfaces/IMarket.sol";

/// @title Clock: which side of a deadline it is
/// @notice A step is possible up to and including the second of its deadline; what follows from missing it, only after.
library Clock {
    /// @notice Reverts once the deadline has passed.
    function requireBefore(uint256 deadline) internal view {
        require(block.timestamp <= deadline, IMarketEvents.TooLate(block.timestamp, deadline));
    }

    /// @notice Reverts until the deadline has passed.
    function requireAfter(uint256 deadline) internal view {
        require(block.timestamp > deadline, IMarketEvents.TooEarly(block.timestamp, deadline));
    }
}
