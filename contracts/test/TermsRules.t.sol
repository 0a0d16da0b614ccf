// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Mode, Parameters, Terms, Windows} from "../interfaces/IMarket.sol";
import {ClassId, ClassState, Runtime} from "../interfaces/IRegistry.sol";
import {TermsRules} from "../libraries/TermsRules.sol";
import {within} from "./Vm.sol";

contract TermsRulesTest {
    uint256 private constant PPM = 1_000_000;

    /// @notice One call apart, so that its revert can be caught.
    function check(Terms calldata terms, ClassState memory class, Parameters memory parameters) external pure {
        TermsRules.check(terms, class, parameters);
    }

    /// @dev Numbers next to their bounds, so that both sides are met often.
    function testFuzz_takesExactlyWhatIsWithinBounds(uint256[16] memory dice) external view {
        Parameters memory parameters = Parameters(60, 86_400, 4, 90, 5_000, 50_000, uint96(dice[0] % 1_000));
        ClassState memory class = ClassState(
            Runtime.Wasm,
            dice[1] % 4 != 0,
            uint80(within(dice[1], 1, 10 ** within(dice[2], 4, 24))),
            uint96(within(dice[3], 2, 1_000)),
            20,
            12
        );
        Terms memory terms = _terms(dice, class, parameters);
        bool allowed = _allowed(terms, class, parameters);
        try this.check(terms, class, parameters) {
            require(allowed, "took what is out of bounds");
        } catch {
            require(!allowed, "refused what is within bounds");
        }
    }

    /// @dev Whatever is allowed, lying about one task costs at least twice what it can gain.
    function testFuzz_neverLetsALiePay(uint256[16] memory dice) external view {
        Parameters memory parameters = Parameters(60, 86_400, 4, 90, 5_000, 50_000, uint96(dice[0] % 1_000));
        ClassState memory class = ClassState(Runtime.Wasm, true, type(uint80).max, 2, 20, 12);
        Terms memory terms = _terms(dice, class, parameters);
        terms.mode = Mode.Sampled;
        terms.allowed = new address[](0);
        try this.check(terms, class, parameters) {
            // The chance of being sampled and not having guessed, times the slash, against the price, all times PPM^2.
            uint256 expected = uint256(terms.rate) * (PPM - terms.guess) * terms.slashAmount;
            require(expected >= 2 * uint256(terms.price) * PPM * PPM, "a lie pays");
            uint256 afterReward = uint256(terms.slashAmount) - uint256(terms.slashAmount) / 10;
            uint256 jury = (2 * uint256(terms.quorum) + 1) * terms.verifierPrice + parameters.challengeBond;
            require(afterReward >= jury, "the jury is not paid");
        } catch {}
    }

    function _terms(uint256[16] memory dice, ClassState memory class, Parameters memory parameters)
        private
        pure
        returns (Terms memory terms)
    {
        terms.mode = Mode(dice[4] % 4);
        terms.adaptive = dice[5] % 3 == 0;
        terms.fullSlash = dice[5] % 2 == 0;
        terms.quorum = uint8(within(dice[6] >> 8, 0, 20));
        if (dice[6] % 2 == 0) terms.quorum = uint8(3 + 2 * (dice[6] % 7));
        terms.rate = terms.mode == Mode.Trusted && dice[7] % 8 != 0
            ? 0
            : uint32(dice[7] % 3 == 0 ? PPM : within(dice[7], 0, PPM + 1));
        terms.guess = dice[8] % 2 == 0 ? 0 : uint32(within(dice[8], 0, PPM));
        terms.maxShare = uint32(within(dice[9], dice[9] % 9 == 0 ? 0 : 1, PPM));
        terms.minSlice = uint24(within(dice[9], dice[9] % 7 == 0 ? 0 : 1, 100));
        terms.price = uint96(class.priceFloor + within(dice[10], 0, 10_000));
        if (dice[10] % 9 == 0) terms.price = class.priceFloor - 1;
        terms.verifierPrice = terms.price + uint96(within(dice[11], 0, 100));
        if (dice[11] % 9 == 0) terms.verifierPrice = terms.price - 1;
        uint256 least = _leastSlash(terms, parameters);
        terms.slashAmount = uint96(within(dice[12], least == 0 ? 0 : least - 1, least + 2));
        if (dice[12] % 5 == 0) terms.slashAmount = uint96(within(dice[12], 0, uint256(class.slotStake) + 1));
        terms.class = ClassId.wrap(bytes32(uint256(1)));
        terms.encryptionKey = new bytes(dice[13] % 16 == 0 ? within(dice[13], 0, 40) : 33);
        if (terms.encryptionKey.length != 0) {
            terms.encryptionKey[0] = bytes1(uint8(dice[13] % 16 == 1 ? within(dice[13] >> 8, 0, 5) : 2 + dice[13] % 2));
        }
        terms.windows = Windows(600, 600, 600, 600, 600, 600);
        uint32 odd = uint32(dice[14] % 2 == 0 ? within(dice[14], 59, 61) : within(dice[14], 86_399, 86_401));
        uint256 which = dice[15] % 8;
        if (which == 0) terms.windows.claim = odd;
        if (which == 1) terms.windows.submit = odd;
        if (which == 2) terms.windows.reveal = odd;
        if (which == 3) terms.windows.check = odd;
        if (which == 4) terms.windows.judge = odd;
        if (which == 5) terms.windows.challenge = odd;
        terms.allowed = new address[](terms.mode == Mode.Trusted ? within(dice[0], 0, 65) : dice[0] % 8 == 0 ? 1 : 0);
        terms.excluded = new address[](within(dice[1], 0, 5));
    }

    function _leastSlash(Terms memory terms, Parameters memory parameters) private pure returns (uint256 least) {
        uint256 divisor = uint256(terms.rate) * (PPM - (terms.guess < PPM ? terms.guess : 0));
        if (divisor != 0) least = 2 * uint256(terms.price) * PPM * PPM / divisor;
        uint256 jury = ((2 * uint256(terms.quorum) + 1) * terms.verifierPrice + parameters.challengeBond) * 10 / 9;
        if (jury > least) least = jury;
        if (least > type(uint96).max - 2) least = type(uint96).max - 2;
    }

    /// @dev The rules as docs/protocol.md gives them, without a division.
    function _allowed(Terms memory terms, ClassState memory class, Parameters memory parameters)
        private
        pure
        returns (bool)
    {
        Windows memory w = terms.windows;
        uint32[6] memory windows = [w.claim, w.submit, w.reveal, w.check, w.judge, w.challenge];
        for (uint256 i; i < 6; ++i) {
            if (windows[i] < parameters.minWindow || windows[i] > parameters.maxWindow) return false;
        }
        if (terms.mode == Mode.None) return false;
        bytes memory key = terms.encryptionKey;
        if (key.length != 33 || (key[0] != 0x02 && key[0] != 0x03)) return false;
        if (terms.maxShare == 0 || terms.maxShare > PPM || terms.minSlice == 0) return false;
        if (terms.excluded.length * 3 > class.nodes) return false;
        if (terms.price < class.priceFloor) return false;
        if (terms.slashAmount > class.slotStake) return false;
        if (terms.mode == Mode.Trusted) {
            return terms.rate == 0 && terms.allowed.length != 0 && terms.allowed.length <= 64;
        }
        if (terms.allowed.length != 0) return false;
        if (terms.rate == 0 || terms.rate > PPM || (terms.mode == Mode.Replicated && terms.rate != PPM)) return false;
        if (terms.quorum < 3 || terms.quorum > 15 || terms.quorum % 2 == 0) return false;
        if (terms.guess >= PPM || terms.verifierPrice < terms.price) return false;
        if (terms.fullSlash && !class.fullSlash) return false;
        if (terms.adaptive && terms.mode == Mode.Replicated) return false;
        uint256 slash = terms.slashAmount;
        if (slash * terms.rate * (PPM - terms.guess) < 2 * uint256(terms.price) * PPM * PPM) return false;
        return slash * 9 >= ((2 * uint256(terms.quorum) + 1) * terms.verifierPrice + parameters.challengeBond) * 10;
    }
}
