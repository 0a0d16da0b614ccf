// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {
    Batch,
    BatchId,
    BatchState,
    IMarketBase,
    JobId,
    MAX_ROUNDS,
    MAX_TIER,
    Parameters,
    Terms
} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault, Payment} from "./interfaces/IVault.sol";
import {Book, Context} from "./libraries/Book.sol";
import {PPM} from "./libraries/Sampling.sol";

/// @title MarketBase: the storage and parameters that all parts of a market share
/// @dev One market is five contracts only because one would exceed the limit on contract size: {Market} hands every call
/// it does not know to its {MarketPanels}, that to its {MarketDisputes}, that to its {MarketJuries}, and that to its
/// {MarketVerdicts}, the rarer the later; all run as the market's own code. All are built from the same parameters and
/// have no storage but what stands here.
abstract contract MarketBase is IMarketBase {
    using SafeCast for uint256;

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
        // Reveal and the last judging; for each round its check and the time to call for the next; then a challenge, the
        // opening and the first appeal; and for each jury two draws, the opening of its ballots, and the next appeal.
        uint256 longest = uint256(parameters_.maxWindow)
            * (2 + 2 * (1 + uint256(MAX_ROUNDS)) + 3 + 4 * uint256(MAX_TIER))
            + uint256(parameters_.drawDelay) * (MAX_ROUNDS + 2 * uint256(MAX_TIER));
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

    /// @dev Hands the call to `target`, which runs on this contract's storage, and returns what it returns.
    function _delegate(address target) internal {
        assembly ("memory-safe") {
            let data := mload(0x40)
            calldatacopy(data, 0, calldatasize())
            let success := delegatecall(gas(), target, data, calldatasize(), 0, 0)
            returndatacopy(data, 0, returndatasize())
            switch success
            case 0 { revert(data, returndatasize()) }
            default { return(data, returndatasize()) }
        }
    }

    /// @dev Reverts unless `half` was built for the same deployment.
    function _requireTwin(MarketBase half) internal view {
        require(
            address(half.vault()) == address(vault) && address(half.registry()) == address(registry)
                && keccak256(abi.encode(half.parameters())) == keccak256(abi.encode(parameters())),
            ForeignHalf(address(half))
        );
    }

    /// @dev What a task of the batch pays.
    function _priceOf(Terms calldata terms, Context memory context) internal view returns (uint96) {
        return context.state.rebid ? _book.rebids[context.id] : terms.price;
    }

    /// @dev What a claim of `count` tasks puts at stake.
    function _lockOf(Terms calldata terms, uint96 price, uint256 count) internal pure returns (uint96) {
        uint256 worth = count * price;
        return worth > terms.slashAmount ? worth.toUint96() : terms.slashAmount;
    }

    function _share(uint256 amount, uint256 share) internal pure returns (uint96) {
        return (amount * share / PPM).toUint96();
    }

    /// @dev Books that `settled` assignments ended, pays and burns out of the batch's lock, and closes a batch of which
    /// nothing is open.
    function _finish(Context memory context, uint16 settled, Payment[] memory payments, uint96 burn) internal {
        BatchState storage state = _book.batches[context.id];
        uint16 open = state.open - settled;
        bytes32 lockId = BatchId.unwrap(context.id);
        if (open == 0 && context.state.sealedAt != 0) {
            _forget(context.id, context.state.rebid);
            vault.close(lockId, payments, burn);
        } else {
            state.open = open;
            if (context.state.bondBurned) state.bondBurned = true;
            if (payments.length != 0 || burn != 0) vault.release(lockId, payments, burn);
        }
    }

    /// @dev Erases a batch of which nothing is open.
    function _forget(BatchId id, bool wasRebid) internal {
        delete _book.batches[id];
        delete _book.entropy[id];
        if (wasRebid) delete _book.rebids[id];
        emit BatchClosed(id);
    }

    function _content(bytes32 manifest, bytes calldata envelope) internal pure returns (bytes32) {
        return keccak256(abi.encode(manifest, keccak256(envelope)));
    }
}
