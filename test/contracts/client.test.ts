import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { getBytes, hexlify, parseEther, Wallet, ZeroAddress, type Signer } from "ethers";
import { network } from "hardhat";

import * as calls from "#sdk/calls.ts";
import { SuretyClient } from "#sdk/client.ts";
import { batchNonce, commit, taskDigest } from "#sdk/commitment.ts";
import { computeContentId, contentIdToBytes32 } from "#sdk/content.ts";
import { PRIMARY } from "#sdk/context.ts";
import { sealEnvelope } from "#sdk/envelope.ts";
import { fromEip1193 } from "#sdk/json-rpc.ts";
import { openEmbeddedStorage, type EmbeddedStorage } from "#sdk/node/index.ts";
import * as reads from "#sdk/reads.ts";
import { sealManifest } from "#sdk/result-manifest.ts";
import { RESULT_MANIFEST_FILE, SEALED_OUTPUT_FILE } from "#sdk/results.ts";
import { sealDirectory } from "#sdk/sealed-file.ts";
import { taskSalt } from "#sdk/seed.ts";
import { batchIdOf, stakeLockIdOf, type Terms } from "#sdk/terms.ts";
import { deploySurety } from "../../deploy/deploy.ts";
import { readDeployParameters } from "../../deploy/parameters.ts";
import { codeOf } from "../support/error-code.ts";

const secret = `0x${"5e".repeat(32)}`;
const nodeSecret = `0x${"7a".repeat(32)}`;
const directory = (text: string) => new Map([["stdout", new TextEncoder().encode(text)]]);

describe("the client", function () {
  this.timeout(120_000);
  let folder: string;
  let storage: EmbeddedStorage;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-client-"));
    storage = await openEmbeddedStorage({ folder });
  });

  after(async () => {
    await storage.close();
    await rm(folder, { recursive: true });
  });

  async function setUp() {
    const { ethers, provider } = await network.create();
    const [funder, requester, node] = (await ethers.getSigners()) as unknown as [Signer, Signer, Signer];
    const deployer = Wallet.createRandom();
    await funder.sendTransaction({ to: deployer.address, value: parseEther("10") });
    const parameters = await readDeployParameters("local");
    const chain = { provider: ethers.provider as never };
    const deployment = await deploySurety({ chain, deployerKey: deployer.privateKey, parameters });
    const { token, market } = deployment;
    const rpc = fromEip1193(provider);
    const bank = deployer.connect(ethers.provider as never);
    const send = async (signer: Signer, call: calls.ContractCall) => (await signer.sendTransaction({ ...call })).wait();
    for (const account of [requester, node]) {
      await send(bank, calls.transfer(token.address, { to: await account.getAddress(), amount: parseEther("5000") }));
    }
    const client = new SuretyClient(deployment, { rpc, signer: requester, storage, secret });
    const terms: Terms = {
      requester: await requester.getAddress(),
      delegate: ZeroAddress,
      mode: "trusted",
      adaptive: false,
      fullSlash: false,
      quorum: 3,
      rate: 0,
      guess: 0,
      maxShare: 1_000_000,
      minSlice: 1,
      price: parseEther("1"),
      verifierPrice: parseEther("1"),
      slashAmount: 0n,
      class: deployment.classes[0]!.id,
      spec: contentIdToBytes32(await storage.add(directory("spec"))),
      encryptionKey: client.encryptionKey,
      windows: { claim: 600, submit: 600, reveal: 600, check: 600, judge: 600, challenge: 600 },
      allowed: [await node.getAddress()],
      excluded: [],
    };
    return { deployment, rpc, requester, node, client, terms, send, market };
  }

  it("posts a batch, follows it and reads its results", async () => {
    const { deployment, rpc, node, client, terms, send, market } = await setUp();
    const { chainId, registry, vault, token } = deployment;
    const inputs = await Promise.all(["a", "b", "c"].map((text) => storage.add(directory(text))));

    expect(await codeOf(() => client.post({ terms, inputs }))).to.equal("BALANCE_TOO_LOW");
    const { escrow, bond } = client.quote(terms, inputs.length);
    await client.deposit(escrow + bond + 7n);
    const posted = await client.post({ terms, inputs });
    expect(posted.id).to.equal(batchIdOf({ chainId, market }, posted.batch));
    expect(posted).to.include({ escrow, bond });
    expect(await client.balance(terms.requester)).to.deep.equal({
      available: 7n,
      outside: parseEther("5000") - escrow - bond - 7n,
    });
    expect((await reads.lockedUnder(rpc, vault, market, posted.id)).amount).to.equal(escrow + bond);
    expect((await client.status(posted.id)).phase).to.equal("claiming");

    // What a compute node does, in short.
    const member = await node.getAddress();
    const stake = parseEther("2000");
    await send(node, calls.approve(token.address, { spender: vault, amount: stake }));
    await send(node, calls.deposit(vault, { ledger: registry, holder: member, amount: stake }));
    await send(node, calls.stake(registry, { market, amount: stake }));
    await send(node, calls.joinPool(registry, { market, class: terms.class, slot: 0 }));
    expect(await reads.nodeState(rpc, registry, market, member)).to.deep.equal({
      stake,
      committed: 0n,
      backing: parseEther("1000"),
    });
    expect((await reads.lockedUnder(rpc, vault, registry, stakeLockIdOf(market, member))).holder).to.equal(member);
    const { batch } = posted;
    await send(node, calls.claim(market, { terms, batch, slot: 0, count: 3, minPrice: terms.price }));
    const context = { chainId: BigInt(chainId), market, batchId: posted.id };
    const seat = { ...context, assignment: 0, ...PRIMARY };
    const results = [];
    for (const task of [0, 1, 2]) {
      const output = directory(`output ${task}`);
      const { bytes, key } = await sealDirectory(output);
      const cid = await computeContentId(output);
      results.push({
        task,
        digest: taskDigest(batchNonce(context), task, contentIdToBytes32(cid)),
        salt: taskSalt(nodeSecret, seat, task),
        output: cid,
        sealedOutput: await storage.add(new Map([[SEALED_OUTPUT_FILE, bytes]])),
        contentKey: hexlify(key),
      });
    }
    const { sealed, manifestKey, manifestHash } = sealManifest(results, { ...context, member });
    const envelope = sealEnvelope({
      recipientPublicKey: getBytes(terms.encryptionKey),
      context: seat,
      content: { manifestKey, manifestHash, node: member },
      nodeSecret,
    });
    const manifest = contentIdToBytes32(await storage.add(new Map([[RESULT_MANIFEST_FILE, sealed]])));
    const { root } = commit(results, { ...context, member });
    await send(node, calls.submit(market, { batchId: posted.id, assignment: 0, root, manifest, envelope }));
    expect((await client.status(posted.id)).phase).to.equal("sealed");

    const read = await client.results(posted.id);
    expect(read).to.deep.equal([{ assignment: 0, node: member, results }]);
    const output = await client.output(results[1]!, { maxBytes: 1000 });
    expect(new TextDecoder().decode(output.get("stdout"))).to.equal("output 1");

    const submission = (await client.status(posted.id)).record.assignments[0]!.submission!;
    await send(node, calls.settle(market, { terms, batch, settlements: [{ assignment: 0, submission, answers: [] }] }));
    const { phase, record } = await client.status(posted.id);
    expect(phase).to.equal("closed");
    expect(record.assignments[0]!.outcome).to.include({ outcome: "paid", paid: escrow });
    expect(await reads.available(rpc, vault, market, member)).to.equal(escrow);

    await client.withdraw(bond + 7n);
    expect((await client.balance(terms.requester)).available).to.equal(0n);

    const stranger = new SuretyClient(deployment, { rpc, storage, secret: `0x${"11".repeat(32)}` });
    const [sealedFromIt] = await stranger.results(posted.id);
    expect(await codeOf(() => Promise.reject(sealedFromIt!.error))).to.equal("ENVELOPE_UNREADABLE");
  });

  it("numbers the batches of a job", async () => {
    const { client, terms } = await setUp();
    const inputs = [await storage.add(directory("only"))];
    await client.deposit(2n * (client.quote(terms, 1).escrow + client.quote(terms, 1).bond));
    const first = await client.post({ terms, inputs });
    const second = await client.post({ terms, inputs });
    expect([first.batch.sequence, second.batch.sequence]).to.deep.equal([0n, 1n]);
    expect(second.batch.seedCommitment).not.to.equal(first.batch.seedCommitment);
    expect((await client.status(second.id)).record.terms).to.deep.equal(terms);
  });

  it("says what it lacks, and what it does not know", async () => {
    const { client, deployment, rpc, terms } = await setUp();
    const bare = new SuretyClient(deployment, { rpc });
    expect(await codeOf(() => bare.deposit(1n))).to.equal("CLIENT_INCOMPLETE");
    expect(await codeOf(() => bare.results(`0x${"00".repeat(32)}`))).to.equal("CLIENT_INCOMPLETE");
    expect(await codeOf(() => client.status(`0x${"00".repeat(32)}`))).to.equal("BATCH_UNKNOWN");
    await client.deposit(client.quote(terms, 1).escrow + client.quote(terms, 1).bond);
    expect(await codeOf(() => client.post({ terms, inputs: ["nonsense"] }))).to.equal("BATCH_MANIFEST_INVALID");
  });
});
