// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    HONEST_SHARE,
    IMarketEvents,
    MAX_LISTED,
    MAX_QUORUM,
    Mode,
    Parameters,
    SLASH_FACTOR,
    Terms
} from "../interfaces/IMarket.sol";
import {ClassState, Runtime} from "../interfaces/IRegistry.sol";
import {PPM} from "./Sampling.sol";

/// @title TermsRules: what a job may ask
/// @dev The bounds that keep honesty profitable are derived in docs/economics.md.
library TermsRules {
    /// @notice Reverts with the first field that is out of range.
    function check(Terms calldata terms, ClassState memory host, Parameters memory parameters) internal pure {
        require(host.runtime != Runtime.None, IMarketEvents.ClassTooSmall(terms.class, 0, 1));
        _range("mode", uint8(terms.mode), uint8(Mode.Trusted), uint8(Mode.Replicated));
        require(
            terms.encryptionKey.length == 33 && (terms.encryptionKey[0] == 0x02 || terms.encryptionKey[0] == 0x03),
            IMarketEvents.InvalidKey(terms.encryptionKey)
        );
        _range("maxShare", terms.maxShare, 1, PPM);
        _range("minSlice", terms.minSlice, 1, type(uint24).max);
        _range("excluded", terms.excluded.length, 0, _least(MAX_LISTED, host.nodes / 3));
        _window("claim", terms.windows.claim, parameters);
        _window("submit", terms.windows.submit, parameters);
        _window("reveal", terms.windows.reveal, parameters);
        _window("check", terms.windows.check, parameters);
        _window("judge", terms.windows.judge, parameters);
        _window("challenge", terms.windows.challenge, parameters);

        if (terms.mode == Mode.Trusted) {
            _range("rate", terms.rate, 0, 0);
            _range("allowed", terms.allowed.length, 1, MAX_LISTED);
        } else {
            _range("rate", terms.rate, terms.mode == Mode.Replicated ? PPM : 1, PPM);
            _range("allowed", terms.allowed.length, 0, 0);
            // An even quorum can tie; three is the least that has a majority against one.
            _range("quorum", terms.quorum, 3, MAX_QUORUM);
            _range("quorum parity", terms.quorum % 2, 1, 1);
            // A chance of one would make the bound below infinite.
            _range("guess", terms.guess, 0, PPM - 1);
            _range("verifierPrice", terms.verifierPrice, terms.price, type(uint96).max);
            _range("fullSlash", terms.fullSlash ? 1 : 0, 0, host.fullSlash ? 1 : 0);
            // Replicating adaptively would run everything twice and believe a tie.
            _range("adaptive", terms.adaptive ? 1 : 0, 0, terms.mode == Mode.Replicated ? 0 : 1);
        }
        checkPrice(terms, terms.price, host, parameters);
    }

    /// @notice Reverts unless `price` is at least the class's floor and small enough for the slash to deter.
    /// @dev slashAmount >= max(lambda * price / (rate * (1-guess)),
    ///                         ((2q+1) * verifierPrice + challengeBond) / (1-honestShare)),
    /// the second so that a lost dispute's jury is paid out of the slash. See docs/economics.md.
    function checkPrice(Terms calldata terms, uint96 price, ClassState memory host, Parameters memory parameters)
        internal
        pure
    {
        _range("price", price, host.priceFloor, type(uint96).max);
        if (terms.mode == Mode.Trusted) {
            _range("slashAmount", terms.slashAmount, 0, host.slotStake);
            return;
        }
        uint256 deterrent =
            _ceil(SLASH_FACTOR * price * PPM * PPM, uint256(terms.rate) * (PPM - terms.guess));
        uint256 juryCost = _ceil(
            ((2 * uint256(terms.quorum) + 1) * terms.verifierPrice + parameters.challengeBond) * PPM,
            PPM - HONEST_SHARE
        );
        _range("slashAmount", terms.slashAmount, deterrent > juryCost ? deterrent : juryCost, host.slotStake);
    }

    function _window(bytes32 name, uint256 length, Parameters memory parameters) private pure {
        _range(name, length, parameters.minWindow, parameters.maxWindow);
    }

    function _range(bytes32 field, uint256 actual, uint256 least, uint256 most) private pure {
        require(actual >= least && actual <= most, IMarketEvents.TermOutOfRange(field, actual, least, most));
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    function _ceil(uint256 a, uint256 b) private pure returns (uint256) {
        return (a + b - 1) / b;
    }
}
