import { expect } from "chai";
import { encodeBytes32String, id as keccakOf } from "ethers";

import type { MarketPanels, Vault } from "#sdk/types/index.ts";
import {
  at,
  deployBare,
  deployPanels,
  deployMarket,
  ethers,
  expectUntil,
  MIN_STAKE,
  ACTIVATION_DELAY,
  mined,
  Mode,
  moneyOf,
  expectMoney,
  networkHelpers,
  now,
  PARAMETERS,
  postBatch,
  PPM,
  PRICE_FLOOR,
  replicatedTermsOf,
  Runtime,
  SLOT_STAKE,
  termsOf,
  trustedTermsOf,
  UNBONDING,
  type Deployment,
  type Terms,
} from "./market-fixture.ts";

const UINT96 = 2n ** 96n - 1n;
const load = () => networkHelpers.loadFixture(deployMarket);
const field = encodeBytes32String;

describe("Market: deployment", () => {
  const deploy = async (vault: Vault, changes: object, unbonding = UNBONDING) => {
    const registry = await ethers.deployContract("Registry", [vault, MIN_STAKE, ACTIVATION_DELAY, unbonding]);
    return await deployPanels(vault, registry, { ...PARAMETERS, ...changes });
  };

  const refused: [string, object, [string, bigint, bigint, bigint]][] = [
    ["windows of no length", { minWindow: 0n }, ["minWindow", 0n, 1n, PARAMETERS.maxWindow]],
    ["a least window above the greatest", { minWindow: 86_401n }, ["minWindow", 86_401n, 1n, PARAMETERS.maxWindow]],
    ["entropy of the sealing block itself", { finalDepth: 0n }, ["finalDepth", 0n, 1n, 128n]],
    ["a final depth that leaves no time to reveal", { finalDepth: 129n }, ["finalDepth", 129n, 1n, 128n]],
    ["silence that costs nothing", { bondFixed: 0n }, ["bondFixed", 0n, 1n, UINT96]],
    ["a bond of more than the escrow", { bondShare: PPM + 1n }, ["bondShare", PPM + 1n, 0n, PPM]],
  ];
  for (const [what, changes, [name, ...numbers]] of refused) {
    it(`refuses ${what}`, async () => {
      const { market, vault } = await networkHelpers.loadFixture(deployBare);
      await expect(deploy(vault, changes))
        .to.be.revertedWithCustomError(market, "TermOutOfRange")
        .withArgs(field(name), ...numbers);
    });
  }

  it("refuses an unbonding period shorter than the longest life of a batch", async () => {
    const { market, vault } = await networkHelpers.loadFixture(deployBare);
    await expect(deploy(vault, {}, UNBONDING - 1n))
      .to.be.revertedWithCustomError(market, "TermOutOfRange")
      .withArgs(field("unbondingPeriod"), UNBONDING - 1n, UNBONDING, 2n ** 48n - 1n);
    await deploy(vault, {}, UNBONDING);
  });

  /** What a market consists of beside its first part, in the order in which calls are handed on. */
  const partsOf = async (panels: MarketPanels) => {
    const disputes = await ethers.getContractAt("MarketDisputes", await panels.disputes());
    const juries = await ethers.getContractAt("MarketJuries", await disputes.juries());
    const verdicts = await ethers.getContractAt("MarketVerdicts", await juries.verdicts());
    return [panels, disputes, juries, verdicts] as const;
  };

  it("refuses parts of other parameters, or of another registry", async () => {
    const { vault, registry } = await networkHelpers.loadFixture(deployBare);
    const otherVault = await ethers.deployContract("Vault", [await vault.token()]);
    const otherParameters = await deployPanels(vault, registry, { ...PARAMETERS, challengeBond: 1n });
    for (const panels of [otherParameters, await deploy(vault, {}), await deploy(otherVault, {})]) {
      const foreign = await partsOf(panels);
      for (const [i, name] of ["Market", "MarketPanels", "MarketDisputes", "MarketJuries"].entries()) {
        const factory = await ethers.getContractFactory(name);
        const part = await foreign[i]!.getAddress();
        await expect(factory.deploy(vault, registry, PARAMETERS, part), name)
          .to.be.revertedWithCustomError(factory, "ForeignHalf")
          .withArgs(part);
      }
    }
  });

  it("tells what it was deployed with", async () => {
    const { market, vault, registry } = await networkHelpers.loadFixture(deployBare);
    expect(await market.parameters()).to.deep.equal(Object.values(PARAMETERS));
    expect([await market.vault(), await market.registry()]).to.deep.equal([
      await vault.getAddress(),
      await registry.getAddress(),
    ]);
  });

  it("fits the limit on contract size", async () => {
    const { marketAddress, panels } = await networkHelpers.loadFixture(deployBare);
    const parts = await Promise.all((await partsOf(panels)).map((part) => part.getAddress()));
    expect(new Set([marketAddress, ...parts])).to.have.length(5);
    for (const address of [marketAddress, ...parts]) {
      expect(ethers.dataLength(await ethers.provider.getCode(address))).to.be.at.most(24_576);
    }
  });

  it("finds no batch in any part itself", async () => {
    const d = await load();
    const life = await postBatch(d);
    await expect(d.panels.connect(d.requester).rebid(life.terms, life.batch, 999n)).to.be.revertedWithCustomError(
      d.market,
      "WrongTerms",
    );
    expect((await d.panels.batchState(life.id)).postedAt).to.equal(0n);
    const [, disputes, juries, verdicts] = await partsOf(d.panels);
    const panel = {
      assignment: 0,
      submission: { node: d.honest, first: 0, count: 1, root: ethers.ZeroHash, content: ethers.ZeroHash },
      answers: [],
    };
    const { terms, batch } = life;
    for (const call of [
      () => disputes.challenge(terms, batch, panel),
      () => juries.rule(terms, batch, panel),
      () => verdicts.conclude(terms, batch, panel),
    ]) {
      await expect(call()).to.be.revertedWithCustomError(d.market, "WrongTerms");
    }
  });

  it("answers a call nobody knows with a revert", async () => {
    const { marketAddress, stranger } = await networkHelpers.loadFixture(deployBare);
    await expect(stranger.sendTransaction({ to: marketAddress, data: "0xdeadbeef" })).to.be.revert(ethers);
  });
});

describe("Market: post", () => {
  const post = async (d: Deployment, terms: Terms, count = 10, by = d.requester) =>
    await d.market.connect(by).post(terms, count, keccakOf("inputs"), keccakOf("commitment"));

  it("refuses anybody but the requester, its delegate included", async () => {
    const d = await load();
    await expect(post(d, termsOf(d), 10, d.delegate))
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(d.delegate.address, d.requester.address);
  });

  it("refuses a batch without tasks", async () => {
    const d = await load();
    await expect(post(d, termsOf(d), 0))
      .to.be.revertedWithCustomError(d.market, "TermOutOfRange")
      .withArgs(field("count"), 0n, 1n, 2n ** 24n - 1n);
  });

  it("refuses a class that does not exist", async () => {
    const d = await load();
    const unknown = keccakOf("no class");
    await expect(post(d, termsOf(d, { class: unknown })))
      .to.be.revertedWithCustomError(d.market, "ClassTooSmall")
      .withArgs(unknown, 0n, 1n);
  });

  it("refuses a class of too few nodes for two panels and the excluded", async () => {
    const d = await load();
    const terms = termsOf(d, { quorum: 5n, slashAmount: 16_000n, excluded: d.nodes.slice(0, 3).map((n) => n.address) });
    await expect(post(d, terms))
      .to.be.revertedWithCustomError(d.market, "ClassTooSmall")
      .withArgs(d.wasmClass, 12n, 13n);
    await post(d, { ...terms, excluded: terms.excluded.slice(0, 2) });
  });

  it("refuses a further batch once the class has shrunk", async () => {
    const d = await load();
    await postBatch(d);
    for (const [slot, node] of d.nodes.slice(0, 7).entries()) {
      await d.registry.connect(node).leavePool(d.marketAddress, d.wasmClass, slot);
    }
    await expect(post(d, termsOf(d)))
      .to.be.revertedWithCustomError(d.market, "ClassTooSmall")
      .withArgs(d.wasmClass, 5n, 6n);
  });

  it("refuses more than the requester has available", async () => {
    const d = await load();
    await d.vault.connect(d.requester).withdraw(d.marketAddress, 10_000_000n - 20_539n, d.requester);
    await expect(post(d, termsOf(d)))
      .to.be.revertedWithCustomError(d.vault, "InsufficientAvailable")
      .withArgs(d.requester.address, 20_539n, 20_540n);
  });

  it("refuses amounts beyond 96 bits", async () => {
    const d = await load();
    const factory = await ethers.getContractFactory("Market");
    await expect(d.market.quote(termsOf(d, { verifierPrice: UINT96 }), 10)).to.be.revertedWithCustomError(
      factory,
      "SafeCastOverflowedUintDowncast",
    );
  });

  describe("terms", () => {
    const nodes = (d: Deployment, count: number) => d.nodes.slice(0, count).map((node) => node.address);
    const strangers = (count: number) =>
      Array.from({ length: count }, (_, i) => ethers.getAddress(`0x${(i + 1).toString(16).padStart(40, "0")}`));
    const { minWindow, maxWindow } = PARAMETERS;
    const windows = (d: Deployment, changes: object) => ({ ...termsOf(d).windows, ...changes });
    const of = termsOf;
    const cases: [string, (d: Deployment) => Terms, [string, bigint, bigint, bigint]][] = [
      ["no mode", (d) => of(d, { mode: Mode.None }), ["mode", 0n, 1n, 3n]],
      ["no share", (d) => of(d, { maxShare: 0n }), ["maxShare", 0n, 1n, PPM]],
      ["a share above all", (d) => of(d, { maxShare: PPM + 1n }), ["maxShare", PPM + 1n, 1n, PPM]],
      ["slices of nothing", (d) => of(d, { minSlice: 0n }), ["minSlice", 0n, 1n, 2n ** 24n - 1n]],
      ["more than a third excluded", (d) => of(d, { excluded: nodes(d, 5) }), ["excluded", 5n, 0n, 4n]],
      ...(["claim", "submit", "reveal", "check", "judge", "challenge"] as const).flatMap(
        (name): [string, (d: Deployment) => Terms, [string, bigint, bigint, bigint]][] => [
          [
            `too short a window to ${name}`,
            (d) => of(d, { windows: windows(d, { [name]: minWindow - 1n }) }),
            [name, minWindow - 1n, minWindow, maxWindow],
          ],
          [
            `too long a window to ${name}`,
            (d) => of(d, { windows: windows(d, { [name]: maxWindow + 1n }) }),
            [name, maxWindow + 1n, minWindow, maxWindow],
          ],
        ],
      ),
      ["sampling in mode trusted", (d) => trustedTermsOf(d, [d.honest], { rate: 1n }), ["rate", 1n, 0n, 0n]],
      ["nobody trusted", (d) => trustedTermsOf(d, []), ["allowed", 0n, 1n, 64n]],
      ["too many trusted", (d) => trustedTermsOf(d, [], { allowed: strangers(65) }), ["allowed", 65n, 1n, 64n]],
      [
        "a slash in mode trusted above what backs a slot",
        (d) => trustedTermsOf(d, [d.honest], { slashAmount: SLOT_STAKE + 1n }),
        ["slashAmount", SLOT_STAKE + 1n, 0n, SLOT_STAKE],
      ],
      ["a rate of zero", (d) => of(d, { rate: 0n }), ["rate", 0n, 1n, PPM]],
      ["a rate above all", (d) => of(d, { rate: PPM + 1n }), ["rate", PPM + 1n, 1n, PPM]],
      ["replication of less than all", (d) => replicatedTermsOf(d, { rate: PPM - 1n }), ["rate", PPM - 1n, PPM, PPM]],
      ["a list of nodes where verifiers are drawn", (d) => of(d, { allowed: nodes(d, 1) }), ["allowed", 1n, 0n, 0n]],
      ["a quorum of one", (d) => of(d, { quorum: 1n }), ["quorum", 1n, 3n, 15n]],
      ["a quorum above fifteen", (d) => of(d, { quorum: 17n }), ["quorum", 17n, 3n, 15n]],
      ["an even quorum", (d) => of(d, { quorum: 4n }), ["quorum parity", 0n, 1n, 1n]],
      ["results that are certain to be guessed", (d) => of(d, { guess: PPM }), ["guess", PPM, 0n, PPM - 1n]],
      [
        "verifiers paid less than primaries",
        (d) => of(d, { verifierPrice: 999n }),
        ["verifierPrice", 999n, 1_000n, UINT96],
      ],
      ["adaptive replication", (d) => replicatedTermsOf(d, { adaptive: true }), ["adaptive", 1n, 0n, 0n]],
      [
        "a price below the class's floor",
        (d) => of(d, { price: PRICE_FLOOR - 1n }),
        ["price", PRICE_FLOOR - 1n, PRICE_FLOOR, UINT96],
      ],
      [
        "a slash that pays for no jury",
        (d) => of(d, { price: 10n, slashAmount: 9_999n }),
        ["slashAmount", 9_999n, 10_000n, SLOT_STAKE],
      ],
      [
        "a slash too small for a rare check",
        (d) => of(d, { rate: 100_000n, slashAmount: 19_999n }),
        ["slashAmount", 19_999n, 20_000n, SLOT_STAKE],
      ],
      [
        "a slash too small for a yes or no",
        (d) => of(d, { guess: 500_000n, slashAmount: 19_999n }),
        ["slashAmount", 19_999n, 20_000n, SLOT_STAKE],
      ],
      [
        "a slash rounded down",
        (d) => of(d, { rate: 199_999n, slashAmount: 10_000n }),
        ["slashAmount", 10_000n, 10_001n, SLOT_STAKE],
      ],
      [
        "a slash above what backs a slot",
        (d) => of(d, { slashAmount: SLOT_STAKE + 1n }),
        ["slashAmount", SLOT_STAKE + 1n, 10_000n, SLOT_STAKE],
      ],
    ];
    for (const [what, terms, [name, ...numbers]] of cases) {
      it(`refuse ${what}`, async () => {
        const d = await load();
        await expect(post(d, terms(d)))
          .to.be.revertedWithCustomError(d.market, "TermOutOfRange")
          .withArgs(field(name), ...numbers);
      });
    }

    it("refuse a full slash where the class did not accept it", async () => {
      const d = await load();
      const classTerms = { ...d.classTerms, runtime: Runtime.Container, fullSlash: false };
      const classId = await d.registry.createClass.staticCall(classTerms);
      await d.registry.createClass(classTerms);
      await expect(post(d, termsOf(d, { class: classId })))
        .to.be.revertedWithCustomError(d.market, "TermOutOfRange")
        .withArgs(field("fullSlash"), 1n, 0n, 0n);
    });

    for (const key of ["0x", "0x02" + "11".repeat(31), "0x02" + "11".repeat(33), "0x04" + "11".repeat(32)]) {
      it(`refuse an encryption key of ${ethers.dataLength(key)} bytes that begins ${key.slice(0, 4)}`, async () => {
        const d = await load();
        await expect(post(d, termsOf(d, { encryptionKey: key })))
          .to.be.revertedWithCustomError(d.market, "InvalidKey")
          .withArgs(key);
      });
    }

    it("are taken at both ends of every range", async () => {
      const d = await load();
      const least = { claim: 60n, submit: 60n, reveal: 60n, check: 60n, judge: 60n, challenge: 60n };
      const most = Object.fromEntries(Object.keys(least).map((name) => [name, 86_400n])) as unknown as typeof least;
      await post(
        d,
        termsOf(d, { windows: least, maxShare: 1n, excluded: nodes(d, 4), encryptionKey: "0x03" + "22".repeat(32) }),
      );
      await post(d, termsOf(d, { windows: most, slashAmount: SLOT_STAKE }));
      await post(d, termsOf(d, { price: PRICE_FLOOR, verifierPrice: PRICE_FLOOR }));
      await post(d, trustedTermsOf(d, [], { allowed: strangers(64), slashAmount: SLOT_STAKE }));
      await post(d, replicatedTermsOf(d));
    });
  });

  it("locks exactly the quote, and opens the job once", async () => {
    const d = await load();
    const terms = termsOf(d);
    const job = await d.market.jobId(terms);
    expect(await d.market.quote(terms, 10)).to.deep.equal([14_800n, 5_740n]);
    const before = await d.vault.available(d.marketAddress, d.requester);
    const first = post(d, terms);
    await expect(first).to.emit(d.market, "JobOpened");
    await expect(first).to.emit(d.market, "BatchPosted");
    await expect(post(d, terms)).to.not.emit(d.market, "JobOpened");
    expect(await d.market.batchesOf(job)).to.equal(2n);
    expect(await d.vault.available(d.marketAddress, d.requester)).to.equal(before - 2n * 20_540n);
    const id = await d.market.batchId({
      job,
      sequence: 1n,
      count: 10n,
      slots: 12n,
      manifest: keccakOf("inputs"),
      seedCommitment: keccakOf("commitment"),
    });
    const state = await d.market.batchState(id);
    expect([state.postedAt, state.unsubmitted]).to.deep.equal([await now(), 10n]);
    expect(await d.vault.lockOf(d.marketAddress, id)).to.deep.equal([d.requester.address, 20_540n]);
  });

  it("quotes the verification budget rounded up", async () => {
    const d = await load();
    // 11 tasks at 20 %: three may be sampled, each run by two others.
    expect((await d.market.quote(termsOf(d), 11))[0]).to.equal(11_000n + 3n * 2n * 1_200n);
    expect((await d.market.quote(trustedTermsOf(d, [d.honest]), 11))[0]).to.equal(11_000n);
    expect((await d.market.quote(replicatedTermsOf(d, { quorum: 5n }), 11))[0]).to.equal(11_000n + 11n * 4n * 1_200n);
  });

  it("gives the same post another id on another market", async () => {
    const d = await load();
    const other = await ethers.deployContract("Market", [d.vault, d.registry, PARAMETERS, d.panels]);
    const { batch, terms } = await postBatch(d);
    expect(await other.jobId(terms)).to.not.equal(await d.market.jobId(terms));
    expect(await other.batchId(batch)).to.not.equal(await d.market.batchId(batch));
  });
});

describe("Market: rebid", () => {
  it("refuses anybody but the requester", async () => {
    const d = await load();
    const life = await postBatch(d);
    await expect(life.as(d.delegate).rebid(life.terms, life.batch, 900n))
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(d.delegate.address, d.requester.address);
  });

  it("refuses a second time", async () => {
    const d = await load();
    const life = await postBatch(d);
    await life.as(d.requester).rebid(life.terms, life.batch, 900n);
    await expect(life.as(d.requester).rebid(life.terms, life.batch, 1_000n))
      .to.be.revertedWithCustomError(d.market, "CannotRebid")
      .withArgs(life.id);
  });

  it("refuses once a slice was claimed, even if it is void again", async () => {
    const d = await load();
    const life = await postBatch(d);
    await life.claim(d.silent, 1);
    await expect(life.as(d.requester).rebid(life.terms, life.batch, 900n))
      .to.be.revertedWithCustomError(d.market, "CannotRebid")
      .withArgs(life.id);
    await at(life.slice(0).deadline + 1n);
    await life.expire();
    await expect(life.as(d.requester).rebid(life.terms, life.batch, 900n)).to.be.revertedWithCustomError(
      d.market,
      "CannotRebid",
    );
  });

  it("refuses prices that no job could have", async () => {
    const d = await load();
    const life = await postBatch(d);
    const rebid = (price: bigint) => life.as(d.requester).rebid(life.terms, life.batch, price);
    await expect(rebid(1_201n))
      .to.be.revertedWithCustomError(d.market, "TermOutOfRange")
      .withArgs(field("price"), 1_201n, 1n, 1_200n);
    await expect(rebid(9n))
      .to.be.revertedWithCustomError(d.market, "TermOutOfRange")
      .withArgs(field("price"), 9n, PRICE_FLOOR, UINT96);
    await expect(rebid(1_001n))
      .to.be.revertedWithCustomError(d.market, "TermOutOfRange")
      .withArgs(field("slashAmount"), 10_000n, 10_010n, SLOT_STAKE);
  });

  it("is possible until the claim window ends", async () => {
    const d = await load();
    const life = await postBatch(d);
    await expectUntil(d.market, life.claimDeadline, () => life.as(d.requester).rebid(life.terms, life.batch, 900n));
  });

  it("refuses what the requester cannot pay", async () => {
    const d = await load();
    const terms = termsOf(d, { slashAmount: 12_000n });
    const life = await postBatch(d, { terms });
    await d.vault.connect(d.requester).withdraw(d.marketAddress, 10_000_000n - 20_540n, d.requester);
    await expect(life.as(d.requester).rebid(terms, life.batch, 1_200n))
      .to.be.revertedWithCustomError(d.vault, "InsufficientAvailable")
      .withArgs(d.requester.address, 0n, 2_100n);
  });

  for (const [direction, price, locked] of [
    ["more", 1_200n, 20_540n + 2_000n + 100n],
    ["less", 500n, 20_540n - 5_000n - 250n],
    ["the same", 1_000n, 20_540n],
  ] as const) {
    it(`locks ${direction} and is what nodes are paid`, async () => {
      const d = await load();
      const before = await moneyOf(d);
      const life = await postBatch(d, { terms: termsOf(d, { slashAmount: 12_000n }) });
      await expect(life.as(d.requester).rebid(life.terms, life.batch, price))
        .to.emit(d.market, "BatchRebid")
        .withArgs(life.id, price);
      expect((await d.vault.lockOf(d.marketAddress, life.id)).amount).to.equal(locked);
      await life.untilRevealed([d.honest, 10]);
      const [verifier] = await life.drawn();
      await life.answer();
      await life.settle();
      await expectMoney(d, before, {
        requester: -10n * price - 2_400n,
        [d.honest.address]: 10n * price,
        [verifier!.address]: 2_400n,
      });
    });
  }

  it("cannot go unnoticed by a node that is about to claim", async () => {
    const d = await load();
    const life = await postBatch(d);
    await life.as(d.requester).rebid(life.terms, life.batch, 900n);
    await expect(life.as(d.honest).claim(life.terms, life.batch, 0, 10, 1_000n))
      .to.be.revertedWithCustomError(d.market, "PriceTooLow")
      .withArgs(900n, 1_000n);
    await mined(life.as(d.honest).claim(life.terms, life.batch, 0, 10, 900n));
  });

  it("holds in mode trusted too, without a verifier's price to bound it", async () => {
    const d = await load();
    const life = await postBatch(d, { terms: trustedTermsOf(d, [d.honest]) });
    await life.as(d.requester).rebid(life.terms, life.batch, 5_000n);
    expect((await d.vault.lockOf(d.marketAddress, life.id)).amount).to.equal(50_000n + 5_000n + 2_500n);
  });

  it("is forgotten with a batch that nobody claimed", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d);
    await life.as(d.requester).rebid(life.terms, life.batch, 500n);
    await at(life.claimDeadline + 1n);
    await life.seal();
    await expectMoney(d, before, {});
  });
});
