import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { computeAddress, Transaction, Wallet } from "ethers";
import { SuretyError } from "#sdk/errors.ts";
import type { UnsignedTransaction } from "../../agents/chain/sender.ts";
import { openKey, openSigner } from "../../agents/key/agent-key.ts";
import { ExternalSigner } from "../../agents/key/external-signer.ts";
import { keystoreAddress, openKeystore, writeKeystore } from "../../agents/key/keystore.ts";
import { addressOf, readKey } from "../../agents/key/private-key.ts";
import { readSecret, SECRET_FILE } from "../../agents/key/secret.ts";
import { RemoteSigner, type Habit } from "../support/remote-signer.ts";

const PASSWORD = "correct horse";
/** As little work as the format takes; tests are not attacked. */
const LIGHT = 2 ** 10;

async function refusal(work: Promise<unknown>): Promise<SuretyError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof SuretyError) return error;
    throw error;
  }
  throw new Error("expected a refusal");
}

describe("keys", function () {
  let folder: string;
  const wallet = new Wallet(Wallet.createRandom().privateKey);
  const other = new Wallet(Wallet.createRandom().privateKey);
  const { privateKey } = wallet;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-key-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  describe("in an encrypted file", () => {
    let keystore: string;

    beforeEach(async () => {
      keystore = join(folder, "key.json");
      await writeKeystore(keystore, { privateKey, password: PASSWORD, scryptN: LIGHT });
    });

    it("are opened with the password from a variable or a file", async () => {
      const file = join(folder, "password");
      await writeFile(file, `${PASSWORD}\n`);
      expect(await readKey({ keystore, password: { file } })).to.equal(privateKey);
      expect(await readKey({ keystore, password: { env: "A_PASSWORD" } }, { A_PASSWORD: PASSWORD })).to.equal(
        privateKey,
      );
      expect((await openSigner({ keystore, password: { file } })).signer.address).to.equal(wallet.address);
    });

    it("are not opened with another password, and no error shows key or password", async () => {
      const error = await refusal(openKeystore(keystore, "wrong horse"));
      expect([error.code, error.exit]).to.deep.equal(["KEY_PASSWORD_WRONG", 2]);
      expect(`${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`).to.not.match(/wrong horse/);
    });

    it("are refused where the password cannot be had", async () => {
      const empty = join(folder, "empty");
      await writeFile(empty, "\n");
      for (const password of [{ env: "NONE" }, { file: join(folder, "none") }, { file: empty }]) {
        const error = await refusal(readKey({ keystore, password }, {}));
        expect([error.code, error.exit]).to.deep.equal(["KEY_PASSWORD_UNREADABLE", 2]);
      }
    });

    it("are refused if the file is not there, is none, or was changed", async () => {
      expect((await refusal(openKeystore(join(folder, "none"), PASSWORD))).code).to.equal("KEY_UNREADABLE");
      const json = JSON.parse(await readFile(keystore, "utf8")) as { address: string; version: number };
      const changed = [
        "no JSON",
        "{}",
        JSON.stringify({ ...json, version: 2 }),
        JSON.stringify({ ...json, address: other.address.slice(2) }),
      ];
      for (const content of changed) {
        const path = join(folder, "changed.json");
        await writeFile(path, content);
        expect((await refusal(openKeystore(path, PASSWORD))).code, content).to.equal("KEYSTORE_INVALID");
      }
    });

    it("tell their address without the password, and are not written over", async () => {
      expect(await keystoreAddress(keystore)).to.equal(wallet.address);
      expect(await addressOf({ keystore, password: { env: "NONE" } }, {})).to.equal(wallet.address);
      const before = await readFile(keystore, "utf8");
      const again = writeKeystore(keystore, { privateKey: other.privateKey, password: PASSWORD, scryptN: LIGHT });
      expect((await refusal(again)).code).to.equal("KEY_FILE_EXISTS");
      expect(await readFile(keystore, "utf8")).to.equal(before);
      expect(before).to.not.include(privateKey.slice(2));
      expect((await stat(keystore)).mode & 0o777).to.equal(0o600);
    });

    it("are those that other programs write", async () => {
      // Of the format's own definition (ethereum.org, Web3 Secret Storage): scrypt and PBKDF2.
      const crypto = {
        cipher: "aes-128-ctr",
        cipherparams: { iv: "6087dab2f9fdbbfaddc31a909735c1e6" },
        ciphertext: "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        kdf: "pbkdf2",
        kdfparams: {
          c: 262144,
          dklen: 32,
          prf: "hmac-sha256",
          salt: "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        mac: "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
      };
      const path = join(folder, "other.json");
      await writeFile(path, JSON.stringify({ crypto, id: "3198bc9c-6672-5ab3-d995-4942343ae5b6", version: 3 }));
      expect(await openKeystore(path, "testpassword")).to.equal(
        "0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d",
      );
      expect(await keystoreAddress(path)).to.equal(undefined);
      expect(await addressOf({ keystore: path, password: { env: "WORD" } }, { WORD: "testpassword" })).to.equal(
        computeAddress("0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"),
      );
    });
  });

  describe("that a signer keeps", () => {
    let remote: RemoteSigner;
    const unsigned: UnsignedTransaction = {
      type: 2,
      chainId: 31337,
      nonce: 7,
      to: other.address,
      data: "0x1234",
      value: 5n,
      gasLimit: 50_000n,
      maxFeePerGas: 3_000_000_000n,
      maxPriorityFeePerGas: 1_000_000_000n,
    };
    const open = (timeoutMs = 5_000): Promise<ExternalSigner> =>
      ExternalSigner.open({ url: remote.url, address: wallet.address, timeoutMs });

    beforeEach(async () => {
      remote = await RemoteSigner.start(other, wallet);
    });
    afterEach(() => remote.stop());

    it("sign what they are asked to, as a key at hand would", async () => {
      const signer = await open();
      expect(signer.address).to.equal(wallet.address);
      expect(await signer.signTransaction(unsigned)).to.equal(await wallet.signTransaction(unsigned));
      expect(remote.asked).to.deep.equal(["eth_accounts", "eth_signTransaction"]);
    });

    it("are shown the token, from a variable or a file", async () => {
      const token = { env: "A_TOKEN" };
      const source = { signer: remote.url, address: wallet.address, timeoutMs: 5_000, token };
      const { signer } = await openSigner(source, { environment: { A_TOKEN: "let me in" } });
      await signer.signTransaction(unsigned);
      expect(remote.tokens).to.deep.equal(["let me in", "let me in"]);
      expect((await refusal(openSigner(source, { environment: {} }))).code).to.equal("SIGNER_TOKEN_UNREADABLE");
    });

    it("are taken as geth's kind answers it, too", async () => {
      const signer = await open();
      const raw = await wallet.signTransaction(unsigned);
      remote.answer = { jsonrpc: "2.0", id: 2, result: { raw, tx: {} } };
      expect(await signer.signTransaction(unsigned)).to.equal(raw);
    });

    it("are refused if the signer does not have the account", async () => {
      const stranger = Wallet.createRandom().address;
      const options = { url: remote.url, address: stranger, timeoutMs: 5_000 };
      const error = await refusal(ExternalSigner.open(options));
      expect([error.code, error.exit]).to.deep.equal(["SIGNER_ACCOUNT_MISSING", 2]);
    });

    const lies: [string, Habit][] = [
      ["nonce", (transaction) => ({ ...transaction, nonce: 8 })],
      ["value", (transaction) => ({ ...transaction, value: 6n })],
      ["to", (transaction) => ({ ...transaction, to: wallet.address })],
      ["data", (transaction) => ({ ...transaction, data: "0x1235" })],
      ["chainId", (transaction) => ({ ...transaction, chainId: 1 })],
      ["gasLimit", (transaction) => ({ ...transaction, gasLimit: 50_001n })],
      ["maxFeePerGas", (transaction) => ({ ...transaction, maxFeePerGas: 4_000_000_000n })],
      ["maxPriorityFeePerGas", (transaction) => ({ ...transaction, maxPriorityFeePerGas: 2n })],
      ["contents", (transaction) => ({ ...transaction, accessList: [[other.address, []]] as never })],
    ];
    for (const [field, habit] of lies) {
      it(`are not believed with another ${field}`, async () => {
        const signer = await open();
        remote.habit = habit;
        const error = await refusal(signer.signTransaction(unsigned));
        expect([error.code, error.kind, error.details.changed]).to.deep.equal(["SIGNER_MISMATCH", "fatal", field]);
      });
    }

    it("are not believed with another type", async () => {
      const signer = await open();
      const { chainId, nonce, to, data, value, gasLimit, maxFeePerGas } = unsigned;
      const legacy = Transaction.from({ type: 0, chainId, nonce, to, data, value, gasLimit, gasPrice: maxFeePerGas });
      remote.answer = { jsonrpc: "2.0", id: 2, result: await wallet.signTransaction(legacy) };
      expect((await refusal(signer.signTransaction(unsigned))).code).to.equal("SIGNER_MISMATCH");
    });

    it("are not believed with another account's signature", async () => {
      const signer = await open();
      remote.signsAs = other;
      const error = await refusal(signer.signTransaction(unsigned));
      expect([error.code, error.details.changed]).to.deep.equal(["SIGNER_MISMATCH", "from"]);
    });

    it("are told from what is no signed transaction", async () => {
      const signer = await open();
      const answers: unknown[] = [
        "nonsense",
        { jsonrpc: "2.0", id: 1, result: 5 },
        { jsonrpc: "2.0", id: 1, result: "0x02" },
        { jsonrpc: "2.0", id: 1, result: Transaction.from(unsigned).unsignedSerialized },
        { jsonrpc: "2.0", id: 1 },
      ];
      for (const answer of answers) {
        remote.answer = answer;
        expect((await refusal(signer.signTransaction(unsigned))).code).to.equal("SIGNER_ANSWER_INVALID");
      }
    });

    it("can be asked for again after a refusal, an endless answer, silence and absence", async () => {
      const signer = await open(300);
      remote.answer = { jsonrpc: "2.0", id: 1, error: { code: -32000, message: "not at night" } };
      const refused = await refusal(signer.signTransaction(unsigned));
      expect([refused.code, refused.kind]).to.deep.equal(["SIGNER_REFUSED", "retryable"]);
      remote.answer = `"${"a".repeat(1024 * 1024)}"`;
      const unreachable = async (): Promise<void> => {
        const error = await refusal(signer.signTransaction(unsigned));
        expect([error.code, error.kind, error.exit]).to.deep.equal(["SIGNER_UNREACHABLE", "retryable", 3]);
      };
      await unreachable();
      remote.isDeaf = true;
      await unreachable();
      remote.isDeaf = false;
      remote.answer = undefined;
      expect(await signer.signTransaction(unsigned)).to.equal(await wallet.signTransaction(unsigned));
      await remote.stop();
      await unreachable();
      remote = await RemoteSigner.start();
    });

    it("are waited for no longer than the signal allows", async () => {
      const signer = await open();
      remote.isDeaf = true;
      const controller = new AbortController();
      const asked = signer.signTransaction(unsigned, { signal: controller.signal });
      controller.abort(new DOMException("enough", "AbortError"));
      const reason: unknown = await asked.catch((error: unknown) => error);
      expect(reason).to.equal(controller.signal.reason);
    });
  });

  describe("and what an agent keeps secret beside them", () => {
    it("is the key itself where it is at hand, so that nothing is lost with the home", async () => {
      const { secret } = await openKey({ hex: privateKey }, { home: folder });
      expect(secret).to.equal(privateKey);
      expect(await readdir(folder)).to.deep.equal([]);
    });

    it("is made once where a signer keeps the key, for its owner only, and stays whatever the key comes from", async () => {
      const remote = await RemoteSigner.start(wallet);
      try {
        const home = join(folder, "home");
        const source = { signer: remote.url, address: wallet.address, timeoutMs: 5_000 };
        const secrets = await Promise.all(Array.from({ length: 5 }, () => openKey(source, { home })));
        expect(new Set(secrets.map(({ secret }) => secret)).size).to.equal(1);
        const { secret } = secrets[0]!;
        expect(secret)
          .to.match(/^0x[0-9a-f]{64}$/)
          .and.not.equal(privateKey);
        expect(await readdir(home)).to.deep.equal([SECRET_FILE]);
        expect((await stat(join(home, SECRET_FILE))).mode & 0o777).to.equal(0o600);
        expect((await openKey({ hex: privateKey }, { home })).secret).to.equal(secret);
        expect(remote.asked).to.not.include("eth_signTransaction");
      } finally {
        await remote.stop();
      }
    });

    it("is not made anew in a home that has worked with another", async () => {
      await writeFile(join(folder, "journal.sqlite"), "");
      const error = await refusal(readSecret(folder, {}));
      expect([error.code, error.exit]).to.deep.equal(["SECRET_MISSING", 2]);
      expect(await readSecret(folder, { privateKey })).to.equal(privateKey);
    });

    it("is not replaced where it is damaged", async () => {
      for (const content of ["", "0x12", `0x${"00".repeat(32)}`]) {
        await writeFile(join(folder, SECRET_FILE), content);
        expect((await refusal(readSecret(folder, { privateKey }))).code).to.equal("SECRET_INVALID");
      }
    });

    it("is not taken for missing where it cannot be read", async function () {
      const isRoot = spawnSync("id", ["-u"], { encoding: "utf8" }).stdout.trim() === "0";
      const path = join(folder, SECRET_FILE);
      await writeFile(path, `${privateKey}\n`);
      await chmod(path, 0);
      // Root reads what nobody may.
      if (isRoot) expect(await readSecret(folder, {})).to.equal(privateKey);
      else expect((await refusal(readSecret(folder, { privateKey }))).code).to.equal("SECRET_INVALID");
    });
  });
});
