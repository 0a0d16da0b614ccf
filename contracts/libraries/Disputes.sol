// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Batch,
    BatchId,
    Dispute,
    IMarketEvents,
    Juror,
    Jury,
    Matter,
    MAX_TIER,
    Settlement,
    Stage,
    Terms
} from "../interfaces/IMarket.sol";
import {BlockHash} from "./BlockHash.sol";
import {Book, Context, PanelView} from "./Book.sol";
import {Panels} from "./Panels.sol";
import {Pricing} from "./Pricing.sol";
import {Sampling} from "./Sampling.sol";

/// @notice What one call knows about its dispute: read once, the panel checked against what is stored.
/// @param key Of the dispute.
/// @param assignment Index in the batch.
/// @param context Of the batch.
/// @param panel `sampled` is 0, and there are no answers, where the assignment is only contested.
/// @param dispute As it was when the call began.
struct Case {
    bytes32 key;
    uint16 assignment;
    Context context;
    PanelView panel;
    Dispute dispute;
}

/// @title Disputes: where a dispute's parts are stored, who sits on its juries, and what rules
library Disputes {
    /// @notice Where a dispute is stored.
    function key(BatchId id, uint16 assignment) internal pure returns (bytes32) {
        return keccak256(abi.encode(id, assignment));
    }

    /// @notice Where the ruling of a tier is stored: 0 the panel's, then the juries'.
    function rulingKey(bytes32 dispute, uint256 tier) internal pure returns (bytes32) {
        return keccak256(abi.encode(dispute, "ruling", tier));
    }

    /// @notice Where the digest that a member opened is stored.
    function openedKey(bytes32 dispute, uint256 member) internal pure returns (bytes32) {
        return keccak256(abi.encode(dispute, "opened", member));
    }

    /// @notice Where a jury is stored.
    function juryKey(bytes32 dispute, uint256 tier) internal pure returns (bytes32) {
        return keccak256(abi.encode(dispute, "jury", tier));
    }

    /// @notice Where a juror and, in {Book.digests}, its ballot is stored.
    function jurorKey(bytes32 dispute, uint256 tier, uint256 seat) internal pure returns (bytes32) {
        return keccak256(abi.encode(dispute, "juror", tier, seat));
    }

    /// @notice The ruling that holds after `tier`: the last that found a majority.
    function effectiveRuling(Book storage book, bytes32 dispute, uint256 tier) internal view returns (bytes32 ruling) {
        for (uint256 i = tier + 1; i != 0 && ruling == 0; --i) {
            ruling = book.digests[rulingKey(dispute, i - 1)];
        }
    }

    /// @notice The digest that at least `least` of `digests` agree on; 0 if there is none. `least` must be above half.
    function majorityOf(bytes32[] memory digests, uint256 least) internal pure returns (bytes32) {
        for (uint256 i; i < digests.length; ++i) {
            if (digests[i] == 0) continue;
            uint256 equal;
            for (uint256 j = i; j < digests.length; ++j) {
                if (digests[j] == digests[i]) ++equal;
            }
            if (equal >= least) return digests[i];
        }
        return 0;
    }

    /// @notice Calls the next jury.
    /// @param dispute The caller's copy, changed as what is stored.
    function callJury(
        Book storage book,
        Terms calldata terms,
        Case memory case_,
        Dispute memory dispute,
        address appellant,
        uint96 bond
    ) internal {
        uint8 tier = dispute.tier + 1;
        dispute.tier = tier;
        dispute.stage = Stage.Casting;
        uint8 seats = uint8(Pricing.jurySeats(terms, tier));
        book.juries[juryKey(case_.key, tier)] = Jury(appellant, bond, seats, 0, 0, false);
        _startCasting(book, terms, case_, dispute, 0, seats);
    }

    /// @notice Calls for as many new jurors as there are seats without a ballot.
    function callReplacements(
        Book storage book,
        Terms calldata terms,
        Case memory case_,
        Dispute memory dispute,
        uint256 empty
    ) internal {
        _startCasting(book, terms, case_, dispute, 1, uint8(empty));
    }

    /// @notice Draws the jury that was called for, from the pool as it was frozen for the batch, without anybody drawn for
    /// the panel or sitting on a jury of this dispute; see {IDisputes.convene}.
    function convene(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Case memory case_,
        address primary
    ) internal {
        uint256 tier = case_.dispute.tier;
        Jury storage jury = book.juries[juryKey(case_.key, tier)];
        require(!jury.convened, IMarketEvents.AlreadyConvened(case_.assignment));
        bytes32 fresh = BlockHash.mustRead(jury.entropyBlock);
        bool first = jury.call == 0;
        uint256 wanted = first ? jury.seats : 0;
        for (uint256 seat; !first && seat < jury.seats; ++seat) {
            if (!book.jurors[jurorKey(case_.key, tier, seat)].cast) ++wanted;
        }
        address[] memory drawn = case_.context.registry.draw(
            address(this),
            terms.class,
            Sampling.juryKey(case_.context.entropy, fresh, case_.assignment, 2 * tier + jury.call),
            case_.context.state.sealedAt,
            batch.slots,
            involved(book, terms, batch, case_, primary),
            new address[](0),
            wanted
        );
        jury.convened = true;
        if (first) jury.seats = uint8(drawn.length);
        emit IMarketEvents.JuryConvened(case_.context.id, case_.assignment, uint8(tier), jury.call, jury.seats);
        uint256 next;
        for (uint256 seat; seat < jury.seats && next < drawn.length; ++seat) {
            bytes32 place = jurorKey(case_.key, tier, seat);
            if (book.jurors[place].cast) continue;
            book.jurors[place] = Juror(drawn[next], false, false);
            emit IMarketEvents.JurorSeated(
                case_.context.id, case_.assignment, drawn[next++], uint8(tier), uint8(seat)
            );
        }
    }

    /// @notice Who may not sit on a jury: everybody drawn for the panel, the primary first, and the jurors so far.
    function involved(
        Book storage book,
        Terms calldata terms,
        Batch calldata batch,
        Case memory case_,
        address primary
    ) internal view returns (address[] memory all) {
        address[] memory members;
        if (case_.panel.sampled == 0) {
            members = new address[](1);
            members[0] = primary;
        } else {
            (, members) = Panels.drawnFor(
                book, terms, batch, case_.context, case_.assignment, case_.panel.state.rounds, primary
            );
        }
        uint256 most = members.length;
        for (uint256 tier = 1; tier <= case_.dispute.tier; ++tier) {
            most += book.juries[juryKey(case_.key, tier)].seats;
        }
        all = new address[](most);
        uint256 count;
        for (; count < members.length; ++count) {
            all[count] = members[count];
        }
        for (uint256 tier = 1; tier <= case_.dispute.tier; ++tier) {
            uint256 seats = book.juries[juryKey(case_.key, tier)].seats;
            for (uint256 seat; seat < seats; ++seat) {
                // Zero before the jury is drawn, which nobody is.
                all[count++] = book.jurors[jurorKey(case_.key, tier, seat)].node;
            }
        }
    }

    /// @notice Erases a dispute and all its parts.
    function forget(Book storage book, Case memory case_, uint256 members) internal {
        bytes32 place = case_.key;
        for (uint256 member; member < members; ++member) {
            if (case_.dispute.opened & (1 << member) != 0) delete book.digests[openedKey(place, member)];
        }
        for (uint256 tier; tier <= case_.dispute.tier; ++tier) {
            delete book.digests[rulingKey(place, tier)];
            uint256 seats = tier == 0 ? 0 : book.juries[juryKey(place, tier)].seats;
            for (uint256 seat; seat < seats; ++seat) {
                bytes32 juror = jurorKey(place, tier, seat);
                delete book.jurors[juror];
                delete book.digests[juror];
            }
            delete book.juries[juryKey(place, tier)];
        }
        delete book.disputes[place];
    }

    function _startCasting(
        Book storage book,
        Terms calldata terms,
        Case memory case_,
        Dispute memory dispute,
        uint8 call,
        uint8 seats
    ) private {
        Jury storage jury = book.juries[juryKey(case_.key, dispute.tier)];
        jury.entropyBlock = uint32(block.number) + case_.context.finalDepth;
        jury.call = call;
        jury.convened = false;
        dispute.deadline = uint32(block.timestamp) + case_.context.drawDelay + terms.windows.check;
        book.disputes[case_.key] = dispute;
        emit IMarketEvents.JuryCalled(
            case_.context.id,
            case_.assignment,
            dispute.tier,
            call,
            jury.appellant,
            seats,
            jury.entropyBlock,
            dispute.deadline
        );
    }
}
