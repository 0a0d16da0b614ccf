// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch, BatchId, Settlement, Stage, Terms} from "./interfaces/IMarket.sol";
import {MarketBase} from "./MarketBase.sol";
import {Assignments, AssignmentWord} from "./libraries/Assignments.sol";
import {Case, Disputes} from "./libraries/Disputes.sol";
import {Panels} from "./libraries/Panels.sol";
import {Sampling} from "./libraries/Sampling.sol";

/// @title MarketCases: what {MarketDisputes}, {MarketJuries} and {MarketVerdicts} share: every call checks the whole panel
abstract contract MarketCases is MarketBase {
    using Assignments for mapping(uint16 => AssignmentWord);

    function _case(Terms calldata terms, Batch calldata batch, Settlement calldata panel)
        internal
        returns (Case memory case_)
    {
        uint16 assignment = panel.assignment;
        case_.assignment = assignment;
        case_.context = _open(terms, batch);
        BatchId id = case_.context.id;
        require(case_.context.state.revealedAt != 0, NotRevealed(id));
        _book.assignments[id].requireHeld(id, assignment, panel.submission);
        case_.panel.sampled = Sampling.sampledCount(
            case_.context.entropy, panel.submission.first, panel.submission.count, terms.rate
        );
        if (case_.panel.sampled != 0) Panels.fill(_book, terms, case_.context, assignment, case_.panel);
        else case_.panel.deadline = uint256(case_.context.state.revealedAt) + terms.windows.check;
        Panels.takeAnswers(_book, terms, id, assignment, case_.panel, panel.answers, false);
        case_.key = Disputes.key(id, assignment);
        case_.dispute = _book.disputes[case_.key];
    }

    /// @dev A dispute in which `stage` is due.
    function _at(Terms calldata terms, Batch calldata batch, Settlement calldata panel, Stage stage)
        internal
        returns (Case memory case_)
    {
        case_ = _case(terms, batch, panel);
        require(case_.dispute.stage == stage, WrongStage(panel.assignment, case_.dispute.stage, stage));
    }

    function _allOpened(Case memory case_, Settlement calldata panel) internal pure returns (bool) {
        return case_.dispute.opened == (1 << (panel.answers.length + 1)) - 1;
    }

    function _nodeOf(Settlement calldata panel, uint256 member) internal pure returns (address) {
        return member == 0 ? panel.submission.node : panel.answers[member - 1].node;
    }
}
