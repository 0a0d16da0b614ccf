import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { computeAddress, Wallet } from "ethers";
import { openKeystore } from "../../agents/key/keystore.ts";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";
import { RemoteSigner } from "../support/remote-signer.ts";

const KEY = `0x${"11".repeat(32)}`;
const PASSWORD = "correct horse";

describe("surety key", function () {
  this.timeout(60_000);
  let folder: string;
  let password: string;
  const at = (name: string): string => join(folder, name);
  const key = (...args: string[]): Promise<Ended> =>
    surety(["key", ...args], { env: { A_PASSWORD: PASSWORD, A_KEY: KEY }, cwd: folder });

  async function expectRefusal(ended: Ended, code: string, exit: number): Promise<void> {
    expect(errorCode(ended), ended.stderr).to.equal(code);
    expect(ended.exit).to.equal(exit);
    expect(ended.stdout + ended.stderr)
      .to.not.include(KEY.slice(2))
      .and.not.include(PASSWORD);
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-key-"));
    password = at("password");
    await writeFile(password, `${PASSWORD}\n`);
  });
  after(() => rm(folder, { recursive: true }));

  it("makes a key that only its password opens, and shows whose it is", async () => {
    const made = await key("new", "made.json", "--password-file", password, "--json");
    expect(made.exit, made.stderr).to.equal(0);
    const { address, keystore } = lastJson(made);
    expect(keystore).to.equal(at("made.json"));
    expect(computeAddress(await openKeystore(at("made.json"), PASSWORD))).to.equal(address);
    expect((await stat(at("made.json"))).mode & 0o777).to.equal(0o600);
    const shown = await key("show", "--keystore", "made.json", "--password-env", "A_PASSWORD", "--json");
    expect(lastJson(shown)).to.deep.equal({ address, kind: "keystore" });
  });

  it("takes over a key that there is, and never writes over a file", async () => {
    const taken = await key("import", "taken.json", "--key-env", "A_KEY", "--password-env", "A_PASSWORD", "--json");
    expect(lastJson(taken).address).to.equal(computeAddress(KEY));
    expect(taken.stdout + taken.stderr).to.not.include(KEY.slice(2));
    expect(await openKeystore(at("taken.json"), PASSWORD)).to.equal(KEY);
    const content = await readFile(at("taken.json"), "utf8");
    await expectRefusal(await key("new", "taken.json", "--password-file", password), "KEY_FILE_EXISTS", 2);
    expect(await readFile(at("taken.json"), "utf8")).to.equal(content);
  });

  it("refuses a wrong password, none, two, and what is no key", async () => {
    await writeFile(at("wrong"), "wrong horse");
    const cases: [string, string[]][] = [
      ["KEY_PASSWORD_WRONG", ["show", "--keystore", "taken.json", "--password-file", "wrong"]],
      ["USAGE", ["new", "other.json"]],
      ["USAGE", ["new", "other.json", "--password-file", password, "--password-env", "A_PASSWORD"]],
      ["USAGE", ["import", "other.json", "--password-file", password]],
      ["USAGE", ["show"]],
      ["KEY_UNREADABLE", ["import", "other.json", "--key-env", "A_PASSWORD", "--password-file", password]],
      ["KEY_PASSWORD_UNREADABLE", ["new", "other.json", "--password-env", "NO_SUCH_VARIABLE"]],
      ["KEYSTORE_INVALID", ["show", "--keystore", "password", "--password-file", password]],
    ];
    for (const [code, args] of cases) await expectRefusal(await key(...args), code, 2);
  });

  it("shows whose key a configuration's signer keeps, and writes nothing", async () => {
    const wallet = new Wallet(KEY);
    const remote = await RemoteSigner.start(wallet);
    const config = {
      home: at("home"),
      rpc: ["http://127.0.0.1:1"],
      deployment: at("surety.json"),
      storage: { kind: "embedded" },
      key: { signer: remote.url, address: wallet.address.toLowerCase() },
    };
    await writeFile(at("requester.json"), JSON.stringify(config));
    const shown = await key("show", "--config", "requester.json", "--json");
    expect(lastJson(shown)).to.deep.equal({ address: wallet.address, kind: "signer" });
    expect(await stat(at("home")).catch((error: NodeJS.ErrnoException) => error.code)).to.equal("ENOENT");
    await remote.stop();
    await expectRefusal(await key("show", "--config", "requester.json"), "SIGNER_UNREACHABLE", 3);
  });
});
