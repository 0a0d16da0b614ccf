// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

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
    mapping(uint256 end => uint256 times) private reached;

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

    /// @notice The actors are not idle: long enough at it, they reach every end there is.
    function test_reachesEveryEnd() external {
        bytes4[] memory moves = _moves();
        for (uint256 game; game < 6; ++game) {
            actors = new MarketActors();
            for (uint256 i; i < 150; ++i) {
                uint256 dice = uint256(keccak256(abi.encode(game, i)));
                (bool success,) = address(actors).call(abi.encodeWithSelector(moves[dice % moves.length], dice));
                require(success, "a move reverts");
            }
            for (uint256 verdict; verdict < 4; ++verdict) {
                reached[verdict] += actors.reached(verdict);
            }
            reached[4] += actors.forced();
            reached[5] += actors.redrawn();
            reached[6] += actors.closed();
            actors.closeAll();
        }
        require(reached[0] != 0, "nothing is paid");
        require(reached[1] != 0, "no primary is slashed");
        require(reached[2] != 0, "no verifier is slashed");
        require(reached[3] != 0, "nothing is without a majority");
        require(reached[4] != 0, "no requester is silent");
        require(reached[5] != 0, "nothing is drawn again");
        require(reached[6] != 0, "nothing is closed");
    }

    /// @notice V1, R1, R2 and M1 to M3 together: one run of random moves serves them all.
    function invariant_moneyStakesAndSettlements() external view {
        actors.requireConserved();
        actors.requireStakesBacked();
        actors.requireCommitmentsMatch();
        actors.requireEscrowCovers();
        actors.requireSettledOnce();
    }

    /// @notice M4: from wherever the moves led, waiting closes every batch, and then nobody has anything committed.
    function afterInvariant() external {
        actors.closeAll();
        actors.requireConserved();
        actors.requireStakesBacked();
        actors.requireCommitmentsMatch();
        actors.requireEscrowCovers();
    }

    /// @dev Half of them proceed as actors would who mean well.
    function _moves() private pure returns (bytes4[] memory moves) {
        moves = new bytes4[](40);
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
        moves[15] = MarketActors.pass.selector;
        moves[16] = MarketActors.finishComputing.selector;
        moves[17] = MarketActors.liveAsNode.selector;
        moves[18] = MarketActors.rebid.selector;
        for (uint256 i = 19; i < moves.length; ++i) {
            moves[i] = MarketActors.proceed.selector;
        }
    }
}
