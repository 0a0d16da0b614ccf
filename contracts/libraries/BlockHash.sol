// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IMarketEvents} from "../interfaces/IMarket.sol";

/// @dev EIP-2935: the system contract that keeps the last 8191 block hashes.
address constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

/// @title BlockHash: the hash of a past block for as long as the chain still tells
library BlockHash {
    /// @notice The hash of block `number`, or zero when it is not mined yet or too old.
    /// @dev 256 blocks everywhere; 8191 where the chain has EIP-2935.
    function read(uint256 number) internal view returns (bytes32 hash) {
        if (number >= block.number) return 0;
        hash = blockhash(number);
        if (hash == 0 && HISTORY.code.length != 0) {
            (bool success, bytes memory answer) = HISTORY.staticcall(abi.encode(number));
            if (success && answer.length == 32) hash = abi.decode(answer, (bytes32));
        }
    }

    /// @notice The hash of block `number`; reverts while it is not mined, and once it is too old.
    function mustRead(uint256 number) internal view returns (bytes32 hash) {
        require(block.number > number, IMarketEvents.TooEarly(block.number, number));
        hash = read(number);
        require(hash != 0, IMarketEvents.EntropyLost(number));
    }
}
