import { expect } from "chai";

import type { Dispute } from "./dispute-fixture.ts";
import {
  answerAll,
  BOND,
  each,
  loadCrowd,
  LOCK,
  PAY,
  SEAT,
  SEAT_FINE,
  stakeFor,
  startPanel,
  sum,
  WAGE,
  type Lies,
} from "./dispute-fixture.ts";
import { moneyOf, Outcome, PARAMETERS, pass, postBatch, termsOf } from "./market-fixture.ts";

const POT = PARAMETERS.bondFixed;

/** A panel that was told so, of a requester that does not judge, and whose members are called. */
async function called(lies: Lies = {}): Promise<Dispute> {
  const dispute = await startPanel(await loadCrowd(), lies);
  await pass(await dispute.life.judgeDeadline());
  await dispute.callPanel();
  return dispute;
}

async function opened(dispute: Dispute, ...members: number[]): Promise<Dispute> {
  await dispute.openAll(...members);
  if (members.length < dispute.members.length) await dispute.passStep();
  await dispute.rule();
  return dispute;
}

describe("Dispute over a requester's silence: the panel", () => {
  it("pays all that agree, and their openings out of its bond", async () => {
    const dispute = await opened(await called(), 0, 1, 2);
    const { d, members } = dispute;
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY + 2n * SEAT },
      sum(each(members, BOND / 3n), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY,
        requester: -PAY - 2n * SEAT - POT,
        burned: POT - BOND,
      }),
    );
  });

  it("slashes a verifier that differs, and burns what it would have earned", async () => {
    const dispute = await opened(await called({ 1: "x" }), 0, 1, 2);
    const { d, members } = dispute;
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY + SEAT, accused: 0b10n, penalty: LOCK },
      {
        [d.honest.address]: PAY + BOND / 2n + LOCK / 20n,
        [members[1]!.address]: -LOCK,
        [members[2]!.address]: SEAT + BOND / 2n + LOCK / 20n,
        requester: -PAY - 2n * SEAT - POT,
        burned: POT - BOND + SEAT + (LOCK * 9n) / 10n,
      },
    );
  });

  it("slashes a primary that differs, and burns what it would have earned", async () => {
    const dispute = await opened(await called({ 0: "x" }), 0, 1, 2);
    const { d, members } = dispute;
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK,
        requester: -PAY - 2n * SEAT - POT,
        burned: POT - BOND + PAY + (LOCK * 9n) / 10n,
      }),
    );
  });

  it("pays and slashes nobody where all differ", async () => {
    const dispute = await opened(await called({ 0: "x", 1: "y" }), 0, 1, 2);
    const { d, members } = dispute;
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY + 2n * SEAT },
      sum(each(members, BOND / 3n), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY,
        requester: -PAY - 2n * SEAT - POT,
        burned: POT - BOND,
      }),
    );
  });

  it("pays nobody and fines all where nobody opens, and returns nothing for it", async () => {
    const dispute = await called();
    await dispute.passStep();
    await dispute.rule();
    await dispute.expectConcluded(
      { outcome: Outcome.Forfeited, paid: 0n },
      sum(each(dispute.members, -SEAT_FINE), {
        requester: -PAY - 2n * SEAT - POT,
        burned: PAY + 2n * SEAT + POT + 3n * SEAT_FINE,
      }),
    );
  });

  it("pays the one that opens, with all of the allowance, and fines those that sleep", async () => {
    const dispute = await opened(await called({ 1: "x" }), 0);
    const { d, members } = dispute;
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY },
      sum(each(members.slice(1), -SEAT_FINE), {
        [d.honest.address]: PAY + BOND,
        requester: -PAY - 2n * SEAT - POT,
        burned: POT - BOND + 2n * SEAT + 2n * SEAT_FINE,
      }),
    );
  });

  it("pays nothing for openings where the bond is burned already", async () => {
    const d = await loadCrowd();
    const before = await moneyOf(d);
    // One task is sampled, and it lies in one of two slices: the other is paid by force before the panel is called.
    const life = await postBatch(d, { terms: termsOf(d, { rate: 100_000n, slashAmount: 20_000n }), real: true });
    await life.untilRevealed([d.honest, 5], [d.lying, 5]);
    const sampled = (await life.sampled(0)).length === 1 ? 0 : 1;
    const unsampled = 1 - sampled;
    const dispute = await answerAll(life, sampled, {}, before);
    await pass(await life.judgeDeadline(sampled));
    await life.settle(d.stranger, unsampled);
    expect((await life.state()).bondBurned).to.equal(true);
    await dispute.callPanel();
    await opened(dispute, 0, 1);
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: 5_000n + WAGE },
      sum(
        each([d.honest, d.lying], 5_000n),
        { [dispute.member(1).address]: WAGE },
        { requester: -10_000n - WAGE - POT, burned: POT },
      ),
    );
  });

  it("burns the bond once though another assignment is paid by force after it", async () => {
    const d = await loadCrowd();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: termsOf(d, { rate: 100_000n, slashAmount: 20_000n }), real: true });
    await life.untilRevealed([d.honest, 5], [d.lying, 5]);
    const sampled = (await life.sampled(0)).length === 1 ? 0 : 1;
    const dispute = await answerAll(life, sampled, {}, before);
    await pass(await life.judgeDeadline(sampled));
    await dispute.callPanel();
    expect((await life.state()).bondBurned).to.equal(true);
    await life.settle(d.stranger, 1 - sampled);
    await opened(dispute, 0, 1);
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: 5_000n + WAGE },
      sum(
        each([d.honest, d.lying], 5_000n),
        each(dispute.members, BOND / 2n),
        { [dispute.member(1).address]: WAGE },
        { requester: -10_000n - WAGE - POT, burned: POT - BOND },
      ),
    );
  });
});

describe("Dispute over a requester's silence: juries", () => {
  it("makes an honest member whole that two accomplices outvoted", async () => {
    const dispute = await opened(await called({ 0: "x", 1: "x" }), 0, 1, 2);
    const { d, members } = dispute;
    await dispute.appeal(members[2]!);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: SEAT, accused: 0b11n, penalty: 2n * LOCK },
      sum(each(jurors, WAGE), {
        [d.honest.address]: -LOCK,
        [members[1]!.address]: -LOCK,
        [members[2]!.address]: SEAT + BOND + LOCK / 5n,
        requester: -PAY - 2n * SEAT - POT,
        burned: POT - BOND + PAY + SEAT + 2n * LOCK - LOCK / 5n - 7n * WAGE,
      }),
    );
  });

  it("takes the jury out of the lock of a liar that called it for nothing", async () => {
    const dispute = await opened(await called({ 1: "x" }), 0, 1, 2);
    const { d, members } = dispute;
    await dispute.appeal(members[1]!);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY + SEAT, accused: 0b10n, penalty: LOCK },
      sum(each(jurors, WAGE), {
        [d.honest.address]: PAY + BOND / 2n + LOCK / 20n,
        [members[1]!.address]: -LOCK,
        [members[2]!.address]: SEAT + BOND / 2n + LOCK / 20n,
        requester: -PAY - 2n * SEAT - POT,
        burned: POT - BOND + SEAT + (LOCK * 9n) / 10n - 7n * WAGE,
      }),
    );
  });

  it("decides between all that differ, for whoever stakes the jury's cost", async () => {
    const dispute = await opened(await called({ 0: "x", 1: "y" }), 0, 1, 2);
    const { d, members } = dispute;
    await dispute.appeal(members[2]!);
    const { bond } = await dispute.jury();
    expect(bond).to.equal(7n * WAGE);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: SEAT, accused: 0b11n, penalty: 2n * LOCK },
      sum(each(jurors, WAGE), {
        [d.honest.address]: -LOCK,
        [members[1]!.address]: -LOCK,
        [members[2]!.address]: SEAT + BOND + LOCK / 5n,
        requester: -PAY - 2n * SEAT - POT,
        burned: POT - BOND + PAY + SEAT + 2n * LOCK - LOCK / 5n - 7n * WAGE,
      }),
    );
  });

  it("takes the jury out of the bond of an appellant that was right and changed nothing for anybody", async () => {
    const d = await loadCrowd();
    await stakeFor(d, d.stranger, 20_000n);
    const dispute = await startPanel(d);
    const { life, members } = dispute;
    await pass(await life.judgeDeadline());
    await dispute.callPanel();
    await opened(dispute, 0);
    await dispute.appeal(d.stranger);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY },
      sum(each(jurors, WAGE), each(members.slice(1), -SEAT_FINE), {
        [d.honest.address]: PAY + BOND,
        stranger: -7n * WAGE,
        requester: -PAY - 2n * SEAT - POT,
        burned: POT - BOND + 2n * SEAT + 2n * SEAT_FINE,
      }),
    );
  });
});
