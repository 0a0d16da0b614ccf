import {
  BOND,
  each,
  fixedTerms,
  JUROR_FINE,
  loadCrowd,
  LOCK,
  PAY,
  RESERVE,
  SEAT,
  SEAT_FINE,
  stakeFor,
  startPanel,
  sum,
  WAGE,
  type Dispute,
  type Lies,
} from "./dispute-fixture.ts";
import { networkHelpers, Outcome, Verdict, type Deployment, type Exception, type Terms } from "./market-fixture.ts";

/** A panel that was told so, and the requester's exception against its primary unless another is given. */
async function excepted(
  lies: Lies = {},
  { verdict = Verdict.PrimaryDiffers, seat = 0, terms }: Partial<Exception> & { terms?: (d: Deployment) => Terms } = {},
): Promise<Dispute> {
  const d = await loadCrowd();
  const dispute = await startPanel(d, lies, { terms: (terms ?? fixedTerms)(d) });
  await dispute.life.judge([await dispute.life.exception(verdict, { seat })]);
  return dispute;
}

/** Challenged by the first of those that open, and ruled. */
async function opened(dispute: Dispute, ...members: number[]): Promise<Dispute> {
  await dispute.challenge(dispute.member(members[0] ?? 0));
  await dispute.openAll(...members);
  if (members.length < dispute.members.length) await dispute.passStep();
  await dispute.rule();
  return dispute;
}

describe("Dispute of an exception: the requester is wrong", () => {
  it("pays the panel, its openings, and burns the reserve", async () => {
    const dispute = await excepted();
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY + 2n * SEAT },
      sum(each(members, BOND / 3n), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY,
        requester: -PAY - 2n * SEAT - RESERVE,
        burned: RESERVE - BOND,
      }),
    );
  });

  it("pays all when a verifier was accused falsely and defends itself", async () => {
    const dispute = await excepted({}, { verdict: Verdict.SeatDiffers, seat: 1 });
    const { d, members } = await opened(dispute, 2, 1, 0);
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY + 2n * SEAT },
      sum(each(members, BOND / 3n), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY,
        requester: -PAY - 2n * SEAT - RESERVE,
        burned: RESERVE - BOND,
      }),
    );
  });

  it("pays all when there was a majority, and returns the challenger's bond", async () => {
    const dispute = await excepted({}, { verdict: Verdict.NoMajority });
    const { d, members } = await opened(dispute, 1, 0, 2);
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY + 2n * SEAT },
      sum(each(members, BOND / 3n), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY,
        requester: -PAY - 2n * SEAT - RESERVE,
        burned: RESERVE - BOND,
      }),
    );
  });

  it("slashes whoever differs from the majority that the requester denied", async () => {
    const dispute = await excepted({ 2: "x" }, { verdict: Verdict.NoMajority });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY + SEAT, accused: 0b100n, penalty: LOCK },
      sum(each(members.slice(0, 2), BOND / 2n + LOCK / 20n), {
        [d.honest.address]: PAY,
        [members[1]!.address]: SEAT,
        [members[2]!.address]: -LOCK,
        requester: -PAY - SEAT - RESERVE,
        burned: RESERVE - BOND + (LOCK * 9n) / 10n,
      }),
    );
  });

  it("says that the primary was slashed where the majority that it denied differs from the primary", async () => {
    const dispute = await excepted({ 0: "x" }, { verdict: Verdict.NoMajority });
    const { d, members } = await opened(dispute, 1, 0, 2);
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT - RESERVE,
        burned: RESERVE - BOND + (LOCK * 9n) / 10n,
      }),
    );
  });

  it("pays who was accused rightly nothing, though the requester accused another falsely too", async () => {
    const d = await loadCrowd();
    const terms = fixedTerms(d, { quorum: 5n, slashAmount: 16_000n });
    const dispute = await startPanel(d, { 0: "x" }, { terms });
    const { life, members } = dispute;
    await life.judge([
      await life.exception(Verdict.PrimaryDiffers),
      await life.exception(Verdict.SeatDiffers, { seat: 2 }),
    ]);
    await opened(dispute, 3, 0, 1, 2, 4);
    const reserve = PAY + 33n * WAGE + BOND;
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 4n * SEAT, accused: 0b1n, penalty: 16_000n },
      sum(each(members.slice(1), SEAT + BOND / 4n + 400n), {
        [d.honest.address]: -16_000n,
        requester: -4n * SEAT - reserve,
        burned: reserve - BOND + 16_000n - 1_600n,
      }),
    );
  });
});

describe("Dispute of an exception: the requester is right", () => {
  it("slashes the accused, who pays those that had to open", async () => {
    const dispute = await excepted({ 0: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
        burned: (LOCK * 9n) / 10n - BOND,
      }),
    );
  });

  it("returns the bond of another that challenged for the liar", async () => {
    const dispute = await excepted({ 0: "x" });
    const { d, members } = await opened(dispute, 2, 1, 0);
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
        burned: (LOCK * 9n) / 10n - BOND,
      }),
    );
  });

  it("slashes an accused verifier and an accomplice that nobody accused", async () => {
    const d = await loadCrowd();
    const terms = fixedTerms(d, { quorum: 5n, slashAmount: 16_000n });
    const dispute = await startPanel(d, { 1: "x", 4: "x" }, { terms });
    const { life, members } = dispute;
    await life.judge([await life.exception(Verdict.SeatDiffers, { seat: 0 })]);
    await opened(dispute, 1, 0, 2, 3, 4);
    const share = 2n * (1_600n / 3n);
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY + 2n * SEAT, accused: 0b10010n, penalty: 32_000n },
      sum(each([members[2]!, members[3]!], SEAT), each([members[0]!, members[2]!, members[3]!], share + BOND / 3n), {
        [d.honest.address]: PAY,
        [members[1]!.address]: -16_000n,
        [members[4]!.address]: -16_000n,
        requester: -PAY - 2n * SEAT,
        burned: 32_000n - 3n * share - BOND,
      }),
    );
  });

  it("takes the accused's silence for what it is", async () => {
    const dispute = await excepted({ 0: "x" });
    const { d, members } = await opened(dispute, 1, 2);
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
        burned: (LOCK * 9n) / 10n - BOND,
      }),
    );
  });

  it("takes the bond of a challenger that was wrong about a majority", async () => {
    const dispute = await excepted({ 0: "x", 1: "y" }, { verdict: Verdict.NoMajority });
    const { d, members } = await opened(dispute, 1, 0, 2);
    await dispute.expectConcluded(
      { outcome: Outcome.NoMajority, paid: 0n },
      { [d.honest.address]: 200n, [members[1]!.address]: 200n - BOND, [members[2]!.address]: 200n },
    );
  });

  it("returns that bond where nobody opened, and burns what the silent would have earned", async () => {
    const dispute = await excepted({ 0: "x", 1: "y" }, { verdict: Verdict.NoMajority });
    const { members } = dispute;
    await dispute.challenge(members[1]!);
    await dispute.passStep();
    await dispute.rule();
    // All three missed: what they would have earned is not the requester's, and half a seat's pay is their fine.
    await dispute.expectConcluded(
      { outcome: Outcome.NoMajority, paid: 0n },
      sum(each(members, -SEAT_FINE), {
        requester: -PAY - 2n * SEAT,
        burned: PAY + 2n * SEAT + 3n * SEAT_FINE,
      }),
    );
  });

  it("lets an honest requester open for accomplices that stay silent to frame it", async () => {
    const dispute = await excepted({ 1: "x", 2: "x" });
    const { d, members } = dispute;
    await dispute.challenge();
    await dispute.open(0);
    await dispute.open(1, d.requester);
    await dispute.open(2, d.requester);
    await dispute.rule();
    await dispute.appeal(d.honest);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY, accused: 0b110n, penalty: 2n * LOCK },
      sum(each(jurors, WAGE), each(members.slice(1), -LOCK), {
        [d.honest.address]: PAY + BOND + LOCK / 5n,
        requester: -PAY,
        burned: (LOCK * 9n) / 10n,
      }),
    );
  });
});

describe("Dispute of an exception: members that do not open", () => {
  it("lets the accusation stand where too few open, but not for the silent's pay", async () => {
    const dispute = await excepted();
    const { d, members } = await opened(dispute, 0);
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 0n, accused: 0b1n, penalty: LOCK },
      sum(each(members.slice(1), -SEAT_FINE), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
        burned: LOCK + 2n * SEAT + 2n * SEAT_FINE,
      }),
    );
  });

  it("gives the accused a jury for nothing then, which the false accuser pays", async () => {
    const dispute = await excepted();
    const { d, members } = await opened(dispute, 0);
    await dispute.appeal(d.honest);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY },
      sum(each(jurors, WAGE), each(members.slice(1), -SEAT_FINE), {
        [d.honest.address]: PAY + BOND,
        requester: -PAY - 2n * SEAT - RESERVE,
        burned: RESERVE - BOND - 7n * WAGE + 2n * SEAT + 2n * SEAT_FINE,
      }),
    );
  });

  it("fines one that sleeps where the others are enough", async () => {
    const dispute = await excepted();
    const { d, members } = await opened(dispute, 0, 1);
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY + SEAT },
      {
        [d.honest.address]: PAY + BOND / 2n,
        [members[1]!.address]: SEAT + BOND / 2n,
        [members[2]!.address]: -SEAT_FINE,
        requester: -PAY - 2n * SEAT - RESERVE,
        burned: RESERVE - BOND + SEAT + SEAT_FINE,
      },
    );
  });

  it("forfeits the pay of a primary that sleeps while a verifier clears itself", async () => {
    const dispute = await excepted({}, { verdict: Verdict.SeatDiffers });
    const { d, members } = await opened(dispute, 1, 2);
    await dispute.expectConcluded(
      { outcome: Outcome.Forfeited, paid: 2n * SEAT },
      sum(each(members.slice(1), SEAT + BOND / 2n), {
        [d.honest.address]: -SEAT_FINE,
        requester: -PAY - 2n * SEAT - RESERVE,
        burned: RESERVE - BOND + PAY + SEAT_FINE,
      }),
    );
  });
});

describe("Dispute of an exception: juries", () => {
  it("makes an honest verifier whole that two accomplices outvoted", async () => {
    const dispute = await excepted({ 0: "x", 1: "x" }, { verdict: Verdict.SeatDiffers, seat: 1 });
    const { d, members } = await opened(dispute, 2, 0, 1);
    await dispute.appeal(members[2]!);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: SEAT, accused: 0b11n, penalty: 2n * LOCK },
      sum(each(jurors, WAGE), {
        [d.honest.address]: -LOCK,
        [members[1]!.address]: -LOCK,
        [members[2]!.address]: SEAT + BOND + LOCK / 5n,
        requester: -SEAT,
        burned: (LOCK * 9n) / 10n,
      }),
    );
  });

  it("takes a liar's lock for the jury that it called for nothing", async () => {
    const dispute = await excepted({ 0: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(jurors, WAGE), each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
      }),
    );
  });

  it("takes the second jury out of the bond of the liar that lost it too", async () => {
    const dispute = await excepted({ 0: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const first = await dispute.decide();
    await dispute.appeal(d.honest);
    const second = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each([...first, ...second], WAGE), each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK - 14n * WAGE,
        requester: -2n * SEAT,
      }),
    );
  });

  it("takes the first jury out of a stranger's bond that changed nothing", async () => {
    const d = await loadCrowd();
    await stakeFor(d, d.stranger, 50_000n);
    const dispute = await startPanel(d, { 0: "x" });
    const { life, members } = dispute;
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.stranger);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(jurors, WAGE), each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK,
        stranger: -7n * WAGE,
        requester: -2n * SEAT,
        burned: (LOCK * 9n) / 10n - BOND,
      }),
    );
  });

  it("returns the bond of a stranger that was right, while the victim slept", async () => {
    const d = await loadCrowd();
    await stakeFor(d, d.stranger, 50_000n);
    const dispute = await startPanel(d, { 1: "x", 2: "x" });
    const { life, members } = dispute;
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.stranger);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY, accused: 0b110n, penalty: 2n * LOCK },
      sum(each(jurors, WAGE), each(members.slice(1), -LOCK), {
        [d.honest.address]: PAY + BOND + LOCK / 5n,
        requester: -PAY,
        burned: (LOCK * 9n) / 10n,
      }),
    );
  });

  it("takes both juries out of the money of a requester that will not see that it was wrong", async () => {
    const dispute = await excepted();
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.requester);
    const first = await dispute.decide();
    await dispute.appeal(d.requester);
    const second = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY + 2n * SEAT },
      sum(each([...first, ...second], WAGE), each(members, BOND / 3n), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY,
        requester: -PAY - 2n * SEAT - RESERVE - 21n * WAGE,
        burned: RESERVE - BOND,
      }),
    );
  });

  it("lets the second jury slash the first that was bribed", async () => {
    const dispute = await excepted({ 0: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const bribed = await dispute.decide(["x"]);
    await dispute.appeal(members[1]!);
    const jurors = await dispute.decide();
    // 14 wages: seven of what the liar has left after the openings, seven of the first bribed juror's lock.
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: 8n * LOCK },
      sum(each(jurors, WAGE), each(bribed, -LOCK), each(members.slice(1), SEAT + BOND / 2n + (8n * LOCK) / 20n), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
        burned: (7n * LOCK * 9n) / 10n - 7n * WAGE,
      }),
    );
  });

  it("slashes the jurors that differ from their own jury's ruling", async () => {
    const dispute = await excepted({ 0: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const jurors = await dispute.decide(["x", "y", ""]);
    // Two of seven are wrong: five wages, which the liar pays.
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: 3n * LOCK },
      sum(
        each(jurors.slice(2), WAGE),
        each(jurors.slice(0, 2), -LOCK),
        each(members.slice(1), SEAT + BOND / 2n + (3n * LOCK) / 20n),
        {
          [d.honest.address]: -LOCK,
          requester: -2n * SEAT,
          burned: (3n * LOCK * 9n) / 10n - BOND - 5n * WAGE,
        },
      ),
    );
  });

  it("leaves the panel's ruling where the jury has no majority, and pays all its jurors", async () => {
    const dispute = await excepted({ 0: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const jurors = await dispute.decide(["", "", "", "x", "x", "x", "y"]);
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(jurors, WAGE), each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
      }),
    );
  });

  it("counts seats and not ballots: three of seven rule nothing", async () => {
    const dispute = await excepted({ 1: "x", 2: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const first = await dispute.seat();
    for (const seat of [0, 1, 2]) await dispute.vote(seat);
    await dispute.passStep();
    await dispute.rule();
    await dispute.mineJury();
    await dispute.convene();
    const second = await dispute.jurors();
    await dispute.passStep();
    await dispute.rule();
    for (const seat of [0, 1, 2]) await dispute.showVote(seat);
    await dispute.rule();
    // The exception stands: the jury that the victim called for nothing is paid by its lock.
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(
        each(first.slice(0, 3), WAGE),
        each([...first.slice(3), ...second.slice(3)], -JUROR_FINE),
        each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n),
        {
          [d.honest.address]: -LOCK,
          requester: -2n * SEAT,
          burned: (LOCK * 9n) / 10n - BOND - 3n * WAGE + 8n * JUROR_FINE,
        },
      ),
    );
  });

  it("fines a jury that nobody attends, calls another once, and goes on without", async () => {
    const dispute = await excepted({ 0: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const first = await dispute.seat();
    await dispute.passStep();
    await dispute.rule();
    const second = await dispute.seat();
    await dispute.passStep();
    await dispute.rule();
    await dispute.rule();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each([...first, ...second], -JUROR_FINE), each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
        burned: (LOCK * 9n) / 10n - BOND + 14n * JUROR_FINE,
      }),
    );
  });

  it("lets those decide that were called for the absent", async () => {
    const dispute = await excepted({ 1: "x", 2: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const first = await dispute.seat();
    await dispute.vote(0);
    await dispute.passStep();
    await dispute.rule();
    const second = await dispute.seat();
    for (let seat = 1; seat < 7; seat += 1) await dispute.vote(seat);
    await dispute.rule();
    for (let seat = 0; seat < 7; seat += 1) await dispute.showVote(seat);
    await dispute.rule();
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY, accused: 0b110n, penalty: 2n * LOCK },
      sum(each(second, WAGE), each(first.slice(1), -JUROR_FINE), each(members.slice(1), -LOCK), {
        [d.honest.address]: PAY + BOND + LOCK / 5n,
        requester: -PAY,
        burned: (LOCK * 9n) / 10n + 6n * JUROR_FINE,
      }),
    );
  });

  it("fines a juror that casts and does not open", async () => {
    const dispute = await excepted({ 1: "x", 2: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const jurors = await dispute.seat();
    for (let seat = 0; seat < 7; seat += 1) await dispute.vote(seat);
    await dispute.rule();
    for (let seat = 1; seat < 7; seat += 1) await dispute.showVote(seat);
    await dispute.passStep();
    await dispute.rule();
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY, accused: 0b110n, penalty: 2n * LOCK },
      sum(each(jurors.slice(1), WAGE), each(members.slice(1), -LOCK), {
        [jurors[0]!.address]: -JUROR_FINE,
        [d.honest.address]: PAY + BOND + LOCK / 5n,
        requester: -PAY,
        burned: (LOCK * 9n) / 10n + WAGE + JUROR_FINE,
      }),
    );
  });

  it("goes on without a jury whose entropy was lost, and charges nobody for it", async () => {
    const d = await loadCrowd();
    await stakeFor(d, d.stranger, 50_000n);
    const dispute = await startPanel(d, { 0: "x" });
    const { life, members } = dispute;
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.stranger);
    await networkHelpers.mine(300);
    await dispute.passStep();
    await dispute.rule();
    await dispute.rule();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(members.slice(1), SEAT + BOND / 2n + LOCK / 20n), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
        burned: (LOCK * 9n) / 10n - BOND,
      }),
    );
  });

  it("finds who is right where there was no majority, and charges those that were wrong", async () => {
    const dispute = await excepted({ 0: "x", 1: "y" }, { verdict: Verdict.NoMajority });
    const { d, members } = await opened(dispute, 2, 0, 1);
    await dispute.appeal(members[2]!);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: SEAT, accused: 0b11n, penalty: 2n * LOCK },
      sum(each(jurors, WAGE), {
        [d.honest.address]: -LOCK,
        [members[1]!.address]: -LOCK,
        [members[2]!.address]: SEAT + BOND + LOCK / 5n,
        requester: -SEAT,
        burned: (LOCK * 9n) / 10n,
      }),
    );
  });

  it("pays openings and jury out of the reserve where all that were wrong stay silent", async () => {
    const dispute = await excepted({ 0: "x", 1: "y" }, { verdict: Verdict.NoMajority });
    const { members } = await opened(dispute, 2);
    await dispute.appeal(members[2]!);
    const jurors = await dispute.decide();
    // The challenger was right: both its bonds return, and it earns the allowance.
    await dispute.expectConcluded(
      { outcome: Outcome.Forfeited, paid: SEAT },
      sum(each(jurors, WAGE), each(members.slice(0, 2), -SEAT_FINE), {
        [members[2]!.address]: SEAT + BOND,
        requester: -PAY - 2n * SEAT - BOND - 7n * WAGE,
        burned: PAY + SEAT + 2n * SEAT_FINE,
      }),
    );
  });

  it("excuses a requester whose accusation only the second jury refutes", async () => {
    const dispute = await excepted({ 1: "x", 2: "x" });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const bribed = await dispute.decide(["x"]);
    await dispute.appeal(d.honest);
    const jurors = await dispute.decide();
    // The accomplices pay the openings and fourteen wages; the bribed lose their locks.
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY, accused: 0b110n, penalty: 9n * LOCK },
      sum(each(jurors, WAGE), each([...bribed, ...members.slice(1)], -LOCK), {
        [d.honest.address]: PAY + BOND + (9n * LOCK) / 10n,
        requester: -PAY,
        burned: (9n * LOCK * 9n) / 10n - BOND - 14n * WAGE,
      }),
    );
  });
});

describe("Dispute of an exception: where a difference is no proof of a lie", () => {
  const mild = (d: Deployment) => fixedTerms(d, { fullSlash: false });

  it("costs a tenth, out of which the openings are paid", async () => {
    const dispute = await excepted({ 0: "x" }, { terms: mild });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK / 10n },
      sum(each(members.slice(1), SEAT + BOND / 2n), {
        [d.honest.address]: -LOCK / 10n,
        requester: -2n * SEAT,
        burned: LOCK / 10n - BOND,
      }),
    );
  });

  it("costs what the jury costs where that is more, and a juror a tenth", async () => {
    const dispute = await excepted({ 0: "x" }, { terms: mild });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.appeal(d.honest);
    const jurors = await dispute.decide(["x", ""]);
    const spent = BOND + 6n * WAGE;
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: spent + LOCK / 10n },
      sum(each(jurors.slice(1), WAGE), each(members.slice(1), SEAT + BOND / 2n), {
        [d.honest.address]: -spent,
        [jurors[0]!.address]: -LOCK / 10n,
        requester: -2n * SEAT,
        burned: LOCK / 10n,
      }),
    );
  });

  it("still burns the reserve of a requester that accused falsely", async () => {
    const dispute = await excepted({}, { terms: mild });
    const { d, members } = await opened(dispute, 0, 1, 2);
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: PAY + 2n * SEAT },
      sum(each(members, BOND / 3n), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY,
        requester: -PAY - 2n * SEAT - RESERVE,
        burned: RESERVE - BOND,
      }),
    );
  });
});
