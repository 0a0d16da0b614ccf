// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {
    ABSENT_FINE,
    BatchId,
    CONTEST_FINE,
    DIFFERENCE_FINE,
    HONEST_SHARE,
    IMarketEvents,
    Juror,
    Jury,
    Matter,
    Outcome,
    Parameters,
    Settlement,
    Stage,
    Terms,
    UNDELIVERED,
    Verdict
} from "../interfaces/IMarket.sol";
import {StakeShare} from "../interfaces/IRegistry.sol";
import {Payment} from "../interfaces/IVault.sol";
import {Book} from "./Book.sol";
import {Case, Disputes} from "./Disputes.sol";
import {Pricing} from "./Pricing.sol";
import {PPM} from "./Sampling.sol";

/// @dev Wages that a juror pays at most which was outvoted over a delivery: a majority of a first jury, four of seven or
/// more, then pays the second one, of twice its seats. Less than {Terms.slashAmount}, which covers 2q+1.
uint96 constant OUTVOTED_WAGES = 4;

/// @notice One who pays for having been wrong, out of the lock it has in the matter.
/// @param node Who.
/// @param locked Its lock.
/// @param most What disputes may take of it.
/// @param spent What they took so far.
/// @param paid How many of {Reckoning.costs} that is.
/// @param costsOnly It pays what it cost and no more, for it is not proved to have lied: it delivered nothing, or was
/// outvoted over a delivery, of which not everybody need see the same.
struct Debtor {
    address node;
    uint96 locked;
    uint96 most;
    uint96 spent;
    uint256 paid;
    bool costsOnly;
}

/// @notice The end of a matter while it is worked out.
/// @param ruling The digest that is right; 0 if nobody said.
/// @param byJury Whether a jury said so.
/// @param guilty Members that lose their lock: bit i for member i.
/// @param unpaid Members that forfeit their pay; the guilty among them.
/// @param missed Members that did not open when they had to.
/// @param lied The requester accused falsely.
/// @param debtors The guilty members, then the guilty jurors.
/// @param debtorCount How many there are.
/// @param costs What the debtors pay for juries and openings, in their order.
/// @param costCount How many there are.
/// @param fromReserve What the requester's reserve paid of it.
/// @param payments Out of the batch's lock.
/// @param paymentCount How many there are.
/// @param burn Out of the batch's lock.
struct Reckoning {
    bytes32 ruling;
    bool byJury;
    uint64 guilty;
    uint64 unpaid;
    uint64 missed;
    bool lied;
    Debtor[] debtors;
    uint256 debtorCount;
    Payment[] costs;
    uint256 costCount;
    uint96 fromReserve;
    Payment[] payments;
    uint256 paymentCount;
    uint96 burn;
}

/// @title Reckonings: who is slashed, paid and charged when an excepted or disputed assignment ends
/// @notice A dispute's ruling is a digest. Members that committed to another one are guilty; what their locks hold pays
/// first for the juries, then a share to the members that were right, and the rest is burned. Whoever called a jury that
/// changed nothing pays it. A requester whose exception was false pays as the guilty do, out of its reserve.
/// @dev docs/protocol.md has the table; `sdk/src/settlement.ts` is the twin.
library Reckonings {
    using SafeCast for uint256;

    /// @notice Ends the matter: takes and frees stake, and says what to pay and burn out of the batch's lock.
    /// @param locked What the primary has committed to the assignment.
    function reckon(
        Book storage book,
        Terms calldata terms,
        Settlement calldata panel,
        Case memory case_,
        uint96 price,
        uint96 locked,
        Parameters memory parameters
    ) internal returns (Reckoning memory reckoning) {
        _decide(book, panel, case_, reckoning);
        _makeRoom(book, panel, case_, reckoning);
        for (uint256 member; member <= panel.answers.length; ++member) {
            bool delivery = case_.dispute.matter == Matter.Delivery;
            if (reckoning.guilty & (1 << member) != 0) {
                _owe(reckoning, _nodeOf(panel, member), member == 0 ? locked : terms.slashAmount);
            } else if (delivery && case_.dispute.member == member && reckoning.ruling == UNDELIVERED) {
                uint96 lock = member == 0 ? locked : terms.slashAmount;
                _oweCosts(reckoning, _nodeOf(panel, member), lock, lock);
            }
        }
        bool anybody = reckoning.debtorCount != 0;
        uint256 reserve;
        if (case_.dispute.matter == Matter.Exception) {
            (reserve,) = Pricing.reserve(terms, price, panel.submission.count, parameters);
        }
        _excuseJurors(book, terms, case_, reckoning);
        if (case_.dispute.matter != Matter.None) {
            _payOpeners(book, terms, panel, case_, reckoning, price, parameters, anybody);
            for (uint256 tier = 1; tier <= case_.dispute.tier; ++tier) {
                _payJury(book, terms, case_, reckoning, tier, anybody, reserve);
            }
        }
        if (reckoning.lied) {
            uint96 rest = uint96(reserve) - reckoning.fromReserve;
            reckoning.burn += rest;
            emit IMarketEvents.FalselyAccused(case_.context.id, case_.assignment, uint96(reserve));
        }
        uint96 penalty = _collect(terms, panel, case_, reckoning);
        uint96 paid = _credit(terms, panel, case_, reckoning, price, locked);
        emit IMarketEvents.Settled(
            case_.context.id, case_.assignment, _outcome(case_, reckoning), paid, reckoning.guilty, penalty
        );
        _shorten(reckoning);
    }

    /// @dev Who is guilty, unpaid, or missing, and whether the requester lied.
    function _decide(Book storage book, Settlement calldata panel, Case memory case_, Reckoning memory reckoning)
        private
        view
    {
        Matter matter = case_.dispute.matter;
        uint64 accused = case_.panel.state.accused;
        uint64 all = uint64((1 << (panel.answers.length + 1)) - 1);
        bool noMajority = case_.panel.state.verdict == Verdict.NoMajority;
        if (case_.dispute.stage == Stage.Answering) {
            // The accused of a contest was silent.
            reckoning.unpaid = uint64(1 << case_.dispute.member);
            return;
        }
        if (matter != Matter.None) {
            bytes32 first = book.digests[Disputes.rulingKey(case_.key, 0)];
            reckoning.ruling = Disputes.effectiveRuling(book, case_.key, case_.dispute.tier);
            for (uint256 tier = 1; tier <= case_.dispute.tier; ++tier) {
                if (book.digests[Disputes.rulingKey(case_.key, tier)] != 0) reckoning.byJury = true;
            }
            if (matter == Matter.Delivery) {
                if (reckoning.ruling == UNDELIVERED) reckoning.unpaid = uint64(1 << case_.dispute.member);
                return;
            }
            uint64 right;
            for (uint256 member; member <= panel.answers.length; ++member) {
                if (case_.dispute.opened & (1 << member) == 0) continue;
                bytes32 digest = book.digests[Disputes.openedKey(case_.key, member)];
                if (digest == reckoning.ruling) right |= uint64(1 << member);
                else if (reckoning.ruling != 0) reckoning.guilty |= uint64(1 << member);
            }
            uint64 silent = all & ~case_.dispute.opened;
            if (matter == Matter.Work) {
                // It said that it stands by its work, and then did not show it.
                if (reckoning.ruling != 0) reckoning.guilty |= silent & 1;
            } else {
                reckoning.missed = silent & ~accused;
                if (matter == Matter.Exception && reckoning.ruling != 0) {
                    reckoning.guilty |= silent & accused;
                    // Excused by a majority of the panel that said something else, and by what nobody could foresee.
                    reckoning.lied = noMajority
                        ? first == reckoning.ruling
                        : accused & right != 0 && (first == 0 || first == reckoning.ruling);
                }
            }
        }
        reckoning.unpaid |= reckoning.missed;
        if (reckoning.ruling == 0 && (matter == Matter.None || matter == Matter.Exception)) {
            // The exception stands.
            reckoning.guilty |= accused;
            if (noMajority) reckoning.unpaid = all;
        }
        reckoning.unpaid |= reckoning.guilty;
    }

    function _makeRoom(Book storage book, Settlement calldata panel, Case memory case_, Reckoning memory reckoning)
        private
        view
    {
        uint256 members = panel.answers.length + 1;
        uint256 seats;
        for (uint256 tier = 1; tier <= case_.dispute.tier; ++tier) {
            seats += book.juries[Disputes.juryKey(case_.key, tier)].seats;
        }
        reckoning.debtors = new Debtor[](members + seats);
        reckoning.costs = new Payment[](members + seats);
        reckoning.payments = new Payment[](2 * members + seats);
    }

    /// @dev Frees the jurors that did their part, and adds those that differ from a jury's ruling to the debtors.
    function _excuseJurors(Book storage book, Terms calldata terms, Case memory case_, Reckoning memory reckoning)
        private
    {
        StakeShare[] memory shares = new StakeShare[](reckoning.debtors.length);
        uint256 count;
        for (uint256 tier = 1; tier <= case_.dispute.tier; ++tier) {
            uint256 seats = book.juries[Disputes.juryKey(case_.key, tier)].seats;
            for (uint256 seat; seat < seats; ++seat) {
                bytes32 place = Disputes.jurorKey(case_.key, tier, seat);
                Juror memory juror = book.jurors[place];
                if (!juror.cast) continue;
                if (juror.shown && reckoning.byJury && book.digests[place] != reckoning.ruling) {
                    if (case_.dispute.matter != Matter.Delivery) _owe(reckoning, juror.node, terms.slashAmount);
                    else _oweCosts(reckoning, juror.node, terms.slashAmount, OUTVOTED_WAGES * terms.verifierPrice);
                } else {
                    shares[count++] = StakeShare(juror.node, terms.slashAmount);
                }
            }
        }
        if (count != 0) _release(case_, shares, count);
    }

    /// @dev Pays the members that opened for their gas.
    function _payOpeners(
        Book storage book,
        Terms calldata terms,
        Settlement calldata panel,
        Case memory case_,
        Reckoning memory reckoning,
        uint96 price,
        Parameters memory parameters,
        bool anybody
    ) private {
        Matter matter = case_.dispute.matter;
        if (matter == Matter.Work || matter == Matter.Delivery) {
            // A contest that the requester lost pays the accused, who had to answer it, and a fine.
            if (!anybody && case_.dispute.stage != Stage.Answering) {
                _pay(reckoning, _nodeOf(panel, case_.dispute.member), parameters.challengeBond);
                uint256 pay = _payOf(terms, panel, case_, price, case_.dispute.member);
                reckoning.burn += (pay * CONTEST_FINE / PPM).toUint96();
            }
            return;
        }
        uint256 openers;
        uint64 entitled = case_.dispute.opened & ~reckoning.guilty;
        for (uint256 mask = entitled; mask != 0; mask &= mask - 1) {
            ++openers;
        }
        uint96 each = openers == 0 ? 0 : uint96(parameters.challengeBond / openers);
        if (case_.dispute.pot && each * openers > parameters.bondFixed) each = uint96(parameters.bondFixed / openers);
        Payment[] memory allowances = new Payment[](each == 0 ? 0 : openers);
        uint256 count;
        for (uint256 member; member <= panel.answers.length && count < allowances.length; ++member) {
            if (entitled & (1 << member) != 0) allowances[count++] = Payment(_nodeOf(panel, member), each);
        }
        uint96 whole = uint96(each * count);
        if (matter == Matter.Silence) {
            if (!case_.dispute.pot) return;
            _payAll(reckoning, allowances, 0);
            reckoning.burn += parameters.bondFixed - whole;
            emit IMarketEvents.BondBurned(case_.context.id, parameters.bondFixed - whole);
            return;
        }
        Jury memory tier0 = book.juries[Disputes.juryKey(case_.key, 0)];
        if (reckoning.lied) {
            _payAll(reckoning, allowances, 0);
            reckoning.fromReserve += whole;
        } else if (anybody || reckoning.ruling != 0) {
            uint256 paid = _charge(reckoning, allowances);
            // Where all that were wrong stayed silent nobody owes anything, and the challenger was right: then the bond
            // helps, as it does where the debtors' locks are many of small worth.
            if (paid < allowances.length) {
                _payAll(reckoning, allowances, paid);
                reckoning.fromReserve += uint96((allowances.length - paid) * each);
            }
        } else {
            _spendBond(terms, case_, reckoning, tier0, allowances, 0);
            return;
        }
        _spendBond(terms, case_, reckoning, tier0, allowances, allowances.length);
    }

    /// @dev Pays the jurors of a tier that did their part, by whoever has to.
    function _payJury(
        Book storage book,
        Terms calldata terms,
        Case memory case_,
        Reckoning memory reckoning,
        uint256 tier,
        bool anybody,
        uint256 reserve
    ) private {
        Jury memory jury = book.juries[Disputes.juryKey(case_.key, tier)];
        Payment[] memory wages = new Payment[](jury.seats);
        uint256 count;
        for (uint256 seat; seat < jury.seats; ++seat) {
            bytes32 place = Disputes.jurorKey(case_.key, tier, seat);
            Juror memory juror = book.jurors[place];
            if (!juror.shown || (reckoning.byJury && book.digests[place] != reckoning.ruling)) continue;
            wages[count++] = Payment(juror.node, terms.verifierPrice);
        }
        assembly ("memory-safe") {
            // Shorten to what was used.
            mstore(wages, count)
        }
        bool contest = case_.dispute.matter == Matter.Work || case_.dispute.matter == Matter.Delivery;
        bool lost = contest && tier == 1
            ? !anybody
            : reckoning.ruling == Disputes.effectiveRuling(book, case_.key, tier - 1);
        uint256 paid;
        if (!lost || jury.bond == 0) {
            paid = _charge(reckoning, wages);
            while (paid < wages.length && reckoning.fromReserve + terms.verifierPrice <= reserve) {
                _pay(reckoning, wages[paid].to, terms.verifierPrice);
                reckoning.fromReserve += terms.verifierPrice;
                ++paid;
            }
        }
        _spendBond(terms, case_, reckoning, jury, wages, paid);
    }

    /// @dev Takes the bond of whoever put it up for `payments` from `from` on, and frees what is left of it.
    function _spendBond(
        Terms calldata terms,
        Case memory case_,
        Reckoning memory reckoning,
        Jury memory jury,
        Payment[] memory payments,
        uint256 from
    ) private {
        if (jury.bond == 0) return;
        if (jury.appellant == terms.requester) {
            // It is in the batch's lock, and what is left of that returns at the end.
            _payAll(reckoning, payments, from);
            return;
        }
        Payment[] memory due = new Payment[](payments.length - from);
        uint96 sum;
        for (uint256 i; i < due.length; ++i) {
            due[i] = payments[from + i];
            sum += due[i].amount;
        }
        case_.context.registry.slash(jury.appellant, jury.bond, sum, due);
    }

    /// @dev Charges `payments` to the debtors while their locks last; returns how many.
    function _charge(Reckoning memory reckoning, Payment[] memory payments) private pure returns (uint256 paid) {
        uint256 debtor;
        for (uint256 i; i < reckoning.debtorCount; ++i) {
            // Costs are taken in the debtors' order, so go on with the last that was charged.
            if (reckoning.debtors[i].paid != 0) debtor = i;
        }
        for (; debtor < reckoning.debtorCount && paid < payments.length; ++debtor) {
            Debtor memory owing = reckoning.debtors[debtor];
            while (paid < payments.length && owing.spent + payments[paid].amount <= owing.most) {
                owing.spent += payments[paid].amount;
                ++owing.paid;
                reckoning.costs[reckoning.costCount++] = payments[paid++];
            }
        }
    }

    /// @dev Takes what the debtors owe: costs, a share to the members that were right, the rest to the fire.
    function _collect(Terms calldata terms, Settlement calldata panel, Case memory case_, Reckoning memory reckoning)
        private
        returns (uint96 penalties)
    {
        uint64 right = uint64((1 << (panel.answers.length + 1)) - 1) & ~reckoning.unpaid;
        if (reckoning.ruling != 0) right &= case_.dispute.opened;
        uint256 rights;
        for (uint256 mask = right; mask != 0; mask &= mask - 1) {
            ++rights;
        }
        uint256 next;
        for (uint256 i; i < reckoning.debtorCount; ++i) {
            Debtor memory owing = reckoning.debtors[i];
            uint96 penalty = owing.spent;
            uint96 each;
            if (!owing.costsOnly && terms.fullSlash) {
                penalty = owing.locked;
                if (rights != 0) each = (owing.locked * HONEST_SHARE / PPM / rights).toUint96();
            } else if (!owing.costsOnly && owing.locked * DIFFERENCE_FINE / PPM > penalty) {
                penalty = (owing.locked * DIFFERENCE_FINE / PPM).toUint96();
            }
            Payment[] memory due = new Payment[](owing.paid + (each == 0 ? 0 : rights));
            uint256 count;
            for (; count < owing.paid; ++count) {
                due[count] = reckoning.costs[next++];
            }
            for (uint256 member; member <= panel.answers.length && count < due.length; ++member) {
                if (right & (1 << member) != 0) due[count++] = Payment(_nodeOf(panel, member), each);
            }
            penalties += penalty;
            case_.context.registry.slash(owing.node, owing.locked, penalty, due);
        }
    }

    /// @dev Frees the members that are not debtors, pays those that earned it, and fines those that did not open.
    function _credit(
        Terms calldata terms,
        Settlement calldata panel,
        Case memory case_,
        Reckoning memory reckoning,
        uint96 price,
        uint96 locked
    ) private returns (uint96 paid) {
        uint256 seatPay = case_.panel.sampled * terms.verifierPrice;
        StakeShare[] memory shares = new StakeShare[](panel.answers.length + 1);
        uint256 count;
        for (uint256 member; member <= panel.answers.length; ++member) {
            address node = _nodeOf(panel, member);
            bool owes = reckoning.guilty & (1 << member) != 0
                || (case_.dispute.matter == Matter.Delivery && case_.dispute.member == member
                    && reckoning.ruling == UNDELIVERED);
            if (!owes) shares[count++] = StakeShare(node, member == 0 ? locked : terms.slashAmount);
            uint96 pay = _payOf(terms, panel, case_, price, member).toUint96();
            if (reckoning.unpaid & (1 << member) == 0) {
                _pay(reckoning, node, pay);
                paid += pay;
            } else if (case_.dispute.matter == Matter.Silence || reckoning.missed & (1 << member) != 0) {
                // No requester is to gain by being silent, or by members that sleep when they are called.
                reckoning.burn += pay;
            }
        }
        if (count != 0) _release(case_, shares, count);
        for (uint256 member; member <= panel.answers.length; ++member) {
            if (reckoning.missed & (1 << member) == 0) continue;
            address node = _nodeOf(panel, member);
            uint96 fined = case_.context.registry.fine(node, (seatPay * ABSENT_FINE / PPM).toUint96());
            emit IMarketEvents.Missed(case_.context.id, case_.assignment, node, fined);
        }
    }

    function _payOf(
        Terms calldata terms,
        Settlement calldata panel,
        Case memory case_,
        uint96 price,
        uint256 member
    ) private pure returns (uint256) {
        return member == 0 ? uint256(panel.submission.count) * price : case_.panel.sampled * terms.verifierPrice;
    }

    function _outcome(Case memory case_, Reckoning memory reckoning) private pure returns (Outcome) {
        if (reckoning.guilty & 1 != 0) return Outcome.PrimarySlashed;
        if (case_.panel.state.verdict == Verdict.NoMajority && reckoning.ruling == 0) return Outcome.NoMajority;
        if (reckoning.unpaid & 1 != 0) return Outcome.Forfeited;
        if (reckoning.guilty != 0) return Outcome.SeatSlashed;
        return reckoning.lied || case_.dispute.matter == Matter.Silence ? Outcome.Forced : Outcome.Paid;
    }

    /// @dev The guilty lose everything: what disputes do not take goes to those that were right, and to the fire.
    function _owe(Reckoning memory reckoning, address node, uint96 locked) private pure {
        uint96 most = uint96(locked - locked * HONEST_SHARE / PPM);
        reckoning.debtors[reckoning.debtorCount++] = Debtor(node, locked, most, 0, 0, false);
    }

    function _oweCosts(Reckoning memory reckoning, address node, uint96 locked, uint96 most) private pure {
        reckoning.debtors[reckoning.debtorCount++] = Debtor(node, locked, most, 0, 0, true);
    }

    function _pay(Reckoning memory reckoning, address to, uint96 amount) private pure {
        reckoning.payments[reckoning.paymentCount++] = Payment(to, amount);
    }

    function _payAll(Reckoning memory reckoning, Payment[] memory payments, uint256 from) private pure {
        for (uint256 i = from; i < payments.length; ++i) {
            _pay(reckoning, payments[i].to, payments[i].amount);
        }
    }

    function _release(Case memory case_, StakeShare[] memory shares, uint256 count) private {
        assembly ("memory-safe") {
            // Shorten to what was used.
            mstore(shares, count)
        }
        case_.context.registry.release(shares);
    }

    function _shorten(Reckoning memory reckoning) private pure {
        Payment[] memory payments = reckoning.payments;
        uint256 count = reckoning.paymentCount;
        assembly ("memory-safe") {
            // Shorten to what was used.
            mstore(payments, count)
        }
    }

    function _nodeOf(Settlement calldata panel, uint256 member) private pure returns (address) {
        return member == 0 ? panel.submission.node : panel.answers[member - 1].node;
    }
}
