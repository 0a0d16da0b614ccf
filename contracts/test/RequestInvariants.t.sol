// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Outcome} from "../interfaces/IRequests.sol";
import {FuzzSelector} from "./MarketInvariants.t.sol";
import {RequestActors} from "./RequestActors.sol";

/// @title What holds of requests after every move of any actors in any order; the letters are those of {IRequests}
/// @dev Q3 to Q6, Q8 and Q9 are checked inside {RequestActors} and {RequestWorld}, where they could be broken.
contract RequestInvariantsTest {
    RequestActors private actors;
    mapping(string name => uint256 times) private reached;
    mapping(string name => bool) private known;
    string[] private names;
    uint256 private constant GAMES = 200;

    function setUp() external {
        actors = new RequestActors();
    }

    /// @dev Asked by the runner.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    /// @dev Asked by the runner.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(actors), _moves());
    }

    /// @notice The actors are not idle: long enough at it, they reach every end there is.
    function test_reachesEveryEnd() external {
        bytes4[] memory moves = _moves();
        string memory missing = "everything";
        for (uint256 game; game < GAMES && bytes(missing).length != 0; ++game) {
            actors = new RequestActors();
            for (uint256 i; i < 150; ++i) {
                uint256 dice = uint256(keccak256(abi.encode(game, i)));
                (bool success, bytes memory reason) =
                    address(actors).call(abi.encodeWithSelector(moves[dice % moves.length], dice));
                if (!success) _fail(reason);
            }
            actors.closeAll(game % 4 == 3);
            actors.requireConserved();
            actors.requireLocked();
            _note();
            missing = "";
            for (uint256 i; i < names.length; ++i) {
                if (reached[names[i]] == 0) missing = string.concat(missing, names[i], "; ");
            }
        }
        require(bytes(missing).length == 0, string.concat("never reached: ", missing));
    }

    function _note() private {
        _count("ranked", actors.ended(Outcome.Ranked));
        _count("unsolved", actors.ended(Outcome.Unsolved));
        _count("voided", actors.ended(Outcome.Voided));
        _count("withheld", actors.ended(Outcome.Withheld));
        _count("unjudged", actors.ended(Outcome.Unjudged));
        _count("unevaluated", actors.ended(Outcome.Unevaluated));
        _count("unanswered", actors.ended(Outcome.Unanswered));
        _count("cancelled", actors.ended(Outcome.Cancelled));
        _count("overturned", actors.overturned());
        _count("climbed", actors.climbed());
        _count("an end that the honest watched", actors.honestEnds());
    }

    function _count(string memory name, uint256 times) private {
        if (!known[name]) names.push(name);
        known[name] = true;
        reached[name] += times;
    }

    function _fail(bytes memory reason) private pure {
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason))
        }
    }

    /// @notice V1, Q1, Q2 and Q5 together: one run of random moves serves them all.
    function invariant_moneyLocksAndCounts() external view {
        actors.requireConserved();
        actors.requireLocked();
        actors.requireCounted();
    }

    /// @notice Q7: from wherever the moves led, waiting and anybody's calls end every request; half of the time nobody else
    /// does anything more.
    function afterInvariant() external {
        actors.closeAll(actors.moves() % 2 == 0);
        actors.requireConserved();
        actors.requireLocked();
        actors.requireCounted();
    }

    /// @dev A third of them proceed as actors would who mean to get on.
    function _moves() private pure returns (bytes4[] memory moves) {
        moves = new bytes4[](32);
        moves[0] = RequestActors.ask.selector;
        moves[1] = RequestActors.accept.selector;
        moves[2] = RequestActors.stepBack.selector;
        moves[3] = RequestActors.start.selector;
        moves[4] = RequestActors.cancel.selector;
        moves[5] = RequestActors.compute.selector;
        moves[6] = RequestActors.showTestData.selector;
        moves[7] = RequestActors.rank.selector;
        moves[8] = RequestActors.acceptResult.selector;
        moves[9] = RequestActors.challenge.selector;
        moves[10] = RequestActors.judge.selector;
        moves[11] = RequestActors.climb.selector;
        moves[12] = RequestActors.settle.selector;
        moves[13] = RequestActors.endTwice.selector;
        moves[14] = RequestActors.quarrel.selector;
        moves[15] = RequestActors.pass.selector;
        moves[16] = RequestActors.rank.selector;
        moves[17] = RequestActors.judge.selector;
        moves[18] = RequestActors.challenge.selector;
        moves[19] = RequestActors.compute.selector;
        for (uint256 i = 20; i < moves.length; ++i) {
            moves[i] = RequestActors.proceed.selector;
        }
    }
}
