// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev Rounds of the Feistel network. Two already make a single image uniform; eight hide the rest of the order.
uint256 constant FEISTEL_ROUNDS = 8;

/// @title Permutation: a keyed order of 0 … n-1, any place of which can be read by itself
/// @notice A Feistel network over pairs (left, right) of digits in base `a = ceil(sqrt(n))`, restricted to 0 … n-1 by
/// walking along the cycle (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). The domain a*a exceeds n
/// by at most 2*sqrt(n), so the walk ends after little more than one step on average.
/// @dev Pure; `sdk/src/permutation.ts` is its twin.
library Permutation {
    /// @notice The element at `place` of the order that `key` gives 0 … n-1.
    /// @dev Requires place < n; the caller guarantees it.
    function elementAt(bytes32 key, uint256 place, uint256 n) internal pure returns (uint256 element) {
        uint256 a = _base(n);
        element = place;
        do {
            element = _forward(key, element, a);
        } while (element >= n);
    }

    /// @notice The place of `element` in that order: the inverse of {elementAt}.
    function placeOf(bytes32 key, uint256 element, uint256 n) internal pure returns (uint256 place) {
        uint256 a = _base(n);
        place = element;
        do {
            place = _backward(key, place, a);
        } while (place >= n);
    }

    /// @dev The least a with a*a >= n.
    function _base(uint256 n) private pure returns (uint256 a) {
        a = 1;
        if (n <= 1) return a;
        // Newton from above; n is at most 2^24 in every use, so this takes a handful of steps.
        uint256 x = n;
        uint256 y = (x + 1) / 2;
        while (y < x) {
            x = y;
            y = (x + n / x) / 2;
        }
        a = x * x == n ? x : x + 1;
    }

    function _forward(bytes32 key, uint256 x, uint256 a) private pure returns (uint256) {
        uint256 left = x / a;
        uint256 right = x % a;
        for (uint256 i; i < FEISTEL_ROUNDS; ++i) {
            (left, right) = (right, addmod(left, _digit(key, i, right, a), a));
        }
        return left * a + right;
    }

    function _backward(bytes32 key, uint256 x, uint256 a) private pure returns (uint256) {
        uint256 left = x / a;
        uint256 right = x % a;
        for (uint256 i = FEISTEL_ROUNDS; i != 0; --i) {
            (left, right) = (addmod(right, a - _digit(key, i - 1, left, a), a), left);
        }
        return left * a + right;
    }

    /// @dev keccak256(key, round * 2^128 + half) mod a; the bias of the remainder is below 2^-230.
    function _digit(bytes32 key, uint256 round, uint256 half, uint256 a) private pure returns (uint256 digit) {
        assembly ("memory-safe") {
            mstore(0x00, key)
            mstore(0x20, or(shl(128, round), half))
            digit := mod(keccak256(0x00, 0x40), a)
        }
    }
}
