// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batch, IVerdicts, Matter, Parameters, Settlement, Stage, Terms, Verdict} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {MarketBase} from "./MarketBase.sol";
import {MarketCases} from "./MarketCases.sol";
import {Assignments, AssignmentStatus, AssignmentWord} from "./libraries/Assignments.sol";
import {Clock} from "./libraries/Clock.sol";
import {Case, Disputes} from "./libraries/Disputes.sol";
import {Judging} from "./libraries/Judging.sol";
import {Panels} from "./libraries/Panels.sol";
import {Reckoning, Reckonings} from "./libraries/Reckonings.sol";

/// @title The part of a market that ends what was excepted or disputed; see {IVerdicts} and {MarketBase}
/// @dev Useless by itself: called directly, it finds no batch in its own storage.
contract MarketVerdicts is IVerdicts, MarketCases {
    using Assignments for mapping(uint16 => AssignmentWord);

    constructor(IVault vault_, IRegistry registry_, Parameters memory parameters_)
        MarketBase(vault_, registry_, parameters_)
    {}

    /// @inheritdoc IVerdicts
    function conclude(Terms calldata terms, Batch calldata batch, Settlement calldata panel) external {
        Case memory case_ = _case(terms, batch, panel);
        if (case_.dispute.matter == Matter.None) {
            require(case_.panel.state.verdict != Verdict.None, NotDisputed(panel.assignment));
            Clock.requireAfter(uint256(case_.panel.state.raisedAt) + terms.windows.challenge);
        } else {
            Stage stage = case_.dispute.stage;
            require(
                stage == Stage.Ruled || stage == Stage.Answering, WrongStage(panel.assignment, stage, Stage.Ruled)
            );
            // A final ruling has no deadline.
            Clock.requireAfter(case_.dispute.deadline);
        }
        if (case_.panel.sampled != 0 && case_.panel.answered < case_.panel.needed) {
            Judging.fineAbsent(
                _book, terms, batch, case_.context, panel.assignment, case_.panel, panel.submission.node
            );
        }
        uint96 price = _priceOf(terms, case_.context);
        Reckoning memory reckoning =
            Reckonings.reckon(_book, terms, panel, case_, price, _lockOf(terms, price, panel.submission.count), parameters());

        _book.assignments[case_.context.id].settle(
            case_.context.id, panel.assignment, panel.submission, AssignmentStatus.Contended
        );
        Panels.takeAnswers(_book, terms, case_.context.id, panel.assignment, case_.panel, panel.answers, true);
        delete _book.panels[case_.context.id][panel.assignment];
        Disputes.forget(_book, case_, panel.answers.length + 1);
        _finish(case_.context, 1, reckoning.payments, reckoning.burn);
    }
}
