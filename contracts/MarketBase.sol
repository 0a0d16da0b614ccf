// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Batch,
    BatchId,
    IMarketBase,
    JobId,
    MAX_ROUNDS,
    Parameters,
    Terms
} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Book, Context} from "./libraries/Book.sol";
import {PPM} from "./libraries/Sampling.sol";

/// @title MarketBase: the storage and parameters that {Market} and {MarketPanels} share
/// @dev One market is two contracts only because one would exceed the limit on contract size: {Market} hands every call
/// it does not know to its {MarketPanels}, which runs as the market's own code. Both are built from the same parameters
/// and have no storage but what stands here.
abstract contract MarketBase is IMarketBase {
    /// @inheritdoc IMarketBase
    IVault public immutable vault;
    /// @inheritdoc IMarketBase
    IRegistry public immutable registry;

    uint32 internal immutable _minWindow;
    uint32 internal immutable _maxWindow;
    uint32 internal immutable _finalDepth;
    uint32 internal immutable _drawDelay;
    uint96 internal immutable _bondFixed;
    uint32 internal immutable _bondShare;
    uint96 internal immutable _challengeBond;

    /// @inheritdoc IMarketBase
    mapping(JobId job => uint64 count) public batchesOf;
    Book internal _book;

    constructor(IVault vault_, IRegistry registry_, Parameters memory parameters_) {
        vault = vault_;
        registry = registry_;
        _minWindow = parameters_.minWindow;
        _maxWindow = parameters_.maxWindow;
        _finalDepth = parameters_.finalDepth;
        _drawDelay = parameters_.drawDelay;
        _bondFixed = parameters_.bondFixed;
        _bondShare = parameters_.bondShare;
        _challengeBond = parameters_.challengeBond;

        require(
            parameters_.minWindow != 0 && parameters_.minWindow <= parameters_.maxWindow,
            TermOutOfRange("minWindow", parameters_.minWindow, 1, parameters_.maxWindow)
        );
        require(
            parameters_.finalDepth != 0 && parameters_.finalDepth <= 128,
            TermOutOfRange("finalDepth", parameters_.finalDepth, 1, 128)
        );
        require(
            parameters_.bondFixed != 0, TermOutOfRange("bondFixed", 0, 1, type(uint96).max)
        );
        require(parameters_.bondShare <= PPM, TermOutOfRange("bondShare", parameters_.bondShare, 0, PPM));
        // A slot that leaves right after a seal must stay liable until that batch's last round has been judged.
        // Reveal, challenge and the last judging, and for each round its check and the time to call for the next.
        uint256 longest = uint256(parameters_.maxWindow) * (3 + 2 * (1 + uint256(MAX_ROUNDS)))
            + uint256(parameters_.drawDelay) * MAX_ROUNDS;
        require(
            registry_.unbondingPeriod() >= longest,
            TermOutOfRange("unbondingPeriod", registry_.unbondingPeriod(), longest, type(uint48).max)
        );
    }

    /// @inheritdoc IMarketBase
    function parameters() public view returns (Parameters memory) {
        return Parameters({
            minWindow: _minWindow,
            maxWindow: _maxWindow,
            finalDepth: _finalDepth,
            drawDelay: _drawDelay,
            bondFixed: _bondFixed,
            bondShare: _bondShare,
            challengeBond: _challengeBond
        });
    }

    /// @inheritdoc IMarketBase
    function jobId(Terms calldata terms) public view returns (JobId) {
        return JobId.wrap(keccak256(abi.encode(block.chainid, address(this), terms)));
    }

    /// @inheritdoc IMarketBase
    function batchId(Batch memory batch) public view returns (BatchId) {
        return BatchId.wrap(keccak256(abi.encode(block.chainid, address(this), batch)));
    }

    /// @dev Checks what came in calldata against what is stored.
    function _open(Terms calldata terms, Batch calldata batch) internal view returns (Context memory context) {
        JobId job = jobId(terms);
        require(JobId.unwrap(job) == JobId.unwrap(batch.job), WrongTerms(job, batch.job));
        context.id = batchId(batch);
        context.state = _book.batches[context.id];
        context.registry = registry;
        context.finalDepth = _finalDepth;
        context.drawDelay = _drawDelay;
        require(context.state.postedAt != 0, UnknownBatch(context.id));
        if (context.state.revealedAt != 0) context.entropy = _book.entropy[context.id];
        context.byRequester =
            msg.sender == terms.requester || (msg.sender == terms.delegate && terms.delegate != address(0));
    }

    function _content(bytes32 manifest, bytes calldata envelope) internal pure returns (bytes32) {
        return keccak256(abi.encode(manifest, keccak256(envelope)));
    }
}
