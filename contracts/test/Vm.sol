// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Vm: the cheatcodes of the test runner that these tests use
interface Vm {
    /// @notice Sets the time, seconds.
    function warp(uint256 timestamp) external;
    /// @notice Sets the block number.
    function roll(uint256 number) external;
    /// @notice The next call comes from `caller`.
    function prank(address caller) external;
    /// @notice Gives up on this input without failing.
    function assume(bool condition) external pure;
    /// @notice What `target` has stored at `slot`.
    function load(address target, bytes32 slot) external view returns (bytes32);
    /// @notice The creation code of a compiled contract, `file:name`.
    function getCode(string calldata artifact) external view returns (bytes memory);
    /// @notice The time as {warp} left it: the optimizer may believe `block.timestamp` constant within a call.
    function getBlockTimestamp() external view returns (uint256);
    /// @notice The block number as {roll} left it.
    function getBlockNumber() external view returns (uint256);
}

/// @dev Where the runner answers.
Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

/// @notice `x` brought into `least` … `most`, evenly.
function within(uint256 x, uint256 least, uint256 most) pure returns (uint256) {
    if (x >= least && x <= most) return x;
    unchecked {
        uint256 size = most - least + 1;
        return size == 0 ? x : least + x % size;
    }
}
