// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Matter, Outcome, Stage, Verdict} from "../interfaces/IMarket.sol";
import {MarketActors} from "./MarketActors.sol";

/// @notice Which functions of which contract the runner calls.
struct FuzzSelector {
    address addr;
    bytes4[] selectors;
}

/// @title What holds after every move of any actors in any order; the letters are those of docs/protocol.md
/// @dev M5 and M6 (no slash before its window or without accusation; pay within the price; a lock leaves only to where it
/// may) are checked inside {MarketActors}, in the settlement itself.
contract MarketInvariantsTest {
    MarketActors private actors;
    mapping(string name => uint256 times) private reached;
    mapping(string name => bool) private known;
    string[] private names;
    uint256 private constant GAMES = 200;

    function setUp() external {
        actors = new MarketActors();
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

    /// @notice The actors are not idle: long enough at it, they reach every end there is. Each game ends where
    /// everything is closed.
    function test_reachesEveryEnd() external {
        bytes4[] memory moves = _moves();
        string memory missing = "everything";
        for (uint256 game; game < GAMES && bytes(missing).length != 0; ++game) {
            actors = new MarketActors();
            for (uint256 i; i < 200; ++i) {
                uint256 dice = uint256(keccak256(abi.encode(game, i)));
                (bool success, bytes memory reason) =
                    address(actors).call(abi.encodeWithSelector(moves[dice % moves.length], dice));
                if (!success) _fail(reason);
            }
            actors.closeAll();
            _note();
            missing = "";
            for (uint256 i; i < names.length; ++i) {
                if (reached[names[i]] == 0) missing = string.concat(missing, names[i], "; ");
            }
        }
        require(bytes(missing).length == 0, string.concat("never reached: ", missing));
    }

    function _note() private {
        _count("paid", actors.paid());
        _count("a silent requester", actors.forced());
        _count("drawn again", actors.redrawn());
        _count("closed", actors.closed());
        _count("matter Exception", actors.begun(Matter.Exception));
        _count("matter Silence", actors.begun(Matter.Silence));
        _count("matter Work", actors.begun(Matter.Work));
        _count("matter Delivery", actors.begun(Matter.Delivery));
        _count("stage Answering", actors.entered(Stage.Answering));
        _count("stage Opening", actors.entered(Stage.Opening));
        _count("stage Ruled", actors.entered(Stage.Ruled));
        _count("stage Casting", actors.entered(Stage.Casting));
        _count("stage Showing", actors.entered(Stage.Showing));
        _count("a jury", actors.drawnJuries(1));
        _count("a second jury", actors.drawnJuries(2));
        _count("a jury called anew", actors.replaced());
        _count("a ballot exposed", actors.exposed());
        _count("outcome Paid", actors.ended(Outcome.Paid));
        _count("outcome PrimarySlashed", actors.ended(Outcome.PrimarySlashed));
        _count("outcome SeatSlashed", actors.ended(Outcome.SeatSlashed));
        _count("outcome NoMajority", actors.ended(Outcome.NoMajority));
        _count("outcome Forced", actors.ended(Outcome.Forced));
        _count("outcome Forfeited", actors.ended(Outcome.Forfeited));
        _count("PrimaryDiffers unchallenged", actors.stood(Verdict.PrimaryDiffers));
        _count("SeatDiffers unchallenged", actors.stood(Verdict.SeatDiffers));
        _count("NoMajority unchallenged", actors.stood(Verdict.NoMajority));
        _count("a requester that lied", actors.lies());
        _count("a contest lost", actors.lostContests());
        _count("an honest member or juror in a dispute", actors.honestEnds());
        _count("an honest requester in a dispute", actors.honestRequests());
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

    /// @notice V1, V5, R1, R2, R7 and M1 to M3 together: one run of random moves serves them all.
    function invariant_moneyStakesAndSettlements() external view {
        actors.requireConserved();
        actors.requireEntrustedKept();
        actors.requireStakesBacked();
        actors.requireCommitmentsMatch();
        actors.requireEscrowCovers();
        actors.requireSettledOnce();
    }

    /// @notice M4: from wherever the moves led, waiting closes every batch, and then nobody has anything committed.
    function afterInvariant() external {
        actors.closeAll();
        actors.requireConserved();
        actors.requireEntrustedKept();
        actors.requireStakesBacked();
        actors.requireCommitmentsMatch();
        actors.requireEscrowCovers();
    }

    /// @dev Half of them proceed as actors would who mean well, or mean to quarrel.
    function _moves() private pure returns (bytes4[] memory moves) {
        moves = new bytes4[](64);
        moves[0] = MarketActors.post.selector;
        moves[1] = MarketActors.claim.selector;
        moves[2] = MarketActors.reclaim.selector;
        moves[3] = MarketActors.submit.selector;
        moves[4] = MarketActors.expire.selector;
        moves[5] = MarketActors.seal.selector;
        moves[6] = MarketActors.reveal.selector;
        moves[7] = MarketActors.capture.selector;
        moves[8] = MarketActors.answer.selector;
        moves[9] = MarketActors.escalate.selector;
        moves[10] = MarketActors.redraw.selector;
        moves[11] = MarketActors.judge.selector;
        moves[12] = MarketActors.settle.selector;
        moves[13] = MarketActors.settleAll.selector;
        moves[14] = MarketActors.settleAgain.selector;
        moves[15] = MarketActors.revealAndSettle.selector;
        moves[16] = MarketActors.pass.selector;
        moves[17] = MarketActors.finishComputing.selector;
        moves[18] = MarketActors.liveAsNode.selector;
        moves[19] = MarketActors.rebid.selector;
        moves[20] = MarketActors.challenge.selector;
        moves[21] = MarketActors.callPanel.selector;
        moves[22] = MarketActors.contest.selector;
        moves[23] = MarketActors.answerContest.selector;
        moves[24] = MarketActors.open.selector;
        moves[25] = MarketActors.rule.selector;
        moves[26] = MarketActors.appeal.selector;
        moves[27] = MarketActors.convene.selector;
        moves[28] = MarketActors.castBallot.selector;
        moves[29] = MarketActors.openBallot.selector;
        moves[30] = MarketActors.exposeBallot.selector;
        moves[31] = MarketActors.conclude.selector;
        for (uint256 i = 32; i < moves.length; ++i) {
            moves[i] = i % 4 == 0
                ? MarketActors.hurry.selector
                : i % 4 == 1 ? MarketActors.proceed.selector : MarketActors.quarrel.selector;
        }
    }
}
