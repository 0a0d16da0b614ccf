import { expect } from "chai";
import fc from "fast-check";
import { offer, raise, type Fees } from "../../agents/chain/fees.ts";
import { nextStep, type ChainView, type SendingPolicy } from "../../agents/chain/next-step.ts";
import type { Attempt, Inclusion, Intent, IntentStatus } from "../../agents/journal/intent-table.ts";

const account = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const policy: SendingPolicy = { feeCap: 1_000n, bumpAfterBlocks: 3, urgentSeconds: 60 };

const attempt: Attempt = {
  hash: "0xa",
  raw: "0x",
  purpose: "call",
  nonce: 5,
  maxFeePerGas: 100n,
  maxPriorityFeePerGas: 10n,
  signedAt: 100,
};
const planned: Intent = {
  key: "k",
  account,
  to: account,
  data: "0x",
  value: 0n,
  status: "planned",
  attempts: [],
  dead: [],
};
const sent: Intent = { ...planned, status: "sent", nonce: 5, attempts: [attempt] };
const inclusion: Inclusion = {
  hash: "0xa",
  blockNumber: 101,
  blockHash: "0xb",
  succeeded: true,
  gasUsed: 1n,
  gasPrice: 1n,
  purpose: "call",
};
const view: ChainView = {
  head: { number: 101, timestamp: 1_000 },
  finalNumber: 97,
  latestNonce: 5,
  finalNonce: 5,
  known: true,
  market: { baseFee: 20n, tip: 2n },
};

function step(intent: Intent, change: Partial<ChainView> = {}): string {
  return nextStep(intent, { ...view, ...change }, policy).do;
}

describe("nextStep", () => {
  it("does nothing more for what is closed", () => {
    expect(step({ ...sent, status: "failed" })).to.equal("wait");
    expect(step({ ...sent, status: "final" }, { known: false })).to.equal("wait");
  });

  it("begins one second before the deadline, and not in its second", () => {
    const intent = { ...planned, deadline: 1_001 };
    expect(step(intent)).to.equal("sign");
    expect(step(intent, { head: { number: 101, timestamp: 1_001 } })).to.equal("fail");
  });

  it("signs only within its cap", () => {
    expect(step(planned, { market: { baseFee: 1_000n, tip: 2n } })).to.equal("sign");
    expect(step(planned, { market: { baseFee: 1_001n, tip: 2n } })).to.equal("wait");
  });

  it("waits for lower fees until its deadline is near, and then offers its cap and no more", () => {
    const market = { baseFee: 5_000n, tip: 2n };
    const intent = { ...planned, deadline: 1_060 };
    expect(step(intent, { market })).to.equal("wait");
    const urgent = { ...view, market, head: { number: 102, timestamp: 1_001 } };
    expect(nextStep(intent, urgent, policy)).to.deep.equal({
      do: "sign",
      fees: { maxFeePerGas: 1_000n, maxPriorityFeePerGas: 2n },
    });
    expect(nextStep(intent, { ...urgent, head: { number: 103, timestamp: 1_060 } }, policy).do).to.equal("fail");
  });

  it("hands over what is signed, and what the node does not have", () => {
    expect(step({ ...sent, status: "signed" })).to.equal("broadcast");
    expect(step(sent, { known: false })).to.equal("broadcast");
    expect(step(sent)).to.equal("wait");
  });

  it("raises after three blocks, after one when the deadline is near, at once when underpriced", () => {
    expect(step(sent, { head: { number: 102, timestamp: 1_000 } })).to.equal("wait");
    expect(step(sent, { head: { number: 103, timestamp: 1_000 } })).to.equal("bump");
    expect(step({ ...sent, deadline: 1_060 })).to.equal("wait");
    expect(step({ ...sent, deadline: 1_059 })).to.equal("bump");
    const underpriced = { ...sent, status: "signed" as const, trouble: { kind: "underpriced" as const, message: "" } };
    expect(step(underpriced, { head: { number: 100, timestamp: 1_000 } })).to.equal("bump");
    expect(
      step({ ...sent, attempts: [{ ...attempt, maxFeePerGas: 900n }] }, { head: { number: 110, timestamp: 0 } }),
    ).to.equal("wait");
  });

  it("cancels what came too late, and goes on raising the cancellation", () => {
    const late = { ...sent, deadline: 1_000 };
    expect(nextStep(late, view, policy)).to.include({ do: "bump", purpose: "cancel" });
    const cancelled = { ...late, attempts: [attempt, { ...attempt, purpose: "cancel" as const, signedAt: 101 }] };
    expect(step(cancelled)).to.equal("wait");
    expect(step(cancelled, { head: { number: 102, timestamp: 1_010 } })).to.equal("bump");
  });

  it("notes a receipt, and a changed one, and closes it at the final block and not before", () => {
    const mined = { ...sent, status: "mined" as const, inclusion };
    const latestNonce = 6;
    expect(step(sent, { inclusion, latestNonce })).to.equal("confirm");
    expect(step(mined, { inclusion: { ...inclusion, blockHash: "0xc" }, latestNonce })).to.equal("confirm");
    expect(step(mined, { inclusion, latestNonce, finalNumber: 100 })).to.equal("wait");
    expect(step(mined, { inclusion, latestNonce, finalNumber: 101 })).to.equal("finish");
    expect(step(mined)).to.equal("retract");
  });

  it("gives its nonce up only when the final block shows another transaction with it", () => {
    expect(step(sent, { latestNonce: 6, finalNonce: 5 })).to.equal("wait");
    expect(step(sent, { latestNonce: 6, finalNonce: 6 })).to.equal("replan");
    const views = fc.record({
      head: fc.record({ number: fc.nat(300), timestamp: fc.nat(3_000) }),
      finalNumber: fc.nat(300),
      latestNonce: fc.nat(10),
      finalNonce: fc.nat(5),
      known: fc.boolean(),
      inclusion: fc.option(fc.constant(inclusion), { nil: undefined }),
      market: fc.record({ baseFee: fc.bigInt(0n, 2_000n), tip: fc.bigInt(1n, 50n) }),
    });
    const statuses = fc.constantFrom<IntentStatus>("signed", "sent", "mined");
    const deadlines = fc.option(fc.nat(3_000), { nil: undefined });
    fc.assert(
      fc.property(views, statuses, deadlines, (any, status, deadline) => {
        expect(nextStep({ ...sent, status, deadline }, any, policy).do).not.to.be.oneOf(["replan", "sign", "fail"]);
      }),
    );
  });
});

describe("fees", () => {
  const fee = fc.bigInt(0n, 10n ** 12n);
  const market = fc.record({ baseFee: fee, tip: fc.bigInt(1n, 10n ** 10n) });

  it("offers never more than the cap, and nothing below the base fee", () => {
    fc.assert(
      fc.property(market, fee, (asked, cap) => {
        const offered = offer(asked, { feeCap: cap });
        if (!offered) return void expect(cap < asked.baseFee).to.equal(true);
        expect(offered.maxFeePerGas <= cap && offered.maxFeePerGas >= asked.baseFee).to.equal(true);
        expect(offered.maxPriorityFeePerGas <= offered.maxFeePerGas).to.equal(true);
      }),
    );
  });

  it("raises both fees by an eighth at least, within the cap, as long as the cap has room", () => {
    fc.assert(
      fc.property(market, fee, fee, fee, (asked, a, b, cap) => {
        const previous =
          a > b ? { maxFeePerGas: a, maxPriorityFeePerGas: b } : { maxFeePerGas: b, maxPriorityFeePerGas: a };
        const raised = raise(previous, asked, { feeCap: cap });
        if (!raised) return void expect(previous.maxFeePerGas * 9n + 8n > cap * 8n).to.equal(true);
        expect(raised.maxFeePerGas <= cap && raised.maxPriorityFeePerGas <= raised.maxFeePerGas).to.equal(true);
        expect(raised.maxFeePerGas * 8n >= previous.maxFeePerGas * 9n).to.equal(true);
        expect(raised.maxPriorityFeePerGas * 8n >= previous.maxPriorityFeePerGas * 9n).to.equal(true);
        expect(raised.maxFeePerGas > previous.maxFeePerGas).to.equal(true);
      }),
    );
  });

  it("never pays a tip above the tip's cap, and can raise a capped tip ten times", () => {
    const tips = fc.bigInt(1_000n, 10n ** 10n);
    fc.assert(
      fc.property(market, tips, (asked, tipCap) => {
        const caps = { feeCap: 10n ** 15n, tipCap };
        let fees = offer(asked, caps);
        for (let bumps = 0; bumps < 10; bumps += 1) {
          expect(fees !== undefined && fees.maxPriorityFeePerGas <= tipCap).to.equal(true);
          fees = raise(fees as Fees, asked, caps);
        }
        for (; fees; fees = raise(fees, asked, caps)) expect(fees.maxPriorityFeePerGas <= tipCap).to.equal(true);
      }),
    );
  });
});
