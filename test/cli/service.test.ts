import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { tokenHash } from "../../agents/service/token.ts";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";

describe("surety service token", function () {
  // Each call is a process that loads everything.
  this.timeout(240_000);
  let folder: string;
  let config: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-service-"));
    await mkdir(join(folder, "home"));
    config = join(folder, "requester.json");
    const content = {
      home: "./home",
      rpc: ["http://127.0.0.1:1"],
      deployment: "./surety.json",
      key: { env: "KEY" },
      storage: { kind: "embedded" },
      service: { listen: "127.0.0.1:0" },
    };
    await writeFile(config, JSON.stringify(content));
  });

  after(() => rm(folder, { recursive: true, force: true }));

  const token = (...args: string[]): Promise<Ended> => surety(["service", "token", ...args, "--config", config]);

  it("adds, lists and revokes clients, and keeps no token", async () => {
    const file = join(folder, "lab.token");
    const added = await token("add", "lab", "--budget", "250", "--per", "day", "--max-jobs", "3", "--out", file);
    expect(added.exit, added.stderr).to.equal(0);
    const secret = (await readFile(file, "utf8")).trim();
    expect((await stat(file)).mode & 0o077).to.equal(0);
    expect(added.stdout).not.to.include(secret);
    const printed = await token("add", "other", "--budget", "0.5", "--json");
    const { token: second } = lastJson(printed) as { token: string };

    const path = join(folder, "home", "service-clients.json");
    const kept = await readFile(path, "utf8");
    for (const each of [secret, second]) expect(kept).not.to.include(each);
    const listed = lastJson(await token("list", "--json")).clients;
    expect(listed).to.deep.equal([
      { name: "lab", tokenSha256: tokenHash(secret), budget: { amount: "250", per: "day" }, maxJobs: 3 },
      { name: "other", tokenSha256: tokenHash(second), budget: { amount: "0.5", per: "total" }, maxJobs: 16 },
    ]);
    expect((await token("list")).stdout)
      .to.include("250 a day")
      .and.to.include("0.5 in all");

    expect((await token("revoke", "lab")).exit).to.equal(0);
    expect(lastJson(await token("list", "--json")).clients).to.have.lengthOf(1);
  });

  it("refuses what is wrong, and leaves no token behind", async () => {
    const file = join(folder, "wrong.token");
    const refusals: [args: string[], code: string][] = [
      [["add", "a/b", "--budget", "1", "--out", file], "CLIENT_INVALID"],
      [["add", "c", "--budget", "-1", "--out", file], "CLIENT_INVALID"],
      [["add", "c", "--budget", "1", "--per", "week", "--out", file], "CLIENT_INVALID"],
      [["add", "c", "--budget", "1", "--max-jobs", "0", "--out", file], "CLIENT_INVALID"],
      [["add", "other", "--budget", "1", "--out", file], "CLIENT_EXISTS"],
      [["add", "c", "--out", file], "USAGE"],
      [["add", "c", "--budget", "1", "--out", join(folder, "none", "x")], "OUTPUT_UNWRITABLE"],
      [["revoke", "nobody"], "CLIENT_UNKNOWN"],
    ];
    for (const [args, code] of refusals) {
      const ended = await token(...args);
      expect([errorCode(ended), ended.exit], args.join(" ")).to.deep.equal([code, 2]);
    }
    expect(await stat(file).catch(() => undefined)).to.equal(undefined);
    expect(lastJson(await token("list", "--json")).clients).to.have.lengthOf(1);
  });
});
