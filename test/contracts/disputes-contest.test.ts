import {
  BOND,
  each,
  EVIDENCE,
  JUROR_FINE,
  loadCrowd,
  LOCK,
  PAY,
  SEAT,
  startPanel,
  sum,
  WAGE,
  Dispute,
  type Lies,
} from "./dispute-fixture.ts";
import { Matter, moneyOf, Outcome, postBatch, termsOf } from "./market-fixture.ts";
import { sampledCount } from "./reference.ts";

/** A tenth of what the accused earns: what a contest costs that the requester loses, beside jury and allowance. */
const PRIMARY_FINE = PAY / 10n;
const SEAT_CONTEST_FINE = SEAT / 10n;

async function panel(lies: Lies = {}): Promise<Dispute> {
  return await startPanel(await loadCrowd(), lies);
}

/** A task of the slice that nobody ran again, and one that was. */
async function tasksOf(dispute: Dispute): Promise<{ unsampled: number; sampled: number }> {
  const sampled = await dispute.life.sampled();
  const unsampled = Array.from({ length: 10 }, (_, task) => task).find((task) => !sampled.includes(task))!;
  return { unsampled, sampled: sampled[0]! };
}

/** The requester contests the primary's result of a task nobody ran again, and the primary stands by it. */
async function contested(lies: Lies = {}): Promise<Dispute> {
  const dispute = await panel(lies);
  await dispute.contest(Matter.Work, { task: (await tasksOf(dispute)).unsampled });
  await dispute.answerContest(dispute.member(0));
  return dispute;
}

/** The requester contests that a member delivered, and the member stands by it. */
async function undelivered(member = 0): Promise<Dispute> {
  const dispute = await panel();
  await dispute.contest(Matter.Delivery, { member });
  await dispute.answerContest(dispute.member(member), EVIDENCE);
  return dispute;
}

describe("Contest of a result", () => {
  it("slashes a primary that lied where nobody looked, and lets it pay the jury", async () => {
    const dispute = await contested({ 0: "x" });
    const { d, members } = dispute;
    const jurors = await dispute.decide([""], { open: [0] });
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(jurors, WAGE), each(members.slice(1), SEAT), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
        burned: LOCK - 7n * WAGE,
      }),
    );
  });

  it("slashes a primary that stands by its result and then does not show it", async () => {
    const dispute = await contested();
    const { d, members } = dispute;
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
      sum(each(jurors, WAGE), each(members.slice(1), SEAT), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
        burned: LOCK - 7n * WAGE,
      }),
    );
  });

  it("costs a requester that was wrong the jury, an allowance and a fine", async () => {
    const dispute = await contested();
    const { d, members } = dispute;
    const jurors = await dispute.decide([""], { open: [0] });
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + 2n * SEAT },
      sum(each(jurors, WAGE), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY + BOND,
        requester: -PAY - 2n * SEAT - BOND - PRIMARY_FINE - 7n * WAGE,
        burned: PRIMARY_FINE,
      }),
    );
  });

  it("lets a primary that does not answer keep its lock and not its pay", async () => {
    const dispute = await panel({ 0: "x" });
    const { members } = dispute;
    await dispute.contest(Matter.Work, { task: 0 });
    await dispute.expectConcluded(
      { outcome: Outcome.Forfeited, paid: 2n * SEAT },
      sum(each(members.slice(1), SEAT), { requester: -2n * SEAT }),
    );
  });

  it("slashes a whole panel that agreed on a lie about a planted task", async () => {
    const dispute = await panel({ 0: "x", 1: "x", 2: "x" });
    const { members } = dispute;
    await dispute.contest(Matter.Work, { task: (await tasksOf(dispute)).sampled });
    await dispute.answerContest(dispute.member(0));
    const jurors = await dispute.decide([""], { open: [0, 1, 2] });
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 0n, accused: 0b111n, penalty: 3n * LOCK },
      sum(each(jurors, WAGE), each(members, -LOCK), { burned: 3n * LOCK - 7n * WAGE }),
    );
  });

  it("rewards a verifier of a planted task that showed the truth", async () => {
    const dispute = await panel({ 0: "x", 1: "x" });
    const { members } = dispute;
    await dispute.contest(Matter.Work, { task: (await tasksOf(dispute)).sampled });
    await dispute.answerContest(dispute.member(0));
    const jurors = await dispute.decide([""], { open: [0, 1, 2] });
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: SEAT, accused: 0b11n, penalty: 2n * LOCK },
      sum(each(jurors, WAGE), each(members.slice(0, 2), -LOCK), {
        [members[2]!.address]: SEAT + LOCK / 5n,
        requester: -SEAT,
        burned: (2n * LOCK * 9n) / 10n - 7n * WAGE,
      }),
    );
  });

  it("slashes a verifier that differs, where the primary that was contested was right", async () => {
    const dispute = await panel({ 1: "x" });
    const { d, members } = dispute;
    await dispute.contest(Matter.Work, { task: (await tasksOf(dispute)).sampled });
    await dispute.answerContest(dispute.member(0));
    const jurors = await dispute.decide([""], { open: [0, 1] });
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY + SEAT, accused: 0b10n, penalty: LOCK },
      sum(each(jurors, WAGE), {
        [d.honest.address]: PAY + LOCK / 10n,
        [members[1]!.address]: -LOCK,
        [members[2]!.address]: SEAT,
        requester: -PAY - SEAT,
        burned: (LOCK * 9n) / 10n - 7n * WAGE,
      }),
    );
  });

  it("ends as it began where the jury has no majority: the requester pays it, and nobody is slashed", async () => {
    const dispute = await contested({ 0: "x" });
    const { d, members } = dispute;
    const jurors = await dispute.decide(["", "", "", "x", "x", "x", "y"], { open: [0] });
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + 2n * SEAT },
      sum(each(jurors, WAGE), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY + BOND,
        requester: -PAY - 2n * SEAT - BOND - PRIMARY_FINE - 7n * WAGE,
        burned: PRIMARY_FINE,
      }),
    );
  });

  it("ends so too where no juror comes", async () => {
    const dispute = await contested({ 0: "x" });
    const { d, members } = dispute;
    const first = await dispute.seat();
    await dispute.passStep();
    await dispute.rule();
    const second = await dispute.seat();
    await dispute.passStep();
    await dispute.rule();
    await dispute.passStep();
    await dispute.rule();
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + 2n * SEAT },
      sum(each([...first, ...second], -JUROR_FINE), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY + BOND,
        requester: -PAY - 2n * SEAT - BOND - PRIMARY_FINE,
        burned: PRIMARY_FINE + 14n * JUROR_FINE,
      }),
    );
  });

  it("lets the requester appeal a bribed jury, which pays both", async () => {
    const dispute = await contested({ 0: "x" });
    const { d, members } = dispute;
    const bribed = await dispute.decide(["x"], { open: [0] });
    await dispute.appeal(d.requester);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: 8n * LOCK },
      sum(each(jurors, WAGE), each(bribed, -LOCK), each(members.slice(1), SEAT), {
        [d.honest.address]: -LOCK,
        requester: -2n * SEAT,
        burned: 8n * LOCK - 14n * WAGE,
      }),
    );
  });

  it("lets the primary appeal a bribed jury with a bond that returns", async () => {
    const dispute = await contested();
    const { d, members } = dispute;
    const bribed = await dispute.decide(["x"], { open: [0] });
    await dispute.appeal(d.honest);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + 2n * SEAT, penalty: 7n * LOCK },
      sum(each(jurors, WAGE), each(bribed, -LOCK), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY + BOND + (7n * LOCK) / 10n,
        requester: -PAY - 2n * SEAT - BOND - PRIMARY_FINE,
        burned: PRIMARY_FINE + (7n * LOCK * 9n) / 10n - 14n * WAGE,
      }),
    );
  });

  it("takes the second jury out of the money of a requester that was wrong twice", async () => {
    const dispute = await contested();
    const { d, members } = dispute;
    const first = await dispute.decide([""], { open: [0] });
    await dispute.appeal(d.requester);
    const second = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + 2n * SEAT },
      sum(each([...first, ...second], WAGE), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY + BOND,
        requester: -PAY - 2n * SEAT - BOND - PRIMARY_FINE - 21n * WAGE,
        burned: PRIMARY_FINE,
      }),
    );
  });

  it("reaches an assignment of which nothing is sampled", async () => {
    const d = await loadCrowd();
    const before = await moneyOf(d);
    const terms = termsOf(d, { rate: 100_000n, slashAmount: 20_000n });
    const life = await postBatch(d, { terms, count: 2, real: true });
    life.results!.lie(d.honest.address, "x");
    await life.compute([d.honest, 2]);
    await life.mineEntropy((entropy) => sampledCount(entropy, 0, 2, terms.rate) === 0);
    await life.reveal();
    const dispute = new Dispute(life, 0, [d.honest], before);
    await dispute.contest(Matter.Work, { task: 1 });
    await dispute.answerContest(d.honest);
    const jurors = await dispute.decide([""], { open: [0] });
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 0n, accused: 0b1n, penalty: 20_000n },
      sum(each(jurors, WAGE), { [d.honest.address]: -20_000n, burned: 20_000n - 7n * WAGE }),
    );
  });
});

describe("Contest of a delivery", () => {
  it("keeps the pay of a primary that delivered nothing, and lets it pay the jury, but slashes it not", async () => {
    const dispute = await undelivered();
    const { d, members } = dispute;
    const jurors = await dispute.decide(["x"]);
    await dispute.expectConcluded(
      { outcome: Outcome.Forfeited, paid: 2n * SEAT, penalty: 7n * WAGE },
      sum(each(jurors, WAGE), each(members.slice(1), SEAT), {
        [d.honest.address]: -7n * WAGE,
        requester: -2n * SEAT,
      }),
    );
  });

  it("costs a requester that could have fetched it the jury, an allowance and a fine", async () => {
    const dispute = await undelivered();
    const { d, members } = dispute;
    const jurors = await dispute.decide([""]);
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + 2n * SEAT },
      sum(each(jurors, WAGE), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY + BOND,
        requester: -PAY - 2n * SEAT - BOND - PRIMARY_FINE - 7n * WAGE,
        burned: PRIMARY_FINE,
      }),
    );
  });

  it("keeps the pay of a verifier that delivered nothing, and pays the rest", async () => {
    const dispute = await undelivered(2);
    const { d, members } = dispute;
    const jurors = await dispute.decide(["x"]);
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + SEAT, penalty: 7n * WAGE },
      sum(each(jurors, WAGE), {
        [d.honest.address]: PAY,
        [members[1]!.address]: SEAT,
        [members[2]!.address]: -7n * WAGE,
        requester: -PAY - SEAT,
      }),
    );
  });

  it("pays a verifier that was contested for nothing, and burns a tenth of its pay", async () => {
    const dispute = await undelivered(1);
    const { d, members } = dispute;
    const jurors = await dispute.decide([""]);
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + 2n * SEAT },
      sum(each(jurors, WAGE), {
        [d.honest.address]: PAY,
        [members[1]!.address]: SEAT + BOND,
        [members[2]!.address]: SEAT,
        requester: -PAY - 2n * SEAT - BOND - SEAT_CONTEST_FINE - 7n * WAGE,
        burned: SEAT_CONTEST_FINE,
      }),
    );
  });

  it("lets a verifier that does not answer keep its lock and not its pay", async () => {
    const dispute = await panel();
    const { d, members } = dispute;
    await dispute.contest(Matter.Delivery, { member: 1 });
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + SEAT },
      { [d.honest.address]: PAY, [members[2]!.address]: SEAT, requester: -PAY - SEAT },
    );
  });

  it("lets the accused appeal a bribed jury, which pays the second", async () => {
    const dispute = await undelivered();
    const { d, members } = dispute;
    const bribed = await dispute.decide(["x"]);
    await dispute.appeal(d.honest);
    const jurors = await dispute.decide([""]);
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + 2n * SEAT, penalty: 14n * WAGE },
      // Four wages each, until all are paid; not everybody need have been served the same.
      sum(each(jurors, WAGE), each(bribed.slice(0, 3), -4n * WAGE), each(members.slice(1), SEAT), {
        [bribed[3]!.address]: -2n * WAGE,
        [d.honest.address]: PAY + BOND,
        requester: -PAY - 2n * SEAT - BOND - PRIMARY_FINE,
        burned: PRIMARY_FINE,
      }),
    );
  });

  it("only leaves unpaid who is outvoted over a delivery, for the accused may have served a part of the jury", async () => {
    const dispute = await undelivered();
    const { d, members } = dispute;
    const jurors = await dispute.seat();
    const told = ["", "", "", "", "x", "x", "x"];
    for (const [seat, vote] of told.entries()) await dispute.vote(seat, vote);
    await dispute.rule();
    for (const [seat, vote] of told.entries()) await dispute.showVote(seat, vote);
    await dispute.rule();
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + 2n * SEAT },
      sum(each(jurors.slice(0, 4), WAGE), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY + BOND,
        requester: -PAY - 2n * SEAT - BOND - PRIMARY_FINE - 4n * WAGE,
        burned: PRIMARY_FINE,
      }),
    );
  });

  it("takes the second jury out of the bond of an accused that loses that too", async () => {
    const dispute = await undelivered();
    const { d, members } = dispute;
    const first = await dispute.decide(["x"]);
    await dispute.appeal(d.honest);
    const second = await dispute.decide(["x"]);
    await dispute.expectConcluded(
      { outcome: Outcome.Forfeited, paid: 2n * SEAT, penalty: 7n * WAGE },
      sum(each([...first, ...second], WAGE), each(members.slice(1), SEAT), {
        [d.honest.address]: -21n * WAGE,
        requester: -2n * SEAT,
      }),
    );
  });

  it("lets the requester appeal a bribed jury, which pays what the accused's lock does not", async () => {
    const dispute = await undelivered();
    const { d, members } = dispute;
    const bribed = await dispute.decide([""]);
    await dispute.appeal(d.requester);
    const jurors = await dispute.decide(["x"]);
    await dispute.expectConcluded(
      { outcome: Outcome.Forfeited, paid: 2n * SEAT, penalty: 14n * WAGE },
      sum(each(jurors, WAGE), each(members.slice(1), SEAT), {
        [d.honest.address]: -8n * WAGE,
        [bribed[0]!.address]: -4n * WAGE,
        [bribed[1]!.address]: -2n * WAGE,
        requester: -2n * SEAT,
      }),
    );
  });

  it("believes that it was delivered where the jury has no majority", async () => {
    const dispute = await undelivered();
    const { d, members } = dispute;
    const jurors = await dispute.seat();
    for (const [seat, told] of ["", "", "", "x", "x", "x"].entries()) await dispute.vote(seat, told);
    await dispute.passStep();
    await dispute.rule();
    const [replaced] = (await dispute.seat()).slice(6);
    await dispute.passStep();
    await dispute.rule();
    for (const [seat, told] of ["", "", "", "x", "x", "x"].entries()) await dispute.showVote(seat, told);
    await dispute.rule();
    await dispute.expectConcluded(
      { outcome: Outcome.Paid, paid: PAY + 2n * SEAT },
      sum(each(jurors.slice(0, 6), WAGE), each([jurors[6]!, replaced!], -JUROR_FINE), each(members.slice(1), SEAT), {
        [d.honest.address]: PAY + BOND,
        requester: -PAY - 2n * SEAT - BOND - PRIMARY_FINE - 6n * WAGE,
        burned: PRIMARY_FINE + 2n * JUROR_FINE,
      }),
    );
  });
});
